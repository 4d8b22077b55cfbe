// The stage: the picture, once, with what is painted on it. Gradio runs this with page.js, and gives it by name: the element,
// `trigger` for events, `props` and `watch` for what the server hands over.
const $ = (selector) => element.querySelector(selector), all = (selector) => [...element.querySelectorAll(selector)];
const stage = $(".stage"), view = $(".view"), still = $(".still"), canvas = $(".paint"), pen = canvas.getContext("2d");
const RED = [255, 64, 64], BLUE = [48, 96, 255], STEPS = 60; // colours of what moves and of what is frozen; undo's length
const touched = matchMedia("(pointer: coarse)").matches; // by fingers, which have no Alt
const HINTS = {
  brush: "Paint what should move.",
  erase: "Erase paint, arrows and pins.",
  select: touched ? "Tap a thing to add it." : "Click on a thing to add it; with Alt, to take it away.",
  lasso: `Draw round a thing to add it${touched ? "" : "; with Alt, to take it away"}.`,
  arrow: "Drag from a place to where it goes, along bends too.",
  pin: "Click on a place that stays.",
  freeze: "Paint what must not move.",
};

// What is painted. It is never changed, only replaced, so that undo has each state before.
// of, picture: the picture's name on the server and its address; width, height: of all masks, which hold a byte a pixel;
// automatic: what was found; masks: what was painted, by thing, "" is what moves as a whole; chosen: the thing that is mended;
// arrows, pins: in fractions of the picture; centre: of a file of another shape, too, or null.
let art = null, past = [], future = [], turns = 0;
let regions = [], first = "", whole = true; // where the words' things are; the thing that a whole mask is of; whether words name none
let slowed = null; // what frozen places slow
let tool = "", size = 36, takes = false;
let zoom = { scale: 1, x: 0, y: 0 };

// --- masks and their PNGs

const texts = new WeakMap(); // PNG of a mask
const sheet = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

function encode(pixels) {
  if (!pixels) return null;
  if (!texts.has(pixels)) {
    const paper = sheet(art.width, art.height), image = new ImageData(art.width, art.height), grey = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) grey[i] = 0xff000000 | (pixels[i] * 0x10101);
    paper.getContext("2d").putImageData(image, 0, 0);
    texts.set(pixels, paper.toDataURL("image/png"));
  }
  return texts.get(pixels);
}

async function decode(source, width, height) {
  if (!source) return null;
  const image = Object.assign(new Image(), { src: source }), ink = sheet(width, height).getContext("2d");
  await image.decode();
  ink.drawImage(image, 0, 0, width, height);
  return firstChannel(ink.getImageData(0, 0, width, height));
}

function firstChannel({ data }) {
  const pixels = new Uint8Array(data.length / 4);
  for (let i = 0; i < pixels.length; i++) pixels[i] = data[4 * i];
  return pixels;
}

// The mask that is painted on, and the one that a thing has before anybody paints.
const start = (thing) => (thing ? regions.find((one) => one.thing === thing)?.pixels ?? new Uint8Array(art.width * art.height) : art.automatic);
const mask = () => art.masks[art.chosen] ?? start(art.chosen);

// What masks are called, so that a loop can be told to be of them: undone, they are the same ones again.
const names = new WeakMap();
function nameOf(masks) {
  if (!Object.keys(masks).length) return "";
  if (!names.has(masks)) names.set(masks, Math.random().toString(36).slice(2));
  return names.get(masks);
}

const write = () => JSON.stringify({
  revision: nameOf(art.masks), of: art.of, picture: art.picture, width: art.width, height: art.height, automatic: encode(art.automatic),
  mask: encode(art.masks[""]), parts: Object.entries(art.masks).filter(([thing]) => thing).map(([thing, own]) => [thing, encode(own)]),
  freeze: encode(art.freeze), arrows: art.arrows, pins: art.pins, centre: art.centre, shown: encode(mask()),
});

