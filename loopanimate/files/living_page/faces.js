// Faces: what a face does within its layer, drawn into the layer's doubled pixels from what they are at rest. Mirrors
// loopanimate/motion/faces.py, which says what the numbers mean, and loopanimate/render/faces.py.
const { field: FIELD, bends: BENDS, knots: KNOTS, ends: ENDS, upperRim, lowerRim, soft: SOFT, follows: FOLLOWS, openWay, columns: COLUMNS } = constants.faces;

const real = (number) => `float(${number})`;
const SHIFT = `
uniform sampler2D rest, fields; // fields: of all bends, one below the other
uniform vec2 corner; // of rest, in pixels of the layer
uniform float unit, bends[${BENDS}]; // pixels of half a short side's doubled pixel; 1 where a bend moves
uniform vec4 boxes[${BENDS}], frames[2], states[2]; // eyes: corner and along; how closed, gaze, 1 where it moves
uniform vec4 irises[2], lids[${2 * KNOTS}]; // u, v, radius; over, upper, lower, under
uniform vec2 ways[${2 * KNOTS}]; // how far the lids sink and rise
out vec4 result;
float smoothed(float share) {
  share = clamp(share, 0.0, 1.0);
  return share * share * (3.0 - 2.0 * share);
}
vec4 lidsAt(int eye, float u) {
  float at = (clamp(u, ${real(ENDS[0])}, ${real(ENDS[1])}) - ${real(ENDS[0])}) * ${real((KNOTS - 1) / (ENDS[1] - ENDS[0]))};
  int knot = min(int(at), ${KNOTS - 2}), first = eye * ${KNOTS} + knot;
  return mix(lids[first], lids[first + 1], at - float(knot));
}
vec2 waysAt(int eye, float u) {
  float at = (clamp(u, ${real(ENDS[0])}, ${real(ENDS[1])}) - ${real(ENDS[0])}) * ${real((KNOTS - 1) / (ENDS[1] - ENDS[0]))};
  int knot = min(int(at), ${KNOTS - 2}), first = eye * ${KNOTS} + knot;
  return mix(ways[first], ways[first + 1], at - float(knot));
}
vec2 moved(vec2 place) {
  for (int bend = 0; bend < ${BENDS}; bend++) {
    vec4 box = boxes[bend];
    vec2 at = (place - box.xy) / (box.zw - box.xy) * ${real(FIELD - 1)};
    if (bends[bend] == 0.0 || at.x <= 0.0 || at.y <= 0.0 || at.x >= ${real(FIELD - 1)} || at.y >= ${real(FIELD - 1)}) continue;
    ivec2 cell = min(ivec2(at), ${FIELD - 2}), from = cell + ivec2(0, bend * ${FIELD});
    vec2 part = at - vec2(cell);
    place -= mix(mix(texelFetch(fields, from, 0), texelFetch(fields, from + ivec2(1, 0), 0), part.x),
      mix(texelFetch(fields, from + ivec2(0, 1), 0), texelFetch(fields, from + ivec2(1, 1), 0), part.x), part.y).rg;
  }
  return place;
}
vec4 read(vec2 place) { // in short sides
  return textureLod(rest, (place * unit - 1.0 - corner + 0.5) / vec2(textureSize(rest, 0)), 0.0);
}
vec4 readEye(int eye, vec2 at) {
  vec4 frame = frames[eye];
  return read(frame.xy + at.x * frame.zw + at.y * vec2(-frame.w, frame.z));
}
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy);
  vec2 place = (vec2(here) + 1.0) / unit, shown = moved(place); // the middle of doubled pixel i lies at pixel i / 2
  result = read(shown);
  bool still = shown == place;
  for (int eye = 0; eye < 2; eye++) {
    vec4 frame = frames[eye], state = states[eye], iris = irises[eye];
    if (state.w == 0.0) continue;
    vec2 away = shown - frame.xy, at = vec2(dot(away, frame.zw), away.y * frame.z - away.x * frame.w) / dot(frame.zw, frame.zw);
    vec4 lid = lidsAt(eye, at.x);
    if (at.x <= ${real(ENDS[0])} || at.x >= ${real(ENDS[1])} || at.y <= lid.x || at.y >= lid.w) continue;
    vec2 way = waysAt(eye, at.x), gaze = state.yz;
    float follows = max(4.0 * at.x * (1.0 - at.x), 0.0) * (1.0 - state.x) * gaze.y;
    float sinks = state.x * way.x + ${real(FOLLOWS[0])} * follows, rises = state.x * way.y + ${real(FOLLOWS[1])} * follows;
    float upper = lid.y + sinks + ${real(upperRim)}, lower = lid.z + rises - ${real(lowerRim)};
    float soft = max(${real(SOFT)}, 1.5 * 2.0 / (unit * length(frame.zw)));
    vec2 ball = at;
    if (gaze != vec2(0)) {
      float middle = iris.x + gaze.x, room = (at.x < middle ? middle : 1.0 - middle) - iris.z;
      if ((at.x - middle) * gaze.x > 0.0) room += ${real(openWay)} * abs(gaze.x);
      float free = 1.0 - smoothed((abs(at.x - middle) - iris.z) / max(room, 0.02));
      ball.x = clamp(at.x - gaze.x * free, 0.0, 1.0);
      vec4 there = lidsAt(eye, ball.x);
      float high = min(there.y + ${real(upperRim)}, there.z - ${real(lowerRim)}), low = max(there.z - ${real(lowerRim)}, there.y);
      ball.y = min(max(at.y - gaze.y * free, high), low);
    }
    still = false;
    result = readEye(eye, ball);
    result = mix(result, readEye(eye, vec2(at.x, at.y - rises * smoothed((lid.w - at.y) / (lid.w - lower)))), smoothed((at.y - lower) / soft + 0.5));
    result = mix(result, readEye(eye, vec2(at.x, at.y - sinks * smoothed((at.y - lid.x) / (upper - lid.x)))), smoothed((upper - at.y) / soft + 0.5));
    break;
  }
  if (still) discard; // another face may have moved it
}`;

