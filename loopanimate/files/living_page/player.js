// Time, options and whatever the page runs in: a browser's tab, another page, Lively, Wallpaper Engine.
const loop = JSON.parse(document.getElementById("loop").textContent);
const page = document.documentElement, panel = document.getElementById("panel"), pause = document.getElementById("pause");
const canvas = document.getElementById("canvas"), picture = document.getElementById("picture");
const STRONGEST = Number(panel.elements.strength.max);
const PARALLAX = [0.008, 0.008, -0.004, -0.004]; // short sides that the layers follow the mouse
const settings = { strength: 1, tempo: 1, fps: 0, fit: "fill", parallax: false, wander: loop.loops.length > 1, paused: false, panel: true };
let drawing, walk, waiting = 0, last = null, due = 0, asleep;
const mouse = [0, 0], follow = [0, 0];

function borderWidth(reach) {
  const [share, least, most] = loop.border;
  return Math.min(most, Math.max(least, share * reach));
}

// Takes any of the settings, as text or as values; what cannot be read is left as it was.
function set(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (typeof settings[name] === "number") {
      const number = Number(value);
      if (String(value).trim() !== "" && number >= 0 && Number.isFinite(number)) settings[name] = number;
    } else if (typeof settings[name] === "boolean") settings[name] = ![false, 0, "0", "false", "off", "no"].includes(value);
    else if (name === "fit" && ["fill", "fit"].includes(value)) settings.fit = value;
  }
  settings.strength = Math.min(settings.strength, STRONGEST);
  settings.tempo = Math.min(settings.tempo, 10);
  walk.wander = settings.wander && loop.loops.length > 1;
  page.classList.toggle("fit", settings.fit === "fit");
  for (const input of panel.elements)
    if (input.type === "checkbox") input.checked = settings[input.name];
    else if (input.name) input.value = settings[input.name];
  pause.textContent = settings.paused ? "Play" : "Pause";
  panel.hidden = !settings.panel;
  wake();
}

// Draws the moment where the walk stands.
function draw() {
  if (!drawing || drawing.gl.isContextLost()) return;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  drawing.draw(walk.state(settings.strength, borderWidth), settings.fit === "fit", PARALLAX.map((share, i) => share * follow[i & 1]));
  page.classList.add("playing");
}

// Seconds go by: the loop goes on, the layers follow the mouse.
function advance(seconds) {
  walk.advance((seconds * settings.tempo) / loop.seconds);
  for (const i of [0, 1]) {
    follow[i] += ((settings.parallax ? mouse[i] : 0) - follow[i]) * (1 - Math.exp(-4 * seconds));
    if (Math.abs(follow[i]) < 1e-4) follow[i] = 0;
  }
}

function tick(now) {
  waiting = 0;
  const seconds = last === null ? 0 : (now - last) / 1000, pace = settings.fps ? 1000 / settings.fps : 0;
  const early = now < due - 1; // the clock of the screen is a millisecond's fraction off
  if (!early) {
    advance(settings.paused ? 0 : Math.min(seconds, 0.25)); // after a sleep it goes on where it was
    draw();
    last = now;
    due = Math.max(due, now - pace) + pace;
  }
  if (early || !settings.paused) wake();
}

// Another motion of the same picture, which goes on at the moment where the one before stood.
function replace(given) {
  const time = walk.now.time;
  Object.assign(loop, given);
  walk = new Walk(loop.loops.map((one) => new Motion(one, loop.rows * loop.columns)));
  walk.rewind(time);
  drawing?.fitToMotion();
  set({});
}

function wake() {
  if (drawing && !waiting && !document.hidden) waiting = requestAnimationFrame(tick);
}

function stir() {
  page.classList.add("awake");
  clearTimeout(asleep);
  asleep = setTimeout(() => panel.contains(document.activeElement) || page.classList.remove("awake"), 2500);
}

function decoded(source) {
  const image = new Image();
  image.src = source;
  return image.decode().then(() => image);
}

async function begin() {
  await picture.decode();
  const [plate, alpha] = await Promise.all([loop.plate?.source, loop.alpha].map((source) => source && decoded(source)));
  drawing = new Drawing(canvas, loop, { picture, plate, alpha });
  last = null;
  draw();
  wake();
}

function still(error) {
  console.warn(`The picture stays still: ${error.message}`);
  drawing = null;
  panel.hidden = true;
  page.classList.remove("playing");
}

walk = new Walk(loop.loops.map((one) => new Motion(one, loop.rows * loop.columns)));
document.getElementById("wandering").hidden = loop.loops.length < 2;
settings.paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
set(Object.fromEntries(new URLSearchParams(location.search)));
const ready = begin().then(() => true, (error) => (still(error), false));

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
canvas.addEventListener("webglcontextrestored", () => begin().catch(still));

// Lively and Wallpaper Engine have their own controls
window.livelyPropertyListener = (name, value) => set({ panel: false, [name]: name === "fit" ? ["fill", "fit"][value] : value });
window.wallpaperPropertyListener = {
  applyUserProperties: (given) =>
    set({ panel: false, ...Object.fromEntries(Object.entries(given).map(([name, property]) => [name, property.value])) }),
  applyGeneralProperties: (given) => given.fps && set({ fps: given.fps }),
  setPaused: (paused) => set({ paused }),
};

// For the page around it
window.living = {
  ready, set, replace, draw, advance, settings,
  get walk() {
    return walk;
  },
};