// What the server hands over, or the browser had kept: another picture, or the same with other paint.
async function open(text, kept = false) {
  const turn = ++turns, given = text ? JSON.parse(text) : null;
  let next = null;
  if (given) {
    const { width, height } = given, read = (source) => decode(source, width, height);
    const parts = await Promise.all(given.parts.map(async ([thing, source]) => [thing, await read(source)]));
    const whole = await read(given.mask);
    const masks = Object.fromEntries(whole ? [["", whole], ...parts] : parts);
    names.set(masks, given.revision ?? nameOf(masks));
    next = { ...given, masks, chosen: "", automatic: await read(given.automatic), freeze: await read(given.freeze) };
  }
  if (turn !== turns) return; // a newer one is on its way
  // the empty painting that clears the page between two choices of one picture may never come: Gradio leaves out what is outdated
  const another = given?.fresh || next?.of !== art?.of;
  if (another) [past, future, zoom] = [[], [], { scale: 1, x: 0, y: 0 }];
  else if (art && next && !kept) [past, future] = [[...past.slice(1 - STEPS), art], []];
  act = null;
  [art, regions, first, whole, slowed] = [next, [], "", true, null];
  if (art && still.getAttribute("src") !== art.picture) still.src = art.picture;
  still.alt = art ? "Your picture" : "";
  arrived(another, kept);
  draw();
}

// --- changes, and the one history of them

function change(next) {
  const before = art;
  art = { ...art, ...next };
  commit(before);
}

function commit(before) {
  past = [...past.slice(1 - STEPS), before];
  future = [];
  share(before);
}

function step(from, to) {
  if (!from.length || act) return;
  const before = art, { words, ...rest } = from.pop(); // words: the sentence, where it was changed
  to.push(words === undefined ? art : { ...art, words: sentence().value });
  art = rest;
  if (words !== undefined) reword(words);
  share(before);
}

// The sentence, of which a row is changed by its buttons.
const sentence = () => document.querySelector("#prompt textarea");
function reword(words) {
  sentence().value = words;
  sentence().dispatchEvent(new Event("input", { bubbles: true }));
}
function remember() {
  if (!art) return;
  [past, future] = [[...past.slice(1 - STEPS), { ...art, words: sentence().value }], []];
  draw();
}

// Tells the server, and everybody who shows it. Arrows, pins and frozen places change a loop that is there; a mask does not.
function share(before) {
  props.value = write();
  keepPaint();
  const directed = ["arrows", "pins", "freeze"].some((name) => art[name] !== before[name]);
  if (directed) trigger("directed");
  if (art.centre !== before.centre) show(stage.dataset.show);
  if (art.centre !== before.centre && film?.cut) settle(0); // it is cut elsewhere
  if (!directed && hasLoop() && art.masks !== before.masks) hint("Press Animate to use this mask.");
  else hint(HINTS[tool] ?? "");
  draw();
}

const paintOver = (pixels) => change({ masks: { ...art.masks, [art.chosen]: pixels } });

// Each pixel's extreme within a disc, or its mean under a Gaussian; lengths are in percent of the short side, as on the server.
function spread(pixels, extreme) {
  const { width, height } = art, radius = Math.max(1, Math.round(Math.min(width, height) / 100)), out = pixels.slice();
  for (let dy = -radius; dy <= radius; dy++) {
    const reach = Math.floor(Math.sqrt(radius * radius - dy * dy));
    for (let dx = -reach; dx <= reach; dx++)
      for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++)
        for (let i = y * width + Math.max(0, -dx), end = y * width + Math.min(width, width - dx), by = dy * width + dx; i < end; i++)
          out[i] = extreme(out[i], pixels[i + by]);
  }
  return out;
}

