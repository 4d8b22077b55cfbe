// Light and weather over the picture: an overlay's numbers at a time, as loopanimate/effects/state.py has them, and how they are
// drawn, as loopanimate/render/overlay.py draws them.
const TAU = 2 * Math.PI;
const { cells: CELLS, curve: CURVE, finest: FINEST, thinnest: THINNEST, flare: FLARE, noise: NOISE, octaves: OCTAVES } = constants.effects;
const { net: NET, ridge: RIDGE, contrast: CONTRAST, shapes: SHAPES, golden: GOLDEN } = constants.effects;
const [COVER, ADD, GAIN] = [0, 1, 2];
const SPRITE = 16; // numbers of a sprite, of which the last is spare

const easing = (share) => share * share * (3 - 2 * share);
const between = (value, least, most) => Math.min(Math.max(value, least), most);

// Numbers row by row, from 16 bits each; columns without a step have one value.
function unpackRows({ count, low, step, data }) {
  const numbers = new Uint16Array(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer);
  let next = 0;
  return Float64Array.from({ length: count * low.length }, (_, i) => {
    const column = i % low.length;
    return low[column] + (step[column] ? step[column] * numbers[next++] : 0);
  });
}

class Overlay {
  // planes: of each grid, by its place in `data.planes`, its values (rows x columns) in [0, 1]
  constructor(data, planes) {
    const plane = (each) => ({ ...each, place: planes[each.place] });
    Object.assign(this, data, { lamps: data.lamps.map(plane), rays: data.rays.map(plane), fogs: data.fogs.map(plane), caustics: data.caustics.map(plane) });
    const rows = (each) => ({ ...each, rows: unpackRows(each.rows), columns: each.rows.low.length });
    [this.sparks, this.particles] = [data.sparks.map(rows), data.particles.map(rows)];
    const short = Math.min(data.width, data.height);
    [this.high, this.wide] = [data.height, data.width].map((side) => Math.max(2, Math.round((CELLS * side) / short)));
    this.tracks = data.tracks.map(rows);
    this.looks = [];
    const tiles = (octaves) => ({ seed }) => octaves.map((_, octave) => noiseTile(seed + octave));
    [this.tiles, this.nets] = [this.fogs.map(tiles(OCTAVES)), this.caustics.map(tiles(NET))];
  }

  get airy() {
    return this.lamps.length + this.rays.length + this.fogs.length + this.caustics.length > 0;
  }

  // Takes the cameras' poses. visits: [time, weight, strength] of the loops that are blended; follow: where the mouse draws it.
  look(visits, follow) {
    this.looks = this.tracks.map(({ rows, columns, centre }) => {
      const pose = new Array(columns).fill(0);
      for (const [time, weight, strength] of visits) {
        const at = (time % 1) * CURVE, [before, after] = [0, 1].map((step) => ((Math.floor(at) + step) % CURVE) * columns);
        for (let i = 0; i < columns; i++) {
          const value = rows[before + i] + (rows[after + i] - rows[before + i]) * (at % 1);
          pose[i] += weight * (i < 2 ? 1 + strength * (value - 1) : strength * value);
        }
      }
      return { pose, centre };
    }).reverse();
    const [nearest, farthest] = constants.parallax, [x, y] = follow;
    if (x || y) this.looks.push({ pose: [1, 1, farthest * x, nearest * x, farthest * y, nearest * y], centre: [0, 0] });
  }

  // Zoom and shift in x and y: what lies at inverse depth `near` is shown at zoom * place + shift.
  view(near) {
    let zoom = 1, x = 0, y = 0;
    for (const { pose: [far, close, farX, nearX, farY, nearY], centre } of this.looks) {
      const own = far + (close - far) * near;
      [zoom, x, y] = [zoom * own, own * (x + farX + (nearX - farX) * near) + (1 - own) * centre[0], own * (y + farY + (nearY - farY) * near) + (1 - own) * centre[1]];
    }
    return [zoom, x, y];
  }

