// The renderer in WebGL 2: each layer is moved by its displacement and lies over the layers behind it. The picture is
// separated into its layers once for each size on the screen. Mirrors loopanimate/render/reference.py.
const EDGES = 48; // of the mesh on the short side, about: the displacement is a cubic at its corners and linear between them

// One triangle that covers the target.
const WHOLE = `
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1);
}`;

// A layer's colours, premultiplied, and its alpha; or, with behind = 1, the picture behind it. Both composite to the picture
// exactly: where no colour of that alpha can give it over the plate, the plate is moved until one can.
const SEPARATE = `
uniform sampler2D picture, plate, alpha;
uniform float behind;
out vec4 result;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec3 seen = texelFetch(picture, at, 0).rgb;
  vec4 filled = texelFetch(plate, at, 0);
  float share = texelFetch(alpha, at, 0).r, clear = 1.0 - share;
  vec3 back = mix(seen, filled.rgb, filled.a);
  if (clear > 0.0) back = clamp(back, (seen - share) / clear, seen / clear);
  back = round(back * 255.0) / 255.0; // as it is stored
  result = behind > 0.0 ? vec4(back, 1) : vec4(seen - clear * back, share);
}`;

// Doubles the pixels along one axis: even places keep theirs, a weighted sum of pixels gives those half-way between.
const DOUBLE = `
uniform sampler2D pixels;
uniform vec2 axis;
uniform float halfWay[${constants.halfWay.length}];
out vec4 result;
void main() {
  ivec2 along = ivec2(axis), at = ivec2(gl_FragCoord.xy), last = textureSize(pixels, 0) - 1, source = at / (1 + along);
  result = texelFetch(pixels, source, 0);
  if ((at.x * along.x + at.y * along.y) % 2 == 0) return;
  result = vec4(0);
  source -= (halfWay.length() / 2 - 1) * along;
  for (int i = 0; i < halfWay.length(); i++) result += halfWay[i] * texelFetch(pixels, clamp(source + i * along, ivec2(0), last), 0);
}`;

// Gaussian blur along one axis, into a target that may be smaller.
const BLUR = `
uniform sampler2D pixels;
uniform vec2 axis, target;
uniform float sigma;
out vec4 result;
void main() {
  ivec2 size = textureSize(pixels, 0), last = size - 1;
  vec2 centre = gl_FragCoord.xy * vec2(size) / target;
  int middle = int(dot(floor(centre), axis)), reach = int(4.0 * sigma);
  vec4 sum = vec4(0);
  float total = 0.0;
  for (int i = middle - reach; i <= middle + reach; i++) {
    float away = float(i) + 0.5 - dot(centre, axis), weight = exp(-0.5 * away * away / (sigma * sigma));
    ivec2 at = axis.x > 0.0 ? ivec2(i, int(centre.y)) : ivec2(int(centre.x), i);
    at = last - abs(last - abs(at)); // mirrored at the border
    sum += weight * texelFetch(pixels, at, 0);
    total += weight;
  }
  result = sum / total;
}`;

// MESH and COMPOSITE are written for the layers that the picture has, front to back. A layer that streams takes two vertex
// attributes and two textures, any other layer one.
const MESH = (layers) => {
  const names = layers.flatMap(({ streams }, k) => (streams ? [`moved${k}`, `wound${k}`] : [`moved${k}`]));
  return `
uniform vec2 mesh, scale;
${names.map((name, place) => `layout(location = ${place}) in vec2 ${name}At; out vec2 ${name};`).join("\n")}
void main() {
  int line = int(mesh.x) + 1;
  vec2 place = vec2(gl_VertexID % line, gl_VertexID / line) / mesh;
  gl_Position = vec4((place * 2.0 - 1.0) * scale * vec2(1, -1), 0, 1);
  ${names.map((name) => `${name} = ${name}At;`).join(" ")}
}`;
};