function soften(pixels) {
  const { width, height } = art, paper = sheet(width, height), ink = paper.getContext("2d");
  const image = Object.assign(new Image(), { src: encode(pixels) });
  return image.decode().then(() => {
    const blur = Math.min(width, height) / 100, edge = Math.ceil(3 * blur);
    ink.filter = `blur(${blur}px)`;
    // drawn past its borders, or the blur would darken them
    for (const [x, y, w, h] of [[-edge, -edge, width + 2 * edge, height + 2 * edge], [0, 0, width, height]]) ink.drawImage(image, x, y, w, h);
    return firstChannel(ink.getImageData(0, 0, width, height));
  });
}

const WHOLE = { // what each makes of the whole mask
  Clear: () => change({ masks: { ...art.masks, [art.chosen]: new Uint8Array(mask().length) }, freeze: null }),
  Invert: () => paintOver(mask().map((value) => 255 - value)),
  Grow: () => paintOver(spread(mask(), (one, other) => (one > other ? one : other))),
  Shrink: () => paintOver(spread(mask(), (one, other) => (one < other ? one : other))),
  Feather: () => soften(mask()).then(paintOver),
  "Whole picture": () => paintOver(new Uint8Array(mask().length).fill(255)),
  Unfreeze: () => change({ freeze: null }),
  Found() {
    const { [art.chosen]: _, ...masks } = art.masks;
    change({ masks });
  },
};

// What is painted is of a thing from now on.
function take(thing) {
  const { "": all, ...things } = art.masks;
  if (!(all && !art.chosen && first)) return { chosen: thing, masks: art.masks };
  const masks = { [first]: all, ...things }; // what was painted as a whole is the mask of what moves first
  names.set(masks, nameOf(art.masks));
  return { chosen: thing, masks };
}

// Mends where a thing is; chosen again, what moves as a whole is painted.
function choose(thing) {
  art = { ...art, ...take(thing === art.chosen ? "" : thing) }; // nothing to undo: nothing is painted by it
  props.value = write();
  draw();
  const lost = art.chosen && !mask().some(Boolean);
  if (lost || !MASKS.includes(tool)) use(lost ? "select" : "brush");
  const is = lost ? `${touched ? "Tap" : "Click on"} “${art.chosen}” in the picture, or paint it` : `This is where “${art.chosen}” is. Paint or erase until it is right`;
  hint(art.chosen ? `${is}, then press Animate.` : HINTS[tool]);
}

// --- drawing

const tints = new WeakMap(), outlines = new WeakMap(), EDGE = [[0, 0, 0], [255, 255, 255]];
let due = 0;
const draw = () => void (due ||= requestAnimationFrame(paint));
new ResizeObserver(draw).observe(view);

// The regions that are shown: each thing that words name, or the one mask; and what is frozen.
function layers() {
  const things = regions.filter((one) => one.thing !== art.chosen).map((one) => ({ ...one, pixels: art.masks[one.thing] ?? one.pixels }));
  const own = { pixels: mask(), colour: regions.find((one) => one.thing === art.chosen)?.colour ?? RED };
  const painted = art.masks[""] && !art.chosen; // which is the mask of the thing that moves first
  const named = painted ? things.map((one) => (one.thing === first ? { ...one, pixels: art.masks[""] } : one)) : things;
  const shown = isOver() ? [] : art.chosen ? [...things, own] : things.length || !(whole || painted) ? named : [own];
  const around = art.freeze && slowed ? [{ pixels: slowed, colour: BLUE, soft: true }] : [];
  return art.freeze ? [...shown, ...around, { pixels: art.freeze, colour: BLUE, striped: true }] : shown;
}

// A mask in its colour; of one that a stroke changes with its border, which is drawn sharper, along its path, once the stroke ends.
function tint(layer, changing = false) {
  const { pixels, colour } = layer;
  if (tints.get(pixels)?.colour !== colour.join()) {
    tints.set(pixels, { paper: sheet(art.width, art.height), colour: colour.join() });
    fill(layer, changing, [0, 0, art.width, art.height]);
  }
  return tints.get(pixels).paper;
}