  // The values of a plane as the cameras show it.
  shown(plane, near) {
    if (!this.looks.length) return plane;
    const { high, wide } = this, [zoom, ...shift] = this.view(near);
    const [across, down] = [[wide, this.width], [high, this.height]].map(([cells, side], axis) =>
      Array.from({ length: cells }, (_, i) => {
        const at = between(((((i + 0.5) * side) / cells - shift[axis]) / zoom) * (cells / side) - 0.5, 0, cells - 1);
        const first = Math.min(Math.floor(at), cells - 2);
        return [first, at - first];
      }));
    const out = new Float32Array(plane.length);
    down.forEach(([row, below], y) => across.forEach(([column, beside], x) => {
      const at = row * wide + column;
      const line = [at, at + wide].map((i) => plane[i] + beside * (plane[i + 1] - plane[i]));
      out[y * wide + x] = line[0] + below * (line[1] - line[0]);
    }));
    return out;
  }

  // Sprites back to front, lengths in short sides, as a flat list.
  sprites(time, amount) {
    const out = [];
    for (const { rows, columns } of this.sparks)
      for (let i = 0; i < rows.length; i += columns) {
        const [x, y, radius, level, cycles, phase, cycles2, phase2, sharp, flare, r, g, b, near] = rows.subarray(i, i + columns);
        const slow = Math.sin(TAU * ((cycles * time + phase) % 1)), quick = Math.sin(TAU * ((cycles2 * time + phase2) % 1));
        const now = sharp > 0.5 ? ((0.5 + 0.5 * slow) ** 4 - 35 / 128) / (1 - 35 / 128) : 0.65 * slow + 0.35 * quick;
        const gain = Math.max(amount * level * now, -0.95), star = between(now, 0, 1) ** 2 * flare * amount;
        const [zoom, right, down] = this.view(near), place = [zoom * x + right, zoom * y + down, 1, 0], size = zoom * radius;
        out.push(...place, size, size, SHAPES.disc, GAIN, 1, gain, 1, 1, 1, 0, 1, 0);
        if (star > 0.004) out.push(...place, FLARE * size, FLARE * size, SHAPES.star, ADD, 1, star, r, g, b, 0, 1, 0);
      }
    for (const particles of this.particles) this.addParticles(out, particles, time, amount);
    return out;
  }

  addParticles(out, { rows, columns, shape, adds, colours }, time, amount) {
    const count = rows.length / columns;
    for (let index = 0; index < count; index++) {
      const here = between((amount * count) / 2 - index, 0, 1);
      if (!here) break;
      const [x0, y0, x1, y1, passes, phase, span, lanes, fade, grow, sway, swing, swung, whole, ratio, angle, spin, tumble, blink, opacity, soft, own, behind, near] =
        rows.subarray(index * columns, (index + 1) * columns);
      const life = ((passes * time + phase) % 1) / span;
      if (life > 1) continue;
      const breadth = this.width + Math.abs(x1 - x0), right = Math.max(x0, x1), lane = Math.floor(passes * time + phase) % passes;
      const beside = lanes ? breadth * ((right / breadth + GOLDEN * lane) % 1) - right : 0;
      const [zoom, ...shift] = this.view(near), radius = zoom * whole * (1 - grow * (1 - life)), wave = TAU * ((swing * time + swung) % 1);
      const blinks = Math.abs(blink) > 0.5 ? (0.5 + 0.5 * Math.sin(TAU * ((blink * time + swung) % 1))) ** 2 : 1;
      const share = easing(between(Math.min(life, 1 - life) / Math.max(fade, 1e-6), 0, 1)) * opacity * here * blinks * (1 - grow * life);
      const turned = angle + TAU * spin * time + (Math.abs(spin) > 0.5 ? 0.5 * Math.sin(wave) : 0);
      const tilt = Math.abs(tumble) > 0.5 ? Math.cos(TAU * ((tumble * time + swung) % 1)) : 1;
      out.push(
        zoom * (x0 + (x1 - x0) * life + sway * Math.sin(wave) + beside) + shift[0],
        zoom * (y0 + (y1 - y0) * life + 0.35 * sway * Math.sin(2 * wave)) + shift[1],
        Math.cos(turned), Math.sin(turned), radius, radius * ratio * Math.max(Math.abs(tilt), THINNEST), SHAPES[shape], adds ? ADD : COVER,
        soft, share, ...colours[Math.round(own)].map((value) => value * value), behind, Math.abs(tumble) > 0.5 ? 0.82 + 0.18 * tilt : 1, 0);
    }
  }

