// What hands do on the stage (stage.js, which this goes on from): tools, fingers, the mouse and keys.

// --- tools

const BEND = 0.06, MOST = 6; // short sides from a straight line at which a path is bent; arrows of a path
const STROKES = { brush: 255, erase: 0, freeze: 255 };
const MASKS = ["brush", "erase", "select", "lasso"], OVER = ["arrow", "pin", "freeze"]; // what changes a mask; what changes a loop that is there
let act = null, cursor = null, keyed = false; // what a hand is doing; where it is, in pixels of the mask; by keys

function use(name) {
  if (act) abandon(); // a stroke that is not over
  const before = tool;
  tool = name;
  // where the sentence names things, paint is of one of them: the first, unless a chip chose another
  if (MASKS.includes(name) && !art.chosen && regions.some((one) => one.thing === first)) art = { ...art, ...take(first) };
  stage.dataset.tool = name;
  for (const button of all(".tools [data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === name);
  if (!name) [cursor, act] = [null, null];
  else show("picture");
  if (!name && OVER.includes(before) && hasLoop()) show("loop"); // which it changed
  hint(name && name !== "freeze" && art?.chosen ? `${HINTS[name]} It counts for “${art.chosen}”: click on another row to change that.` : HINTS[name] ?? "");
  draw();
}

function spot({ clientX, clientY }) {
  const box = view.getBoundingClientRect(), unit = art.width / (box.width * zoom.scale);
  return { x: (clientX - box.left - view.clientLeft - zoom.x) * unit, y: (clientY - box.top - view.clientTop - zoom.y) * unit };
}

const share01 = ({ x, y }) => [x / art.width, y / art.height].map((part) => Math.min(1, Math.max(0, part)));

function begin(at, alt = false) {
  cursor = at;
  act = { before: art, at, alt };
  if (["lasso", "arrow"].includes(tool)) act[tool] = [at];
  if (tool in STROKES) {
    if (tool !== "freeze") art = { ...art, masks: { ...art.masks, [art.chosen]: mask().slice() } };
    if (tool === "freeze" || (tool === "erase" && art.freeze)) art = { ...art, freeze: art.freeze?.slice() ?? new Uint8Array(mask().length) };
    drag(at);
  }
  draw();
}

function drag(at) {
  cursor = at;
  if (act && tool in STROKES) {
    const radius = (size / 2) * (art.width / (view.clientWidth * zoom.scale));
    if (tool !== "freeze") stamp(art.masks[art.chosen], act.at, at, radius, STROKES[tool]);
    if (tool !== "brush" && art.freeze) stamp(art.freeze, act.at, at, radius, STROKES[tool]);
    if (tool === "erase") {
      const away = (x, y) => Math.hypot(x * art.width - at.x, y * art.height - at.y) > radius;
      const arrows = art.arrows.filter(([x0, y0, x1, y1]) => away(x0, y0) && away(x1, y1)), pins = art.pins.filter(([x, y]) => away(x, y));
      if (arrows.length < art.arrows.length) art = { ...art, arrows };
      if (pins.length < art.pins.length) art = { ...art, pins };
    }
  } else if (act?.arrow && keyed) act.arrow.splice(1, 1, at); // keys go round corners on their way
  else if (act?.lasso ?? act?.arrow) act[tool].push(at);
  else if (tool === "select") lookAt(at);
  if (act) act.at = at;
  draw();
}

function finish() {
  const { before, at, alt } = act, arrows = act.arrow ? follow(act.arrow) : [], round = act.lasso?.length > 2 && roundLasso();
  act = null;
  if (tool in STROKES) {
    for (const pixels of [art.masks[art.chosen], art.freeze]) if (pixels) tints.delete(pixels);
    if (art.freeze && !art.freeze.some(Boolean)) art = { ...art, freeze: null };
    if (tool === "erase" && before.freeze && art.freeze && before.freeze.every((value, i) => value === art.freeze[i])) art = { ...art, freeze: before.freeze };
    commit(before);
  } else if (arrows.length) change({ arrows: [...art.arrows, ...arrows] });
  else if (tool === "pin") change({ pins: [...art.pins, share01(at)] });
  else if (tool === "select") select(at, takes !== alt);
  else if (round) join(within(round), takes !== alt);
  draw();
}

function abandon() { // of a stroke that a second finger ends
  if (act) art = act.before;
  act = null;
  draw();
}

// The arrows of a path: one, or along a bend several, each from where the one before it ends.
function follow(path) {
  for (let bend = BEND; ; bend *= 2) {
    const arrows = divide(path, bend * Math.min(art.width, art.height));
    if (arrows.length <= MOST) return arrows;
  }
}

function divide(path, far) { // Douglas and Peucker, 1973
  const [first, last] = [path[0], path.at(-1)], [dx, dy] = [last.x - first.x, last.y - first.y], length = Math.hypot(dx, dy);
  const away = path.map(({ x, y }) => (length > 3 ? Math.abs((x - first.x) * dy - (y - first.y) * dx) / length : Math.hypot(x - first.x, y - first.y)));
  const bend = away.indexOf(Math.max(...away));
  if (away[bend] > far && bend > 0 && bend < path.length - 1) return [...divide(path.slice(0, bend + 1), far), ...divide(path.slice(bend), far)];
  return length > 3 ? [[...share01(first), ...share01(last)]] : [];
}

// The brush from one place to another: a pixel's share of a line with round ends.
function stamp(pixels, from, to, radius, value) {
  const { width, height } = art, [dx, dy] = [to.x - from.x, to.y - from.y], length = dx * dx + dy * dy || 1;
  const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)], [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
  const [low, high] = [Math.max(0, Math.floor(top - radius)), Math.min(height, Math.ceil(bottom + radius + 1))];
  const [west, east] = [Math.max(0, Math.floor(left - radius)), Math.min(width, Math.ceil(right + radius + 1))];
  for (let y = low; y < high; y++)
    for (let x = west; x < east; x++) {
      const along = Math.min(1, Math.max(0, ((x + 0.5 - from.x) * dx + (y + 0.5 - from.y) * dy) / length));
      const away = Math.hypot(x + 0.5 - from.x - along * dx, y + 0.5 - from.y - along * dy);
      const here = Math.min(1, Math.max(0, radius + 0.5 - away)), i = y * width + x;
      pixels[i] = value ? Math.max(pixels[i], 255 * here) : Math.min(pixels[i], 255 * (1 - here));
    }
  for (const cache of [outlines, texts]) cache.delete(pixels);
  const [begin, end] = [[Math.max(0, west - 1), Math.max(0, low - 1)], [Math.min(width, east + 1), Math.min(height, high + 1)]];
  if (begin[0] < end[0] && begin[1] < end[1]) recolour(pixels, [...begin, ...end]);
}

function roundLasso() {
  const path = new Path2D();
  for (const { x, y } of act.lasso) path.lineTo(x, y);
  path.closePath();
  return path;
}

function within(path) {
  const ink = sheet(art.width, art.height).getContext("2d");
  ink.fillStyle = "#fff";
  ink.fill(path, "evenodd");
  return firstChannel(ink.getImageData(0, 0, art.width, art.height));
}

const join = (found, away) => paintOver(mask().map((value, i) => (away ? Math.min(value, 255 - found[i]) : Math.max(value, found[i]))));

// The server finds the thing at a place. The one under a hand is outlined before it is chosen, and a click there takes it at once;
// of places that a hand passes while the server looks, the last one is asked for. What was painted meanwhile stays.
let ghost = null, looking = -Infinity, next = null; // what is outlined; when the server was last asked for it, and the place to ask for next
const isUnder = ({ x, y }) => ghost?.of === art.of && ghost.pixels[Math.floor(y) * art.width + Math.floor(x)] > 127;

function pick(at, words) {
  const [x, y] = share01(at);
  trigger("picked", { x, y, takes: false, over: false, of: art.of, ...words });
}

function lookAt(at) {
  next = act || isUnder(at) ? null : at;
  if (!next || performance.now() - looking < 3000) return; // an answer that does not come is not waited for
  looking = performance.now();
  setTimeout(() => {
    if (next && tool === "select") pick(next, { over: true });
    else looking = -Infinity;
    next = null;
  }, 40);
}

function select(at, away) {
  if (isUnder(at)) return join(ghost.pixels, away);
  view.classList.add("picking");
  pick(at, { takes: away });
}

async function takePick({ of, takes, over, replaces, mask: source }) {
  const found = await decode(source, art.width, art.height);
  if (over) looking = -Infinity;
  else view.classList.remove("picking");
  if (of !== art?.of) return;
  if (!over) return replaces ? paintOver(found) : join(found, takes);
  ghost = { of, pixels: found };
  if (next) lookAt(next);
  draw();
}

// --- fingers, the mouse and keys; without a tool the page scrolls over the picture

const fingers = new Map();
let pinch = null;

view.addEventListener("pointerdown", (event) => {
  if (!art || !tool || event.button > 0 || event.target.closest("button, label")) return;
  event.preventDefault();
  view.focus({ preventScroll: true });
  view.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  keyed = false;
  if (fingers.size === 2) {
    abandon();
    pinch = { ...measure(), zoom };
  } else if (fingers.size === 1) {
    begin(spot(event), event.altKey);
  }
});

view.addEventListener("pointermove", (event) => {
  if (!art || !tool) return;
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
  if (pinch) return void (fingers.size === 2 && reach());
  if (fingers.size > 1) return;
  const passed = act ? event.getCoalescedEvents?.() ?? [] : [];
  for (const each of passed.length ? passed : [event]) drag(spot(each));
});

for (const kind of ["pointerup", "pointercancel"])
  view.addEventListener(kind, (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (pinch) pinch = fingers.size ? pinch : null;
    else if (act && kind === "pointerup") finish();
    else abandon();
    if (event.pointerType === "touch") cursor = null;
  });

view.addEventListener("pointerleave", () => {
  if (!act) cursor = null;
  draw();
});

// The middle of two fingers within the view, and how far they are apart.
function measure() {
  const box = view.getBoundingClientRect(), [one, other] = [...fingers.values()];
  const middle = { x: (one.clientX + other.clientX) / 2 - box.left, y: (one.clientY + other.clientY) / 2 - box.top };
  return { middle, apart: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) };
}

