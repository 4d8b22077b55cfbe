// Time, settings, and whatever the page runs in: a browser's tab, another page, Lively, Wallpaper Engine.
const page = document.documentElement, panel = document.getElementById("panel"), pause = document.getElementById("pause");
const canvas = document.getElementById("canvas"), picture = document.getElementById("picture");
const settings = { strength: 1, effects: loop.overlay?.amount ?? 1, tempo: 1, fps: 0, fit: "fill", parallax: false, wander: loop.loops.length > 1, paused: false, panel: true };
const FASTEST = 10; // tempo that a page around this one may ask for
let drawing, painter, walk, waiting = 0, last = null, due = 0, asleep;
const mouse = [0, 0], follow = [0, 0]; // from the middle, -1 to 1: where the mouse is, where the layers are on their way to it

// Takes any of the settings, as text or as values. A setting that cannot be read stays as it was.
function set(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (typeof settings[name] === "number") {
      const number = Number(value);
      if (String(value).trim() !== "" && number >= 0 && Number.isFinite(number)) settings[name] = number;
    } else if (typeof settings[name] === "boolean") settings[name] = ![false, 0, "0", "false", "off", "no"].includes(value);
    else if (name === "fit" && ["fill", "fit"].includes(value)) settings.fit = value;
  }
  settings.strength = Math.min(settings.strength, constants.strongest);
  settings.effects = Math.min(settings.effects, constants.strongest);
  settings.tempo = Math.min(settings.tempo, FASTEST);
  walk.wander = settings.wander && loop.loops.length > 1;
  page.classList.toggle("fit", settings.fit === "fit");
  for (const input of panel.elements)
    if (input.type === "checkbox") input.checked = settings[input.name];
    else if (input.name) input.value = settings[input.name];
  pause.textContent = settings.paused ? "Play" : "Pause";
  panel.hidden = !settings.panel;
  wake();
}

// Another motion of the same picture (living.motion_of). It goes on at the moment where the one before stood.
function replace(motion) {
  check(motion);
  Object.assign(loop, motion);
  drawing?.fitToMotion();
  start(walk.now.time);
  if ("overlay" in motion && drawing)
    openOverlay(drawing, motion.overlay).then((next) => {
      painter?.free();
      painter = next;
      wake();
    });
  set({});
}

function start(time) {
  walk = new Walk(loop.loops.map((one) => new Motion(one, loop.rows * loop.columns)));
  walk.rewind(time);
}

// Draws the moment at which the walk stands.
function draw() {
  if (!drawing || drawing.gl.isContextLost()) return;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  const { fit, strength, effects } = settings, visits = walk.visits().map(([{ time, force }, weight]) => [time, weight, strength * force]);
  drawing.draw(walk.state(strength), fit === "fit", follow, painter, walk.weather, effects, strength, visits);
  page.classList.add("playing");
}

// Lets seconds go by: the loop goes on and the layers follow the mouse.
function advance(seconds) {
  walk.advance((seconds * settings.tempo * loop.tempo * constants.nativeFps) / loop.period);
  for (const i of [0, 1]) {
    follow[i] += ((settings.parallax ? mouse[i] : 0) - follow[i]) * (1 - Math.exp(-4 * seconds));
    if (Math.abs(follow[i]) < 1e-4) follow[i] = 0;
  }
}

function tick(now) {
  waiting = 0;
  // Nothing to draw twice where a browser calls again within a frame, as some do for each of several iframes; nor before a
  // frame is due, within a millisecond, because the screen's clock is a fraction of one off.
  if (now === last || now < due - 1) return wake();
  const seconds = last === null ? 0 : (now - last) / 1000, pace = settings.fps ? 1000 / settings.fps : 0;
  advance(settings.paused ? 0 : Math.min(seconds, 0.25)); // after a sleep it goes on where it was
  draw();
  last = now;
  due = Math.max(due, now - pace) + pace;
  if (!settings.paused) wake();
}

function wake() {
  if (drawing && !waiting && !document.hidden) waiting = requestAnimationFrame(tick);
}

// Shows the panel until nothing stirs for a while.
function stir() {
  page.classList.add("awake");
  clearTimeout(asleep);
  asleep = setTimeout(() => panel.contains(document.activeElement) || page.classList.remove("awake"), 2500);
}

async function decode(source) {
  const image = source && Object.assign(new Image(), { src: source });
  await image?.decode();
  return image;
}

async function begin() {
  await picture.decode();
  const layers = loop.layers.map(async ({ alpha, plate }) => ({ alpha: await decode(alpha), plate: await decode(plate?.source) }));
  const sources = { picture, layers: await Promise.all(layers) };
  const drawn = new Drawing(canvas, loop, sources);
  painter = await openOverlay(drawn, loop.overlay);
  drawing = drawn;
  last = null;
  draw();
  wake();
}

function stayStill(error) {
  console.warn(`The picture stays still: ${error.message}`);
  drawing = null;
  panel.hidden = true;
  page.classList.remove("playing");
}

start(0);
panel.elements.wander.parentElement.hidden = loop.loops.length < 2;
panel.elements.effects.parentElement.hidden = !loop.overlay;
settings.paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
set(Object.fromEntries(new URLSearchParams(location.search)));
const ready = begin().then(() => true, (error) => (stayStill(error), false));

panel.addEventListener("input", ({ target }) => set({ [target.name]: target.type === "checkbox" ? target.checked : target.value }));
panel.addEventListener("submit", (event) => event.preventDefault());
pause.addEventListener("click", () => set({ paused: !settings.paused }));
for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) addEventListener(name, stir);
addEventListener("pointermove", (event) => {
  [mouse[0], mouse[1]] = [event.clientX / innerWidth, event.clientY / innerHeight].map((share) => 2 * share - 1);
});
addEventListener("keydown", (event) => {
  if (event.key !== " " || event.target.closest?.("button, input, select")) return;
  event.preventDefault();
  set({ paused: !settings.paused });
});
addEventListener("resize", wake);
document.addEventListener("visibilitychange", () => {
  last = null;
  wake();
});
canvas.addEventListener("webglcontextlost", (event) => {
  event.preventDefault();
  page.classList.remove("playing");
});
canvas.addEventListener("webglcontextrestored", () => begin().catch(stayStill));

// Lively and Wallpaper Engine have controls of their own.
window.livelyPropertyListener = (name, value) => set({ panel: false, [name]: name === "fit" ? ["fill", "fit"][value] : value });
window.wallpaperPropertyListener = {
  applyUserProperties: (given) =>
    set({ panel: false, ...Object.fromEntries(Object.entries(given).map(([name, property]) => [name, property.value])) }),
  applyGeneralProperties: (given) => given.fps && set({ fps: given.fps }),
  setPaused: (paused) => set({ paused }),
};

// For a page around this one.
window.living = {
  ready, set, replace, draw, advance, settings,
  get walk() {
    return walk;
  },
};