  // The grid: gain of red, green, blue and share of fog; light added to each, and nothing.
  air(time, amount) {
    const { high, wide } = this, gain = new Float32Array(4 * high * wide), light = new Float32Array(4 * high * wide);
    for (let i = 0; i < gain.length; i++) gain[i] = i % 4 < 3 ? 1 : 0;
    for (const { place: still, near, colour, curve, tint } of this.lamps) {
      const place = this.shown(still, near);
      const at = time * CURVE, [before, after] = [0, 1].map((step) => curve[(Math.floor(at) + step) % CURVE]);
      const level = before + (after - before) * (at % 1);
      for (let i = 0; i < place.length; i++)
        for (let c = 0; c < 3; c++) gain[4 * i + c] *= Math.max(1 + amount * (level * colour[c] + tint[c]) * place[i], 0.02);
    }
    for (const rays of this.rays) this.addRays(gain, light, rays, time, amount);
    this.caustics.forEach((net, k) => this.addCaustics(gain, net, this.nets[k], time, amount));
    this.fogs.forEach((fog, k) => this.addFog(gain, fog, this.tiles[k], time, amount));
    return { gain, light };
  }

  addRays(gain, light, { x, y, reach, place: still, near, colour, waves, level, dim }, time, amount) {
    const [zoom, right, below] = this.view(near), place = this.shown(still, near);
    const { high, wide, width, height } = this, kept = 1 - Math.min(0.5, amount * dim);
    for (let i = 0; i < place.length; i++) {
      const across = (((i % wide) + 0.5) * width) / wide - zoom * x - right, down = ((Math.floor(i / wide) + 0.5) * height) / high - zoom * y - below;
      const around = Math.atan2(down, across);
      const beams = waves.reduce((sum, [count, cycles, phase, share]) => sum + share * Math.cos(count * around + TAU * (cycles * time + phase)), 0.35);
      const bright = amount * level * place[i] * between(beams, 0, 1) ** 1.5 * Math.exp(-Math.hypot(across, down) / reach);
      for (let c = 0; c < 3; c++) {
        gain[4 * i + c] *= kept;
        light[4 * i + c] += colour[c] * colour[c] * bright;
      }
    }
  }

  addCaustics(gain, { place: still, near, drift, level, mean }, tiles, time, amount) {
    const place = this.shown(still, near), thick = this.thickness(drift, tiles, NET, time);
    for (let i = 0; i < thick.length; i++) {
      const bright = 1 + amount * level * place[i] * (between(1 - RIDGE * Math.abs(thick[i] - 0.5), 0, 1) ** 2 - mean);
      for (let c = 0; c < 3; c++) gain[4 * i + c] *= bright;
    }
  }

  addFog(gain, { place: still, near, drift, density, dim }, tiles, time, amount) {
    const place = this.shown(still, near), thick = this.thickness(drift, tiles, OCTAVES, time);
    for (let i = 0; i < thick.length; i++) {
      const share = between(amount * density * place[i] * between(thick[i], 0, 1), 0, 0.9);
      gain[4 * i + 3] = 1 - (1 - gain[4 * i + 3]) * (1 - share);
      for (let c = 0; c < 3; c++) gain[4 * i + c] *= 1 - Math.min(0.5, amount * dim);
    }
  }

  thickness(drift, tiles, octaves, time) {
    const { high, wide, width, height } = this, total = new Float64Array(high * wide).fill(0.5);
    octaves.forEach(([cells, share], octave) => {
      const phases = [0, 0.5].map((later) => (time + 0.31 * octave + later) % 1);
      const weights = phases.map((phase) => Math.sin(Math.PI * phase) ** 2), size = Math.hypot(...weights);
      phases.forEach((phase, k) => {
        const taps = (count, side, way) =>
          Array.from({ length: count }, (_, i) => tileSpline((((i + 0.5) * side) / count - way * phase) * cells + 23.7 * k));
        const rows = taps(high, height, drift[1]), columns = taps(wide, width, drift[0]), line = new Float64Array(NOISE);
        const weight = (CONTRAST * share * weights[k]) / size;
        rows.forEach((row, y) => {
          line.fill(0);
          for (const [at, part] of row) for (let i = 0; i < NOISE; i++) line[i] += part * (tiles[octave][at * NOISE + i] - 0.5);
          columns.forEach((column, x) => {
            for (const [at, part] of column) total[y * wide + x] += weight * part * line[at];
          });
        });
      });
    });
    return total;
  }
}

