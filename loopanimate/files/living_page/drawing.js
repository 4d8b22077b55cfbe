// The renderer in WebGL 2: two layers, each moved by its displacement, composited. Mirrors loopanimate/render/renderer.py.
const SUBDIVISIONS = 4; // of a cell, to a side of the mesh: the displacement is a cubic at its corners, linear between

const WHOLE = `#version 300 es
void main() { // one triangle over the whole target
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1);
}`;

// The salient layer's colours (premultiplied) and alpha, or the plate behind it, so that zero displacement composites to
// the picture: where no colour could explain it over that plate, the plate gives way.
const SEPARATE = `#version 300 es
precision highp float;
uniform sampler2D picture, plate, alpha;
uniform bool behind;
out vec4 result;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec3 seen = texelFetch(picture, at, 0).rgb;
  vec4 filled = texelFetch(plate, at, 0);
  float share = texelFetch(alpha, at, 0).r, clear = 1.0 - share;
  vec3 back = mix(seen, filled.rgb, filled.a);
  if (clear > 0.0) back = clamp(back, (seen - share) / clear, seen / clear);
  back = round(back * 255.0) / 255.0; // as it will be stored
  result = behind ? vec4(back, 1) : vec4(seen - (1.0 - share) * back, share);
}`;

// Twice as many pixels along one axis: themselves at even places, Lanczos over eight between.
const DOUBLE = `#version 300 es
precision highp float;
uniform sampler2D pixels;
uniform ivec2 axis;
out vec4 result;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy), last = textureSize(pixels, 0) - 1, source = at / (1 + axis);
  result = texelFetch(pixels, source, 0);
  if ((at.x * axis.x + at.y * axis.y) % 2 == 0) return;
  vec4 sum = vec4(0);
  float total = 0.0;
  for (int i = -3; i <= 4; i++) {
    float angle = 3.14159265 * (float(i) - 0.5), weight = sin(angle) * sin(angle / 4.0) / (angle * angle);
    sum += weight * texelFetch(pixels, clamp(source + i * axis, ivec2(0), last), 0);
    total += weight;
  }
  result = sum / total;
}`;

// Gaussian blur along one axis, into a target that may be smaller.
const BLUR = `#version 300 es
precision highp float;
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

const MESH = `#version 300 es
precision highp float;
uniform highp sampler2D motion; // spline coefficients of each row of corners: displacement, and below it winding
uniform ivec2 cells, mesh;
uniform vec2 scale, streams;
out vec4 moved, wound;
vec4 spline(float f) {
  float g = 1.0 - f;
  return vec4(g * g * g, 4.0 - 3.0 * f * f * (1.0 + g), 4.0 - 3.0 * g * g * (1.0 + f), f * f * f) / 6.0;
}
void main() {
  ivec2 corner = ivec2(gl_VertexID % (mesh.x + 1), gl_VertexID / (mesh.x + 1));
  vec2 place = vec2(corner) / vec2(mesh);
  float at = clamp(place.x * float(cells.x) - 0.5, 0.0, float(cells.x - 1)); // knots are cell centres; constant past the rim
  int cell = min(int(at), cells.x - 2);
  vec4 weights = spline(at - float(cell));
  moved = wound = vec4(0);
  for (int i = 0; i < 4; i++) {
    moved += weights[i] * texelFetch(motion, ivec2(cell + i, corner.y), 0);
    if (streams != vec2(0)) wound += weights[i] * texelFetch(motion, ivec2(cell + i, corner.y + mesh.y + 1), 0);
  }
  gl_Position = vec4((place * 2.0 - 1.0) * scale * vec2(1, -1), 0, 1);
}`;

const COMPOSITE = `#version 300 es
precision highp float;
uniform sampler2D layer, plate, layerMean, plateMean;
uniform vec2 canvas, scale; // of the target in pixels; of the picture in it, 1 filling it
uniform vec2 size; // of the picture, in pixels of the layers before they are doubled
uniform vec2 offsets; // of the layers' first texel, in these pixels
uniform float border; // width of the still border, in short sides
uniform vec4 held; // left, top, right, bottom: 1 where the salient layer has one
uniform vec4 nudge; // added to the displacement, in short sides
uniform vec2 weights, streams; // of each layer: how much shows its earlier phase, and whether it streams
uniform float alikeness; // of a stream's two phases falls by its exponential, a short side apart
uniform bool covered;
in vec4 moved, wound;
out vec4 colour;