const COMPOSITE = (layers) => `
uniform vec2 canvas, scale; // pixels of the canvas; the picture's share of it, 1 fills it
uniform vec2 size; // pixels of the layers before they are doubled
uniform float border; // width of the fade at the picture's borders, in short sides
uniform float alikeness; // a stream's two phases are alike by exp(-alikeness * their distance in short sides)
uniform vec4 touched[${layers.length}]; // left, top, right, bottom: 1 where the layer touches that border
uniform float offset[${layers.length}]; // of the first texel's centre, in pixels of \`size\`
uniform float weight[${layers.length}], streams[${layers.length}]; // how much shows the earlier phase; how much it streams
out vec4 colour;
vec2 place; // in the picture, 0 to 1

// Pixels of a short side, fading to zero at the borders that are touched.
float fade(vec4 ends) {
  float unit = min(size.x, size.y);
  vec2 inside = min(mix(vec2(1), place, ends.xy), mix(vec2(1), 1.0 - place, ends.zw)) * size / unit;
  vec2 ramp = smoothstep(0.0, border, inside);
  return ramp.x * ramp.y * unit;
}

// Two phases of a stream, cross-faded. The less they are alike, the more contrast their blend loses: the gain gives it back.
vec4 flow(vec4 later, vec4 earlier, vec4 mean, vec2 winding, float weight, float streams) {
  float alike = exp(-alikeness * length(winding) / min(size.x, size.y));
  float gain = inversesqrt((1.0 - weight) * (1.0 - weight) + weight * weight + 2.0 * weight * (1.0 - weight) * alike);
  return clamp(mean + mix(1.0, gain, streams) * mix(later - mean, earlier - mean, weight), 0.0, 1.0);
}
${layers.map(LAYER).reverse().join("")}
void main() {
  // not interpolated over the mesh, whose corners are snapped to fractions of a pixel
  place = (gl_FragCoord.xy / canvas - 0.5) / scale * vec2(1, -1) + 0.5;
  colour = vec4(from0(), 1);
}`;

// Shows layer k over the layers behind it. Behind another layer the result is rounded to bytes, because that layer was
// separated over bytes.
function LAYER({ streams }, k, { length }) {
  const behind = k < length - 1;
  return `
uniform sampler2D pixels${k};
in vec2 moved${k};
${streams ? `uniform sampler2D mean${k};\nin vec2 wound${k};` : ""}
vec3 from${k}() {
  float unit = fade(touched[${k}]);
  vec2 at = place * size - moved${k} * unit - offset[${k}];
  vec4 front = textureLod(pixels${k}, at / size, 0.0);
  ${streams ? `if (streams[${k}] > 0.0) {
    vec2 winding = wound${k} * unit;
    vec4 earlier = textureLod(pixels${k}, (at + winding) / size, 0.0);
    front = flow(front, earlier, textureLod(mean${k}, place, 0.0), winding, weight[${k}], streams[${k}]);
  }` : ""}
  ${behind ? `if (front.a < 1.0) front.rgb += (1.0 - front.a) * from${k + 1}();` : ""}
  return ${behind && k ? "round(front.rgb * 255.0) / 255.0" : "front.rgb"};
}`;
}