function fill({ pixels, colour, striped }, changing, [left, top, right, bottom]) {
  const { width, height } = art, image = new ImageData(right - left, bottom - top), { data } = image;
  const most = !changing && pixels.every((value) => value > 127) ? 0.12 : 0.4; // of a mask that is all of it, the picture is what counts
  const outside = (x, y) => x < 0 || y < 0 || x >= width || y >= height || pixels[y * width + x] <= 127;
  for (let y = top, at = 0; y < bottom; y++)
    for (let x = left; x < right; x++, at += 4) {
      const value = pixels[y * width + x];
      if (!value) continue;
      const edge = changing && value > 127 && (outside(x - 1, y) || outside(x + 1, y) || outside(x, y - 1) || outside(x, y + 1));
      [data[at], data[at + 1], data[at + 2]] = edge ? EDGE[((x + y) >> 2) % 2] : colour;
      data[at + 3] = edge ? 255 : value * (striped && (x + y) % 8 < 4 ? 0.75 : most);
    }
  tints.get(pixels).paper.getContext("2d").putImageData(image, left, top);
}

// What a stroke has changed in a box of a mask.
function recolour(pixels, box) {
  const layer = layers().find((one) => one.pixels === pixels);
  if (layer && tints.has(pixels)) fill(layer, true, box);
}

// Along the border of what is masked, from the middle of one pixel's edge to the next.
function outline(pixels) {
  if (outlines.has(pixels)) return outlines.get(pixels);
  const { width, height } = art, wide = width + 1, next = new Map(), path = new Path2D();
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] > 127;
  const edge = (from, to) => (next.has(from) ? next.get(from).push(to) : next.set(from, [to]));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (pixels[y * width + x] <= 127) continue;
      const corner = y * wide + x;
      if (!inside(x, y - 1)) edge(corner, corner + 1);
      if (!inside(x + 1, y)) edge(corner + 1, corner + wide + 1);
      if (!inside(x, y + 1)) edge(corner + wide + 1, corner + wide);
      if (!inside(x - 1, y)) edge(corner + wide, corner);
    }
  for (const begin of next.keys())
    while (next.get(begin).length) {
      let from = begin, to, begun = false;
      do {
        to = next.get(from).pop();
        const middle = [((from % wide) + (to % wide)) / 2, (Math.floor(from / wide) + Math.floor(to / wide)) / 2];
        begun ? path.lineTo(...middle) : path.moveTo(...middle);
        [from, begun] = [to, true];
      } while (from !== begin);
      path.closePath();
    }
  outlines.set(pixels, path);
  return path;
}

function paint() {
  due = 0;
  compare();
  stage.toggleAttribute("data-picture", Boolean(art));
  all("[data-do=undo]").concat(all("[data-do=redo]")).forEach((button) => (button.disabled = !(button.dataset.do === "undo" ? past : future).length));
  const [wide, high, sharp] = [view.clientWidth, view.clientHeight, devicePixelRatio];
  fit(canvas, Math.round(wide * sharp), Math.round(high * sharp));
  for (const each of [still, video, frame]) each.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
  stage.toggleAttribute("data-over", isOver());
  for (const chip of document.querySelectorAll("#understood [data-thing]")) {
    chip.setAttribute("aria-pressed", chip.dataset.thing === art?.chosen);
    chip.toggleAttribute("data-painted", Boolean(art?.masks[chip.dataset.thing]));
  }
  if (!art || !wide) return;
  const unit = (wide * zoom.scale) / art.width, thin = 1 / unit; // pixels of the screen in one of the mask's
  const placed = [unit * sharp, 0, 0, unit * sharp, zoom.x * sharp, zoom.y * sharp];
  const changing = act && tool in STROKES ? [art.masks[art.chosen] !== act.before.masks[art.chosen] && mask(), art.freeze !== act.before.freeze && art.freeze] : [];
  const [resting, stroked] = [false, true].map((is) => layers().filter(({ pixels }) => changing.includes(pixels) === is));
  if (canvas.width && canvas.height) pen.drawImage(lay(resting, placed, thin), 0, 0);
  pen.setTransform(...placed);
  pen.lineCap = pen.lineJoin = "round";
  for (const layer of stroked) pen.drawImage(tint(layer, true), 0, 0);
  if (tool === "select" && cursor && isUnder(cursor)) {
    stroke(outline(ghost.pixels), "#000", 4 * thin);
    stroke(outline(ghost.pixels), "#fff", 2 * thin);
  }
  if (act?.lasso) {
    const path = roundLasso();
    stroke(path, "#000", 3.4 * thin);
    stroke(path, "#fff", 1.6 * thin);
  }
  const own = ([x, y]) => [x * art.width, y * art.height];
  for (const [x0, y0, x1, y1] of act?.arrow ? [...art.arrows, ...follow(act.arrow)] : art.arrows) drawArrow(own([x0, y0]), own([x1, y1]), thin);
  for (const pin of art.pins) drawPin(own(pin), thin);
  if (cursor && tool) drawCursor(thin);
}