vec4 show(sampler2D pixels, sampler2D mean, vec2 place, vec2 displacement, vec2 winding, float offset, float weight, float streams) {
  vec2 at = place * size - displacement - offset;
  vec4 later = textureLod(pixels, at / size, 0.0);
  if (streams == 0.0) return later;
  // two phases of an endless flow, cross-faded; the less they are alike, the more contrast their blend loses: given back
  vec4 earlier = textureLod(pixels, (at + winding) / size, 0.0), middle = textureLod(mean, place, 0.0);
  float alike = exp(-alikeness * length(winding) / min(size.x, size.y));
  float gain = inversesqrt((1.0 - weight) * (1.0 - weight) + weight * weight + 2.0 * weight * (1.0 - weight) * alike);
  return clamp(middle + mix(1.0, gain, streams) * mix(later - middle, earlier - middle, weight), 0.0, 1.0);
}

// Short sides to texels, zero at the borders that are held.
float fading(vec2 place, vec2 first, vec2 last) {
  float unit = min(size.x, size.y);
  vec2 inside = min(mix(vec2(1e6), place * size, first), mix(vec2(1e6), (1.0 - place) * size, last)) / unit;
  vec2 ramp = clamp(inside / border, 0.0, 1.0);
  ramp *= ramp * (3.0 - 2.0 * ramp);
  return ramp.x * ramp.y * unit;
}