class Drawing {
  // sources: images { picture, layers: [{ alpha, plate }] }; the last layer has neither and covers the whole picture.
  constructor(canvas, loop, sources) {
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, powerPreference: "low-power" });
    if (!this.gl) throw new Error("no WebGL 2");
    Object.assign(this, { canvas, loop, sources, layers: [] });
    const gl = this.gl;
    this.separate = this.program(WHOLE, SEPARATE);
    this.double = this.program(WHOLE, DOUBLE);
    this.blur = this.program(WHOLE, BLUR);
    this.shift = null; // of faces, made when there are any
    this.faces = [];
    this.frame = gl.createFramebuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    this.pathBuffer = gl.createBuffer();
    this.bindPaths();
    this.fitToMotion();
  }

  bindPaths() {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.pathBuffer);
  }

  // Makes the mesh and the shaders that the motion's grid and streams need. The next frame prepares the layers anew.
  fitToMotion() {
    const { gl, loop, loop: { columns, rows, loops, layers } } = this;
    const { step, data } = this.loop.nudge;
    this.nudge = Float32Array.from(atob(data), (letter) => ((letter.charCodeAt(0) << 24) >> 24) * step); // of signed bytes
    this.kinds = layers.map((_, k) => ({
      streams: loops.some((one) => one.streams[k]),
      moves: loops.some((one) => one.peaks[k] > 0) || this.facesOf(k).length > 0,
    }));
    if (loop.faces?.length) this.shift ??= this.program(WHOLE, SHIFT);
    if (this.composite) gl.deleteProgram(this.composite.program);
    this.composite = this.program(MESH(this.kinds), COMPOSITE(this.kinds));
    [this.across, this.down] = [columns, rows].map((cells) => {
      const edges = cells * Math.ceil(EDGES / Math.min(columns, rows));
      return Array.from({ length: edges + 1 }, (_, corner) => splineAt(corner / edges, cells));
    });
    const wide = this.across.length, triangles = [];
    for (let y = 0; y < this.down.length - 1; y++)
      for (let x = 0; x < wide - 1; x++) {
        const corner = y * wide + x, below = corner + wide;
        triangles.push(corner, corner + 1, below, below, corner + 1, below + 1);
      }
    this.corners = triangles.length;
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(triangles), gl.STATIC_DRAW);
    const values = 2 * wide * this.down.length, fields = this.kinds.reduce((sum, { streams }) => sum + 1 + streams, 0);
    this.paths = new Float32Array(values * fields);
    for (let place = 0; place < fields; place++) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 4 * values * place);
    }
    this.size = [0, 0];
  }

  facesOf(layer) {
    return (this.loop.faces ?? []).filter(({ layers }) => layers.includes(layer));
  }

  program(...sources) {
    const gl = this.gl, program = gl.createProgram();
    const shaders = sources.map((source, index) => {
      const shader = gl.createShader(index ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
      gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      return shader;
    });
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error([...shaders.map((shader) => gl.getShaderInfoLog(shader)), gl.getProgramInfoLog(program)].join("\n"));
    shaders.forEach((shader) => gl.deleteShader(shader)); // they live as long as the program
    const setters = { [gl.FLOAT]: "uniform1fv", [gl.FLOAT_VEC2]: "uniform2fv", [gl.FLOAT_VEC3]: "uniform3fv", [gl.FLOAT_VEC4]: "uniform4fv", [gl.SAMPLER_2D]: "uniform1iv" };
    const uniforms = {};
    for (let i = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) - 1; i >= 0; i--) {
      const { name, type } = gl.getActiveUniform(program, i);
      uniforms[name.replace("[0]", "")] = { place: gl.getUniformLocation(program, name), setter: setters[type] };
    }
    return { program, uniforms };
  }

  texture(width, height, filter, format = this.gl.RGBA8) {
    const gl = this.gl, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    return texture;
  }

  // Makes a program current, with its textures by name and the values of its uniforms as lists of numbers.
  use({ program, uniforms }, textures, values) {
    const gl = this.gl;
    gl.useProgram(program);
    Object.entries(textures).forEach(([name, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      values[name] = [unit];
    });
    for (const [name, { place, setter }] of Object.entries(uniforms)) gl[setter](place, values[name]);
  }

  // Draws a new texture of that size.
  pass(program, textures, width, height, values) {
    const gl = this.gl, target = this.texture(width, height, gl.LINEAR);
    this.use(program, textures, { target: [width, height], ...values });
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return target;
  }

  // Separates the layers, each from the picture behind the one before, at the size on the screen or, if smaller, their own.
  prepare(width) {
    const { gl, loop, sources } = this;
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    const scale = Math.min(1, width / loop.width, most / 2 / Math.max(loop.width, loop.height));
    const [wide, high] = [loop.width, loop.height].map((side) => Math.max(1, Math.round(side * scale)));
    if (this.size[0] === wide && this.size[1] === high) return;
    const free = (...textures) => textures.forEach((texture) => texture && gl.deleteTexture(texture));
    this.layers.forEach(({ pixels, mean }) => free(pixels, mean));
    this.faces.forEach((face) => face.free());
    const scaled = document.createElement("canvas");
    [scaled.width, scaled.height] = [wide, high];
    const paint = scaled.getContext("2d");
    paint.imageSmoothingQuality = "high";
    const upload = (image, [x, y] = [0, 0]) => {
      paint.clearRect(0, 0, wide, high);
      if (image) paint.drawImage(image, x * scale, y * scale, (image.naturalWidth * wide) / loop.width, (image.naturalHeight * high) / loop.height);
      const texture = this.texture(wide, high, gl.NEAREST);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, scaled);
      return texture;
    };
    const twice = (program, pixels, sizes, values) => { // along both axes
      const across = this.pass(program, { pixels }, ...sizes[0], { axis: [1, 0], ...values });
      const both = this.pass(program, { pixels: across }, ...sizes[1], { axis: [0, 1], ...values });
      free(across);
      return both;
    };
    const sigma = Math.max(1, Math.min(wide, high) / constants.meanSigma), shrink = Math.max(1, Math.floor(sigma / 3));
    const small = [wide, high].map((side) => Math.ceil(side / shrink));
    let seen = upload(sources.picture);
    this.layers = this.kinds.map(({ streams, moves }, k) => {
      const { alpha, plate } = sources.layers[k];
      let pixels = seen;
      if (alpha) {
        const parts = { picture: seen, plate: upload(plate, loop.layers[k].plate?.at), alpha: upload(alpha) };
        [pixels, seen] = [0, 1].map((behind) => this.pass(this.separate, parts, wide, high, { behind: [behind] }));
        free(...Object.values(parts));
      }
      const mean = streams && twice(this.blur, pixels, [[small[0], high], small], { sigma: [sigma] });
      if (!moves) return { pixels, mean, offset: 0 };
      const doubled = twice(this.double, pixels, [[2 * wide, high], [2 * wide, 2 * high]], { halfWay: constants.halfWay });
      free(pixels);
      return { pixels: doubled, mean, offset: 0.25 };
    });
    this.faces = this.layers.flatMap(({ pixels }, k) =>
      this.facesOf(k).map((face) => new FaceDrawing(this, face, pixels, [2 * wide, 2 * high], 2 * Math.min(wide, high))));
    this.size = [wide, high];
  }

  // state: of Walk; fit: the whole picture within the canvas instead of the canvas filled; follow: where the mouse draws it, -1 to 1;
  // painter: of light and weather, or null; time: its own and that of faces, in loops; amount: factor on it; strength: on faces.
  // visits: as of Overlay.look; light and weather, which follow cameras, come from `painter` at `time`.
  draw(state, fit, follow, painter = null, time = 0, amount = 0, strength = 1, visits = []) {
    const { gl, loop, canvas } = this;
    const across = canvas.width / loop.width, down = canvas.height / loop.height;
    const scale = fit ? Math.min(across, down) : Math.max(across, down);
    this.prepare(scale * loop.width);
    this.faces.forEach((face) => face.restore());
    this.faces.forEach((face) => face.draw(time, strength));
    if (follow.some(Boolean)) this.nudge.forEach((share, i) => follow.forEach((way, axis) => (state.displacement[2 * i + axis] += share * way)));
    let at = 0;
    const textures = {};
    this.layers.forEach(({ pixels, mean }, k) => {
      textures[`pixels${k}`] = pixels;
      at = this.spread(state.displacement, k, at);
      if (!mean) return;
      textures[`mean${k}`] = mean;
      at = this.spread(state.winding, k, at);
    });
    const shown = [(scale * loop.width) / canvas.width, (scale * loop.height) / canvas.height];
    if (amount > 0) painter?.begin();
    gl.bufferData(gl.ARRAY_BUFFER, this.paths, gl.STREAM_DRAW);
    this.use(this.composite, textures, {
      mesh: [this.across.length - 1, this.down.length - 1], canvas: [canvas.width, canvas.height], size: this.size,
      scale: shown,
      border: [state.border], alikeness: [constants.alikeness], weight: state.weights, streams: state.streams,
      touched: loop.layers.flatMap((layer) => layer.borders), offset: this.layers.map((layer) => layer.offset),
    });
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawElements(gl.TRIANGLES, this.corners, gl.UNSIGNED_INT, 0);
    if (amount > 0) painter?.finish(time, amount, shown, visits, follow);
  }

  // Writes the values of a layer's coefficients (rows, columns, 2) at the corners of the mesh to `paths`, from `target` on.
  spread(coefficients, layer, target) {
    const { paths, loop: { columns, rows } } = this, wide = 2 * columns, line = new Float32Array(wide);
    for (const { first, a, b, c, d } of this.down) {
      for (let i = 0, from = (layer * rows + first) * wide; i < wide; i++, from++)
        line[i] = a * coefficients[from] + b * coefficients[from + wide] + c * coefficients[from + 2 * wide] + d * coefficients[from + 3 * wide];
      for (const { first, a, b, c, d } of this.across)
        for (let i = 2 * first; i < 2 * first + 2; i++) paths[target++] = a * line[i] + b * line[i + 2] + c * line[i + 4] + d * line[i + 6];
    }
    return target;
  }
}

// The spline at `place` (0 to 1): the first of four coefficients out of `count`, and their weights. Past its outermost knots
// it is constant. A natural spline's coefficient beyond the last one goes straight on from the last two.
function splineAt(place, count) {
  const at = Math.min(Math.max(place * count - 0.5, 0), count - 1), cell = Math.min(Math.floor(at), count - 2);
  const f = at - cell, g = 1 - f;
  const [a, b, c, d] = [g * g * g, 4 - 3 * f * f * (1 + g), 4 - 3 * g * g * (1 + f), f * f * f].map((value) => value / 6);
  if (cell === 0) return { first: 0, a: b + 2 * a, b: c - a, c: d, d: 0 };
  if (cell === count - 2) return { first: count - 4, a: 0, b: a, c: b - d, d: c + 2 * d };
  return { first: cell - 1, a, b, c, d };
}