// Four cells of a tile that repeats, and their weights.
function tileSpline(place) {
  const first = Math.floor(place), f = place - first, g = 1 - f;
  return [g * g * g, 4 - 3 * f * f * (1 + g), 4 - 3 * g * g * (1 + f), f * f * f].map((weight, tap) => [
    (((first - 1 + tap) % NOISE) + NOISE) % NOISE, weight / 6,
  ]);
}

function noiseTile(seed) {
  return Float64Array.from({ length: NOISE * NOISE }, (_, i) => {
    let cell = (i + seed * NOISE * NOISE) >>> 0;
    cell = Math.imul(cell ^ (cell >>> 16), 0x7feb352d) >>> 0;
    cell = Math.imul(cell ^ (cell >>> 15), 0x846ca68b) >>> 0;
    return ((cell ^ (cell >>> 16)) >>> 0) / 2 ** 32;
  });
}

const AIR = `
uniform sampler2D seen, gain, light, front;
uniform vec2 canvas, scale, grid;
uniform float behind;
uniform vec4 moved[4]; // of each plane of what hides, factors on places and what is added
uniform vec3 fog; // its light
out vec4 result;
vec4 read(sampler2D plane, ivec2 at, vec2 part) {
  return mix(mix(texelFetch(plane, at, 0), texelFetch(plane, at + ivec2(1, 0), 0), part.x),
    mix(texelFetch(plane, at + ivec2(0, 1), 0), texelFetch(plane, at + ivec2(1, 1), 0), part.x), part.y);
}
void main() {
  result = texelFetch(seen, ivec2(gl_FragCoord.xy), 0);
  vec2 place = (gl_FragCoord.xy / canvas - 0.5) / scale * vec2(1, -1) + 0.5;
  if (clamp(place, 0.0, 1.0) != place) return;
  vec2 at = clamp(place * grid - 0.5, vec2(0), grid - 1.0);
  ivec2 first = min(ivec2(at), ivec2(grid) - 2);
  vec4 gains = read(gain, first, at - vec2(first));
  float share = gains.a * (1.0 - behind * textureLod(front, place * moved[0].xy + moved[0].zw, 0.0).r);
  result.rgb = sqrt(result.rgb * result.rgb * gains.rgb * (1.0 - share) + fog * share + read(light, first, at - vec2(first)).rgb);
}`;

const SPRITE_AT = `
layout(location = 0) in vec4 placed; // centre; along
layout(location = 1) in vec4 formed; // half its length and width; shape; mode
layout(location = 2) in vec4 lit; // softness; share; red, green
layout(location = 3) in vec4 more; // blue; behind; shade
uniform vec2 canvas, scale, size; // size: of the view, in short sides
uniform float unit; // pixels of a short side
flat out vec4 onCanvas, form, colours;
flat out vec3 rest;
void main() {
  vec2 sides = max(formed.xy * unit, vec2(${FINEST})), thin = min(formed.xy * unit / ${FINEST}, vec2(1));
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0, across = vec2(-placed.w, placed.z);
  vec2 centre = placed.xy * unit, at = centre + corner.x * (sides.x + 0.5) * placed.zw + corner.y * (sides.y + 0.5) * across;
  onCanvas = vec4(centre, placed.zw);
  form = vec4(sides, formed.zw);
  colours = vec4(lit.zw, more.x, lit.y * thin.x * thin.y);
  rest = vec3(lit.x, more.yz);
  gl_Position = vec4((at / unit / size * 2.0 - 1.0) * scale * vec2(1, -1), 0, 1);
}`;