function reach() {
  const now = measure();
  zoomTo((pinch.zoom.scale * now.apart) / pinch.apart, pinch.middle, now.middle, pinch.zoom);
}

// What was at `from` in the view comes to `to`.
function zoomTo(wish, from, to = from, before = zoom) {
  const scale = Math.min(12, Math.max(1, wish)), ends = [view.clientWidth, view.clientHeight];
  const [x, y] = ["x", "y"].map((axis, i) => Math.min(0, Math.max(ends[i] * (1 - scale), to[axis] - ((from[axis] - before[axis]) * scale) / before.scale)));
  zoom = { scale, x, y };
  draw();
}

view.addEventListener("wheel", (event) => {
  if (!art || !(tool || event.ctrlKey) || stage.dataset.show !== "picture") return;
  event.preventDefault();
  const box = view.getBoundingClientRect();
  zoomTo(zoom.scale * Math.exp(-event.deltaY / 400), { x: event.clientX - box.left, y: event.clientY - box.top });
}, { passive: false });

const KEYS = { b: "brush", e: "erase", s: "select", l: "lasso", a: "arrow", p: "pin", f: "freeze" };
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const typing = (target) => target.closest?.("textarea, select, [contenteditable], input:not([type=range], [type=checkbox], [type=file])");

document.addEventListener("keydown", (event) => {
  if (!art || typing(event.target) || !(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  key === "y" || event.shiftKey ? step(future, past) : step(past, future);
});

view.addEventListener("keydown", (event) => {
  if (!art || event.ctrlKey || event.metaKey || event.target !== view) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, middle = { x: view.clientWidth / 2, y: view.clientHeight / 2 };
  if (KEYS[key]) use(tool === KEYS[key] ? "" : KEYS[key]);
  else if (key === "Escape") use("");
  else if (key === "[" || key === "]") resize(size * (key === "[" ? 0.8 : 1.25));
  else if (key === "+" || key === "-") zoomTo(zoom.scale * (key === "+" ? 1.25 : 0.8), middle);
  else if (key === "0") zoomTo(1, middle);
  else if (WAYS[key] && tool) {
    const far = (event.shiftKey ? 40 : 8) * (art.width / (view.clientWidth * zoom.scale)), [dx, dy] = WAYS[key];
    const from = cursor ?? { x: art.width / 2, y: art.height / 2 };
    keyed = true;
    drag({ x: Math.min(art.width, Math.max(0, from.x + dx * far)), y: Math.min(art.height, Math.max(0, from.y + dy * far)) });
  } else if ((key === " " || key === "Enter") && tool) {
    keyed = true;
    cursor ??= { x: art.width / 2, y: art.height / 2 };
    if (event.repeat) return event.preventDefault();
    if (act) finish();
    else {
      begin(cursor, event.altKey);
      if (!["arrow", "lasso"].includes(tool) && !(tool in STROKES && key === " ")) finish(); // Space puts the brush down until it is pressed again
      else if (tool === "arrow") hint("Move to where it goes, then press Enter.");
      else if (tool === "lasso") hint("Move round the thing, then press Enter.");
    }
  } else if (key === " ") pause();
  else return;
  event.preventDefault();
});

function resize(wish) {
  size = Math.min(160, Math.max(6, wish));
  $(".size input").value = size;
  draw();
}
$(".size input").addEventListener("input", ({ target }) => resize(Number(target.value)));
$(".take input").addEventListener("change", ({ target }) => (takes = target.checked));

stage.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !stage.contains(button)) return;
  const { tool: name, whole, do: deed, show: wanted, index } = button.dataset;
  if (name && art) use(tool === name ? "" : name);
  if (whole && art) WHOLE[whole]();
  if (wanted) show(wanted);
  if (index) trigger("chose", { index: Number(index) });
  DEEDS[deed]?.(button);
});