void main() {
  // not from the mesh, whose corners are snapped to parts of a pixel
  vec2 place = (gl_FragCoord.xy / canvas - 0.5) / scale * vec2(1, -1) + 0.5;
  vec4 fade = vec4(vec2(fading(place, held.xy, held.zw)), vec2(fading(place, vec2(1), vec2(1))));
  vec4 displacement = (moved + nudge) * fade, winding = wound * fade;
  vec4 front = show(layer, layerMean, place, displacement.xy, winding.xy, offsets.x, weights.x, streams.x);
  colour = vec4(front.rgb, 1);
  if (!covered && front.a < 1.0) colour.rgb += (1.0 - front.a) * show(plate, plateMean, place, displacement.zw, winding.zw, offsets.y, weights.y, streams.y).rgb;
}`;

class Drawing {
  constructor(canvas, loop, sources) {
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, powerPreference: "low-power" });
    if (!this.gl) throw new Error("no WebGL 2");
    Object.assign(this, { canvas, loop, sources });
    const gl = this.gl;
    this.separate = this.program(WHOLE, SEPARATE);
    this.double = this.program(WHOLE, DOUBLE);
    this.blur = this.program(WHOLE, BLUR);
    this.composite = this.program(MESH, COMPOSITE);
    this.frame = gl.createFramebuffer();
    this.elements = gl.createBuffer();
    this.layers = [];
    this.fitToMotion();
  }

  // After the loop's motion was exchanged: mesh and grid of its cells; the layers are prepared anew at the next frame.
  fitToMotion() {
    const { gl, loop: { columns, rows } } = this;
    this.mesh = [columns * SUBDIVISIONS, rows * SUBDIVISIONS];
    const corners = new Uint32Array(6 * this.mesh[0] * this.mesh[1]);
    for (let y = 0, at = 0; y < this.mesh[1]; y++)
      for (let x = 0; x < this.mesh[0]; x++) {
        const corner = y * (this.mesh[0] + 1) + x, below = corner + this.mesh[0] + 1;
        for (const index of [corner, corner + 1, below, below, corner + 1, below + 1]) corners[at++] = index;
      }
    this.corners = corners.length;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    this.lines = Array.from({ length: this.mesh[1] + 1 }, (_, y) => splineAt(y / this.mesh[1], rows));
    this.grid = new Float32Array((columns + 2) * 2 * this.lines.length * 4);
    if (this.motion) gl.deleteTexture(this.motion);
    this.motion = this.texture(columns + 2, 2 * this.lines.length, gl.RGBA32F, gl.NEAREST);
    this.size = [0, 0];
  }

  program(...sources) {
    const gl = this.gl, program = gl.createProgram();
    sources.forEach((source, index) => {
      const shader = gl.createShader(index ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader)).join("\n"));
    const uniforms = {};
    for (let i = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) - 1; i >= 0; i--) {
      const { name } = gl.getActiveUniform(program, i);
      uniforms[name] = gl.getUniformLocation(program, name);
    }
    return { program, uniforms };
  }

  texture(width, height, format, filter) {
    const gl = this.gl, texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    return Object.assign(texture, { width, height });
  }

  bind(program, textures) {
    const gl = this.gl;
    gl.useProgram(program.program);
    Object.entries(textures).forEach(([name, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(program.uniforms[name] ?? null, unit);
    });
    return program.uniforms;
  }

  // A new texture of that size, drawn by a program.
  pass(program, textures, width, height, values) {
    const gl = this.gl, target = this.texture(width, height, gl.RGBA8, gl.LINEAR);
    const uniforms = this.bind(program, textures);
    for (const [name, value] of Object.entries(values)) {
      const whole = program === this.separate || (program === this.double && name === "axis");
      gl[`uniform${value.length}${whole ? "i" : "f"}`](uniforms[name], ...value);
    }
    if (uniforms.target) gl.uniform2f(uniforms.target, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return target;
  }

  // Separates the layers at the size that the picture has on the screen, at most its own.
  prepare(width) {
    const gl = this.gl, { loop, sources } = this;
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    const scale = Math.min(1, width / loop.width, most / 2 / Math.max(loop.width, loop.height));
    const [wide, high] = [loop.width, loop.height].map((side) => Math.max(1, Math.round(side * scale)));
    if (this.size[0] === wide && this.size[1] === high) return;
    this.layers.forEach(({ pixels, mean }) => [pixels, mean].forEach((texture) => gl.deleteTexture(texture)));
    const scaled = document.createElement("canvas");
    [scaled.width, scaled.height] = [wide, high];
    const paint = scaled.getContext("2d");
    paint.imageSmoothingQuality = "high";
    const upload = (image, x, y, ground) => {
      paint.clearRect(0, 0, wide, high);
      if (ground) paint.fillStyle = ground, paint.fillRect(0, 0, wide, high);
      if (image) paint.drawImage(image, x * scale, y * scale, (image.naturalWidth * wide) / loop.width, (image.naturalHeight * high) / loop.height);
      const texture = this.texture(wide, high, gl.RGBA8, gl.NEAREST);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, scaled);
      return texture;
    };
    const parts = {
      picture: upload(sources.picture, 0, 0),
      plate: upload(sources.plate, ...(loop.plate?.at ?? [0, 0])),
      alpha: upload(sources.alpha, 0, 0, sources.alpha ? null : "#fff"),
    };
    const sigma = Math.max(1, Math.min(wide, high) / loop.meanSigma), shrink = Math.max(1, Math.floor(sigma / 3));
    const small = [wide, high].map((side) => Math.ceil(side / shrink));
    this.layers = [0, 1].map((index) => {
      const single = this.pass(this.separate, parts, wide, high, { behind: [index] });
      let mean = single, pixels = single;
      if (loop.loops.some((one) => one.streams[index])) {
        const across = this.pass(this.blur, { pixels: single }, small[0], high, { axis: [1, 0], sigma: [sigma] });
        mean = this.pass(this.blur, { pixels: across }, ...small, { axis: [0, 1], sigma: [sigma] });
        gl.deleteTexture(across);
      }
      if (loop.loops.some((one) => one.peaks[index] > 0)) {
        const across = this.pass(this.double, { pixels: single }, 2 * wide, high, { axis: [1, 0] });
        pixels = this.pass(this.double, { pixels: across }, 2 * wide, 2 * high, { axis: [0, 1] });
        [across, single].forEach((texture) => gl.deleteTexture(texture));
        if (mean === single) mean = pixels;
      }
      return { pixels, mean, offset: pixels === single ? 0 : 0.25 };
    });
    this.size = [wide, high];
    Object.values(parts).forEach((texture) => gl.deleteTexture(texture));
  }

  // state: of Walk; fit: whole picture within the canvas instead of the canvas filled; nudge: 4 numbers, short sides.
  draw(state, fit, nudge) {
    const gl = this.gl, { loop, canvas } = this;
    const across = canvas.width / loop.width, down = canvas.height / loop.height;
    const scale = fit ? Math.min(across, down) : Math.max(across, down);
    this.prepare(scale * loop.width);
    const [layer, plate] = this.layers;
    const uniforms = this.bind(this.composite, {
      motion: this.motion, layer: layer.pixels, plate: plate.pixels, layerMean: layer.mean, plateMean: plate.mean,
    });
    gl.activeTexture(gl.TEXTURE0);
    this.spread(state.displacement, 0);
    if (state.streams.some(Boolean)) this.spread(state.winding, 1);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, loop.columns + 2, 2 * this.lines.length, gl.RGBA, gl.FLOAT, this.grid);
    gl.uniform2i(uniforms.cells, loop.columns, loop.rows);
    gl.uniform2i(uniforms.mesh, ...this.mesh);
    gl.uniform2f(uniforms.canvas, canvas.width, canvas.height);
    gl.uniform2f(uniforms.scale, (scale * loop.width) / canvas.width, (scale * loop.height) / canvas.height);
    gl.uniform2f(uniforms.size, ...this.size);
    gl.uniform2f(uniforms.offsets, layer.offset, plate.offset);
    gl.uniform1f(uniforms.border, state.border);
    gl.uniform4f(uniforms.held, ...loop.held);
    gl.uniform4f(uniforms.nudge, ...nudge);
    gl.uniform2f(uniforms.weights, ...state.weights);
    gl.uniform2f(uniforms.streams, ...state.streams);
    gl.uniform1f(uniforms.alikeness, loop.alikeness);
    gl.uniform1i(uniforms.covered, loop.alpha ? 0 : 1);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawElements(gl.TRIANGLES, this.corners, gl.UNSIGNED_INT, 0);
  }

  // A field (rows, columns, 4) at the mesh's rows, into the upper or lower half of the grid, with one more coefficient
  // on each side; the vertex shader does the columns.
  spread(field, half) {
    const { columns } = this.loop, { grid } = this, wide = 4 * columns;
    this.lines.forEach(([first, a, b, c, d], y) => {
      const row = (half * this.lines.length + y) * (wide + 8), from = first * wide;
      for (let i = 0; i < wide; i++)
        grid[row + 4 + i] =
          a * field[from + i] + b * field[from + wide + i] + c * field[from + 2 * wide + i] + d * field[from + 3 * wide + i];
      for (let i = row; i < row + 4; i++) {
        grid[i] = 2 * grid[i + 4] - grid[i + 8];
        grid[i + wide + 4] = 2 * grid[i + wide] - grid[i + wide - 4];
      }
    });
  }
}

// The first of four coefficients out of `count`, and their weights, that make the spline at `place` (0 to 1). Past its
// outermost knots it is constant; a natural spline's coefficient beyond the last goes straight on from the last two.
function splineAt(place, count) {
  const at = Math.min(Math.max(place * count - 0.5, 0), count - 1), cell = Math.min(Math.floor(at), count - 2);
  const f = at - cell, g = 1 - f;
  const [a, b, c, d] = [g * g * g, 4 - 3 * f * f * (1 + g), 4 - 3 * g * g * (1 + f), f * f * f].map((value) => value / 6);
  if (cell === 0) return [0, b + 2 * a, c - a, d, 0];
  if (cell === count - 2) return [count - 4, 0, a, b - d, c + 2 * d];
  return [cell - 1, a, b, c, d];
}