const SPRITE_DRAWN = `
uniform sampler2D seen, front;
uniform vec2 canvas, scale, size;
uniform vec4 moved[4];
uniform float unit;
flat in vec4 onCanvas, form, colours;
flat in vec3 rest;
out vec4 result;
float smoothed(float share) {
  share = clamp(share, 0.0, 1.0);
  return share * share * (3.0 - 2.0 * share);
}
// How much of a sprite is at (u, v), in halves of its length and width, and how light it is there.
vec2 weigh(float shape, float u, float v) {
  float soft = rest.x, away = length(vec2(u, v));
  if (shape == ${SHAPES.star}.0) {
    away = min(1.0, away);
    vec2 along = abs(vec2(u, v)), arms = pow(max(1.0 - along, 0.0), vec2(3)) * max(1.0 - 14.0 * along.yx, 0.0);
    return vec2(min(1.0, pow(1.0 - away, 4.0) + 0.5 * (arms.x + arms.y)), 1);
  }
  if (shape == ${SHAPES.leaf}.0) {
    float inside = 1.0 - u * u - abs(v);
    return vec2(abs(u) < 1.0 ? smoothed(inside / max(soft, 0.05)) : 0.0, (abs(v) < 0.1 ? 0.82 : 1.0) + 0.12 * v);
  }
  if (shape == ${SHAPES.petal}.0) {
    v /= 0.74 + 0.26 * u;
    away = length(vec2(u, v)) + max(0.0, u - 0.7) * max(0.0, 1.0 - 4.0 * abs(v));
    return vec2(smoothed((1.0 - away) / soft), 0.9 + 0.1 * u);
  }
  if (shape == ${SHAPES.bubble}.0) {
    float rim = smoothed((away - 0.68) * 4.0) * smoothed((1.0 - away) * 12.0);
    float spot = smoothed(1.0 - 4.0 * length(vec2(u + 0.38, v + 0.42)));
    return vec2(min(1.0, 0.42 * rim + spot + (away < 1.0 ? 0.06 : 0.0)), 1);
  }
  if (shape == ${SHAPES.ring}.0)
    return vec2(smoothed((away - 1.0 + 2.0 * soft) / soft) * smoothed((1.0 - away) / soft), 0.9 + 0.25 * v);
  return vec2(smoothed((1.0 - away) / soft), 1);
}
void main() {
  vec2 place = (gl_FragCoord.xy / canvas - 0.5) / scale * vec2(1, -1) + 0.5;
  if (clamp(place, 0.0, 1.0) != place) discard;
  vec2 apart = place * size * unit - onCanvas.xy;
  vec2 weight = weigh(form.z, dot(apart, onCanvas.zw) / form.x, dot(apart, vec2(-onCanvas.w, onCanvas.z)) / form.y);
  float share = colours.a * weight.x, shade = weight.y * rest.z;
  int plane = int(rest.y + 0.5) - 1;
  if (plane >= 0) share *= 1.0 - textureLod(front, place * moved[plane].xy + moved[plane].zw, 0.0)[plane];
  vec3 byte = texelFetch(seen, ivec2(gl_FragCoord.xy), 0).rgb, before = byte * byte;
  // alone over what was drawn it is exact; over another sprite it is blended
  if (form.w == ${GAIN}.0) {
    float gain = sqrt(max(1.0 + share, 0.0));
    result = share < 0.0 ? vec4(0, 0, 0, 1.0 - gain) : vec4(min(byte * gain, 1.0) - byte, 0);
  } else if (form.w == ${ADD}.0) result = vec4(min(sqrt(before + share * colours.rgb), 1.0) - byte, 0);
  else result = vec4(sqrt(mix(before, colours.rgb * shade * shade, share)) - (1.0 - share) * byte, share);
}`;

// Draws overlays over a Drawing's canvas.
class Painter {
  // hiding: planes of what hides things, four at most
  constructor(drawing, overlay, hiding) {
    const { gl } = drawing;
    Object.assign(this, { drawing, overlay, gl, size: [0, 0], frames: [gl.createFramebuffer(), gl.createFramebuffer()] });
    this.air = drawing.program(WHOLE, AIR);
    this.sprite = drawing.program(SPRITE_AT, SPRITE_DRAWN);
    const [{ width, height }] = [...hiding, { width: 1, height: 1 }], pixels = new Uint8Array(4 * width * height);
    hiding.forEach((plane, k) => plane.forEach((value, i) => (pixels[4 * i + k] = Math.round(255 * value))));
    this.front = drawing.texture(width, height, gl.LINEAR);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    [this.gain, this.light] = [0, 1].map(() => drawing.texture(overlay.wide, overlay.high, gl.NEAREST, gl.RGBA32F));
    this.array = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    for (let part = 0; part < 4; part++) {
      gl.enableVertexAttribArray(part);
      gl.vertexAttribPointer(part, 4, gl.FLOAT, false, 4 * SPRITE, 16 * part);
      gl.vertexAttribDivisor(part, 1);
    }
    gl.bindVertexArray(null);
    drawing.bindPaths();
  }