// One face in one layer.
class FaceDrawing {
  // pixels: the layer's doubled texture, `sides` in all, of which the short side of the picture has half `unit`.
  constructor(drawing, face, pixels, sides, unit) {
    const { gl } = drawing, margin = face.reach * unit + 8;
    const edges = [0, 1, 2, 3].map((edge) => face.boxes.map((box) => box[edge]));
    const low = [0, 1].map((axis) => Math.max(0, Math.floor(Math.min(...edges[axis]) * unit - margin)));
    const high = [0, 1].map((axis) => Math.min(sides[axis], Math.ceil(Math.max(...edges[2 + axis]) * unit + margin)));
    Object.assign(this, { drawing, face, pixels, sides, unit, low, size: [0, 1].map((axis) => high[axis] - low[axis]), drawn: false });
    if (Math.min(...this.size) < 2) return;
    this.rest = drawing.texture(...this.size, gl.LINEAR);
    this.fields = drawing.texture(FIELD, FIELD * BENDS, gl.NEAREST, gl.RG32F);
    this.attach();
    gl.bindTexture(gl.TEXTURE_2D, this.rest);
    gl.copyTexSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ...low, ...this.size);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const numbers = (data) => new Int16Array(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer);
    this.curve = Float32Array.from(numbers(face.curve.data), (value, i) => value * face.curve.steps[i % face.curve.steps.length]);
    this.bends = face.bends.map((bend) => ({ ...bend, fields: Float32Array.from(numbers(bend.data), (value) => value * bend.step) }));
  }

  free() {
    [this.rest, this.fields].forEach((texture) => texture && this.drawing.gl.deleteTexture(texture));
  }

  attach(texture = this.pixels) {
    const { gl, frame } = this.drawing;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  }

  // Puts back what was drawn; of all faces, before any is drawn anew, as their boxes may overlap.
  restore() {
    const { gl } = this.drawing;
    if (!this.drawn) return;
    this.attach(this.rest);
    gl.bindTexture(gl.TEXTURE_2D, this.pixels);
    gl.copyTexSubImage2D(gl.TEXTURE_2D, 0, ...this.low, 0, 0, ...this.size);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.drawn = false;
  }

  // time: in loops; strength: factor on what the face does.
  draw(time, strength) {
    if (!this.rest) return;
    const { face, curve } = this, count = face.curve.steps.length, levels = curve.length / count;
    const at = (time - Math.floor(time)) * levels, before = Math.floor(at) % levels, after = (before + 1) % levels;
    const now = face.curve.steps.map((_, i) => {
      const [first, last] = [curve[before * count + i], curve[after * count + i]];
      return (first + (at - Math.floor(at)) * (last - first)) * Math.min(face.strength * strength, 1);
    });
    const amounts = now.slice(COLUMNS), own = this.bends.map(({ count }) => amounts.splice(0, count)), shifts = own.map((each) => +each.some(Boolean));
    const values = {
      corner: this.low, unit: [this.unit], bends: new Float32Array(BENDS), boxes: new Float32Array(4 * BENDS), frames: new Float32Array(8), states: new Float32Array(8),
      irises: new Float32Array(8), lids: new Float32Array(8 * KNOTS), ways: new Float32Array(4 * KNOTS),
    };
    values.bends.set(shifts);
    values.boxes.set(this.bends.flatMap(({ box }) => box));
    face.eyes.forEach(({ side, corner, along, lids, iris }, i) => {
      const length = along[0] ** 2 + along[1] ** 2, [x, y] = now.slice(2);
      const gaze = [(x * along[0] + y * along[1]) / length, (y * along[0] - x * along[1]) / length];
      values.frames.set([...corner, ...along], 4 * i);
      values.states.set([now[side], ...gaze, now[side] > 0 || gaze.some(Boolean) ? 1 : 0], 4 * i);
      values.irises.set(iris, 4 * i);
      for (let knot = 0; knot < KNOTS; knot++) {
        values.lids.set([0, 1, 2, 3].map((line) => lids[line][knot]), 4 * (i * KNOTS + knot));
        values.ways.set([lids[4][knot], lids[5][knot]], 2 * (i * KNOTS + knot));
      }
    });
    this.drawn = shifts.some(Boolean) || values.states.some((value, i) => i % 4 === 3 && value);
    if (!this.drawn) return;
    const { gl } = this.drawing;
    this.bends.forEach(({ fields }, place) => {
      if (!shifts[place]) return;
      const grid = new Float32Array(2 * FIELD * FIELD);
      own[place].forEach((amount, k) => {
        for (let i = 0; amount && i < grid.length; i++) grid[i] += amount * fields[k * grid.length + i];
      });
      gl.bindTexture(gl.TEXTURE_2D, this.fields);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, place * FIELD, FIELD, FIELD, gl.RG, gl.FLOAT, grid);
    });
    this.drawing.use(this.drawing.shift, { rest: this.rest, fields: this.fields }, values);
    this.attach();
    gl.viewport(0, 0, ...this.sides);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(...this.low, ...this.size);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.disable(gl.SCISSOR_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
}