function fit(paper, width, height) {
  const ink = paper.getContext("2d");
  if (paper.width !== width || paper.height !== height) [paper.width, paper.height] = [width, height];
  else ink.reset();
  return ink;
}

// Regions with their outlines, drawn once for as long as neither they nor the view change: dashes along a path take longest.
const laid = { paper: sheet(1, 1), of: [] };
function lay(regions, placed, thin) {
  const of = [canvas.width, canvas.height, ...placed, ...regions.flatMap(({ pixels, colour }) => [pixels, ...colour])];
  if (of.length === laid.of.length && of.every((part, i) => part === laid.of[i])) return laid.paper;
  laid.of = of;
  const ink = fit(laid.paper, canvas.width, canvas.height);
  ink.setTransform(...placed);
  ink.lineCap = ink.lineJoin = "round";
  for (const layer of regions) {
    ink.drawImage(tint(layer), 0, 0);
    if (layer.soft) continue; // it has no border
    const path = outline(layer.pixels);
    stroke(path, "#000", 3.4 * thin, ink);
    stroke(path, "#fff", 2 * thin, ink);
    ink.setLineDash([5 * thin, 5 * thin]);
    stroke(path, `rgb(${layer.colour.map((part) => part * 0.75)})`, 2 * thin, ink);
    ink.setLineDash([]);
  }
  return laid.paper;
}

function stroke(path, colour, width, ink = pen) {
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.stroke(path);
}

function drawArrow([x0, y0], [x1, y1], thin) {
  const way = Math.atan2(y1 - y0, x1 - x0), path = new Path2D();
  path.moveTo(x0, y0);
  path.lineTo(x1, y1);
  for (const side of [-1, 1]) {
    path.moveTo(x1, y1);
    path.lineTo(x1 - 13 * thin * Math.cos(way + side * 0.5), y1 - 13 * thin * Math.sin(way + side * 0.5));
  }
  stroke(path, "#fff", 7 * thin);
  stroke(path, "#000", 3 * thin);
}

function drawPin([x, y], thin) {
  for (const [radius, colour] of [[8, "#fff"], [6, "#000"], [2, "#fff"]]) {
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc(x, y, radius * thin, 0, 2 * Math.PI);
    pen.fill();
  }
}

function drawCursor(thin) {
  const path = new Path2D(), { x, y } = cursor, radius = tool in STROKES ? (size / 2) * thin : 9 * thin;
  path.arc(x, y, radius, 0, 2 * Math.PI);
  if (!(tool in STROKES) || keyed) for (const [dx, dy] of [[1, 0], [0, 1]]) {
    path.moveTo(x - 14 * thin * dx, y - 14 * thin * dy);
    path.lineTo(x + 14 * thin * dx, y + 14 * thin * dy);
  }
  stroke(path, "#000", 3 * thin);
  stroke(path, "#fff", 1.4 * thin);
}