  free() {
    const { gl, air, sprite, buffer, array, frames } = this;
    [this.front, this.gain, this.light, ...(this.seen ?? [])].forEach((texture) => gl.deleteTexture(texture));
    [air, sprite].forEach(({ program }) => gl.deleteProgram(program));
    frames.forEach((frame) => gl.deleteFramebuffer(frame));
    gl.deleteBuffer(buffer);
    gl.deleteVertexArray(array);
  }

  // Makes what is drawn next go into a texture of the canvas's size.
  begin() {
    const { gl, drawing: { canvas } } = this, size = [canvas.width, canvas.height];
    if (this.size[0] !== size[0] || this.size[1] !== size[1]) {
      this.seen?.forEach((texture) => gl.deleteTexture(texture));
      this.seen = this.frames.map((frame) => {
        const texture = this.drawing.texture(...size, gl.NEAREST);
        gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
        gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
        return texture;
      });
      this.size = size;
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frames[0]);
  }

  // Puts what was drawn since `begin` on the canvas, with the overlay over it. time: in loops; scale: as of COMPOSITE.
  // visits, follow: as of Overlay.look.
  finish(time, amount, scale, visits, follow) {
    const { gl, overlay, drawing, drawing: { canvas } } = this, size = [canvas.width, canvas.height];
    overlay.look(visits, follow);
    const moved = [0, 1, 2, 3].flatMap((plane) => {
      const [zoom, x, y] = overlay.view(overlay.hiding_near[plane] ?? 0);
      return [1 / zoom, 1 / zoom, -x / zoom / overlay.width, -y / zoom / overlay.height];
    });
    const view = { canvas: size, scale, moved };
    let last = 0;
    if (overlay.airy) {
      const { gain, light } = overlay.air(time % 1, amount), [fog] = overlay.fogs;
      for (const [texture, values] of [[this.gain, gain], [this.light, light]]) {
        gl.bindTexture(gl.TEXTURE_2D, texture);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, overlay.wide, overlay.high, gl.RGBA, gl.FLOAT, values);
      }
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.frames[1]);
      drawing.use(this.air, { seen: this.seen[0], gain: this.gain, light: this.light, front: this.front }, {
        ...view, grid: [overlay.wide, overlay.high], behind: [fog ? fog.behind : 0],
        fog: (fog ? fog.colour : [0, 0, 0]).map((value) => value * value),
      });
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      last = 1;
    }
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.frames[last]);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, ...size, 0, 0, ...size, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.drawSprites(overlay.sprites(time % 1, amount), { ...view, size: [overlay.width, overlay.height] }, this.seen[last]);
  }

  drawSprites(sprites, view, seen) {
    const { gl, overlay, drawing } = this;
    if (!sprites.length) return;
    const shown = view.scale.map((share, axis) => (share * view.canvas[axis]) / view.size[axis]);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(sprites), gl.STREAM_DRAW);
    drawing.use(this.sprite, { seen, front: this.front }, { ...view, unit: [Math.min(...shown)] });
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, sprites.length / SPRITE);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(null);
    drawing.bindPaths();
  }
}

// The overlay of the page's data, ready to be drawn; null where there is none.
async function openOverlay(drawing, data) {
  if (!data) return null;
  const grids = await Promise.all(data.planes.map(async (source) => readPlane(await decode(source))));
  return new Painter(drawing, new Overlay(data, grids), data.hiding.map((plane) => grids[plane]));
}

function readPlane(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const paint = canvas.getContext("2d");
  paint.drawImage(image, 0, 0);
  const { data } = paint.getImageData(0, 0, canvas.width, canvas.height);
  const values = Float32Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] / 255);
  return Object.assign(values, { width: canvas.width, height: canvas.height });
}
