// The page around the stage (stage.js and tools.js, which this goes on from): the loop in the picture's place, jobs, files.

// --- what the stage shows: the picture, the loop in its place, or four seeds

const video = $("video"), frame = $("iframe");
let film = null, filmed = null, seeds = null, resting = 0; // what is known of the loop that is shown, and of the last one with a film
const hasLoop = () => Boolean(film);
// arrows, pins and frozen places are drawn over the loop that they change, where it has the picture's shape
const isOver = () => Boolean(film?.size && art && OVER.includes(tool) && Math.abs((film.size[0] / film.size[1]) * (art.height / art.width) - 1) < 0.03);
const hint = (words) => ($(".hint").textContent = words);
const preview = () => (frame.hasAttribute("srcdoc") ? frame.contentWindow.living : null);

// What only Animate makes is compared with what the loop is of: where it was changed since, loop and file are said to be older.
let values = {}; // of the controls, by setting
function compare() {
  const line = document.querySelector("#of p"), changed = [];
  if (!line) return;
  if (film?.words !== undefined && art) {
    const differs = ([name, value]) => name in values && String(values[name] ?? "") !== String(value ?? "");
    if (film.words !== sentence().value) changed.push(`the sentence “${film.words}”`);
    if (film.revision !== undefined && film.revision !== nameOf(art.masks)) changed.push("the mask as it was");
    if (Object.entries(film.request ?? {}).some(differs)) changed.push("the settings as they were");
  }
  const making = running.has("animate_one") || running.has("animate_four");
  const words = changed.length ? `The loop, with its file, is still of ${changed.join(" and ")}. ${making ? "" : "Animate makes the new one."}` : "";
  if (line.textContent !== words) line.textContent = words;
}
document.addEventListener("input", ({ target }) => target === sentence() && draw());

function show(wanted) {
  if (wanted !== "picture" && tool) use("");
  stage.dataset.show = wanted;
  for (const button of all(".bar [data-show]")) button.setAttribute("aria-pressed", button.dataset.show === wanted);
  // the view has the shape of what it shows, and a loop that of where it will hang
  const [width, height] = wanted === "loop" && film ? film.size : art ? [art.width, art.height] : [3, 2];
  const shape = (wanted === "loop" && film && PLACES[$(".place").value]) || width / height;
  stage.dataset.place = shape === width / height ? "" : $(".place").value;
  view.style.setProperty("--shape", shape);
  wider = width / height / shape;
  higher = film?.cut && art ? (art.width / art.height) * (film.size[1] / film.size[0]) : 1;
  place();
  if (!paused && film) video.play().catch(() => {});
  if (wanted === "loop") zoomTo(1, { x: 0, y: 0 });
}

// Where it is cut to a place's shape, what hands chose or the mask's middle stays in its middle, as in a file of that shape
// (files/sizes.py: cover_box). Of a loop that is cut out of its picture itself, hands choose what the next one is cut around.
const PLACES = { phone: 9 / 19.5, screen: 16 / 9, screens: 32 / 9 };
let wider = 1, higher = 1; // how much wider the loop is than the place, and the picture than a loop that is cut out of it
const part = (ratio) => [Math.min(1, 1 / ratio), Math.min(1, ratio)]; // what the narrower shape shows of the wider, in fractions
const seen = () => part(film?.cut ? higher : wider); // of the picture, in what hands slide
const middle = () => (art?.centre ?? film?.centre ?? [0.5, 0.5]).map((at, axis) => inside(at, seen()[axis]));
const inside = (at, part) => Math.min(1 - part / 2, Math.max(part / 2, at));
function place() {
  const looped = stage.dataset.show === "loop" && film?.centre, shares = looped ? part(wider).map((share, axis) => share * part(higher)[axis]) : [1, 1];
  const centre = looped ? middle() : [0.5, 0.5], percent = (share) => `${100 * share}%`;
  // all of the picture, so that the view shows its part: the still one always, the living one unless it is cut as the film is
  for (const [layer, shown] of [[still, shares], [frame, film?.cut ? [1, 1] : shares]]) {
    const [left, top] = shown.map((share, axis) => percent(share < 1 ? 0.5 - centre[axis] / share : 0));
    Object.assign(layer.style, { width: percent(1 / shown[0]), height: percent(1 / shown[1]), left, top });
  }
  const slack = centre.map((at, axis) => (seen()[axis] < 1 ? (at - seen()[axis] / 2) / (1 - seen()[axis]) : 0.5));
  video.style.objectPosition = stage.dataset.place && !film?.cut ? slack.map(percent).join(" ") : "";
  stage.dataset.slides = slidable() ? (seen()[0] < 1 ? "x" : "y") : "";
  const said = $(".hint").textContent;
  if (slidable() ? !said : said === SLIDE) hint(slidable() ? SLIDE : "");
}
const SLIDE = "Drag the loop to what the file shall show.";
$(".place").addEventListener("change", () => show("loop"));

let slid = null; // where the loop was when a hand took it
const slidable = () => art && !tool && film?.centre && stage.dataset.show === "loop" && Math.min(...seen()) < 1;
const slideTo = (centre) => {
  art = { ...art, centre: centre.map((at, axis) => inside(at, seen()[axis])) };
  stage.toggleAttribute("data-cutting", Boolean(film.cut)); // its film shows none of what it is slid to, the picture does
  place();
};
view.addEventListener("pointerdown", (event) => {
  if (!slidable() || event.button > 0 || event.target.closest("button")) return; // Cancel stands over the loop
  view.setPointerCapture(event.pointerId);
  slid = { at: [event.clientX, event.clientY], centre: middle(), before: art };
});
view.addEventListener("pointermove", (event) => {
  if (!slid) return;
  const moved = [(event.clientX - slid.at[0]) / view.clientWidth, (event.clientY - slid.at[1]) / view.clientHeight];
  slideTo(slid.centre.map((at, axis) => at - moved[axis] * part(wider)[axis] * (film.cut ? seen()[axis] : 1)));
});
for (const kind of ["pointerup", "pointercancel"])
  view.addEventListener(kind, () => {
    const before = slid?.before;
    slid = null;
    if (before && before !== art) commit(before);
  });
view.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], before = art;
  if (!way || !slidable()) return;
  event.preventDefault();
  slideTo(middle().map((at, axis) => at + 0.02 * way[axis]));
  commit(before);
});

let paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
function pause(wish = !paused) {
  paused = wish;
  $("[data-do=pause]").textContent = paused ? "Play" : "Pause";
  paused ? video.pause() : video.play().catch(() => {});
  preview()?.set({ paused });
}

// The living preview answers hands at once; the video follows when they rest.
function live(on) {
  stage.toggleAttribute("data-live", on);
  // a browser does not begin to play what came while it was hidden
  if (!on && !paused) video.play().catch(() => {});
}

// A loop is there by other hands than before, or another one: what Download gives is said of it.
function renew(word) {
  film = { ...film, ...word };
  stage.removeAttribute("data-glimpse");
  stage.removeAttribute("data-cutting");
  trigger("offered");
  draw();
}

function settle(milliseconds) {
  clearTimeout(resting);
  resting = setTimeout(() => {
    resting = 0;
    trigger("settled");
  }, milliseconds);
}

function play(strength, tempo, effects) {
  const page = preview(), own = Number(frame.dataset.strength);
  if (!page) return;
  page.set({ strength: own > 0 ? strength / own : 1, tempo, effects, paused, panel: false });
  if (!tool) show("loop");
  live(true);
  page.ready.then((drawn) => drawn || live(false));
}

function arrived(another, kept) {
  if (another) forget();
  if (!art) use("");
  if (another && art) {
    keepPicture();
    trigger("arrived");
    jobs.worded();
  }
  if (!art && coming) reveal();
  // other words on the picture before may come while the one that was chosen last is on its way
  if (art && !kept && (another || !chosen || art.of.endsWith(`/${chosen.name}`)) && !unexpect()) {
    if (eager) jobs.wish(eager);
    eager = "";
  }
  show(stage.dataset.show);
}

// A picture that is on its way is seen at once, as far as the browser can show it.
let coming = null, later = null; // the picture as it is seen; one that was chosen while another is on its way, and goes after it
async function expect(file) {
  [chosen, coming] = [file, null];
  stage.setAttribute("data-coming", "");
  if (!art) say("Taking the picture …");
  const image = Object.assign(new Image(), { src: URL.createObjectURL(file) });
  await image.decode().catch(() => {});
  if (chosen !== file || !image.naturalWidth) return void URL.revokeObjectURL(image.src);
  coming = image;
  if (!art) reveal();
}
function reveal() {
  still.src = coming.src;
  view.style.setProperty("--shape", coming.naturalWidth / coming.naturalHeight);
}
// Says whether another one is on its way now.
function unexpect() {
  if (coming) URL.revokeObjectURL(coming.src);
  const next = later;
  [chosen, coming, later] = [null, null, null];
  stage.removeAttribute("data-coming");
  put("#picture", next);
  return Boolean(next);
}

function forget() {
  newest.motion++;
  newest.regions++;
  [film, filmed, seeds, displaced] = [null, null, null, ""];
  video.removeAttribute("src");
  frame.removeAttribute("srcdoc");
  for (const name of ["data-loop", "data-live", "data-seeds", "data-glimpse", "data-cutting"]) stage.removeAttribute(name);
  say("");
  show("picture");
}

function say(words, share = null, problem = false) {
  const line = $(".work p");
  line.innerHTML = words;
  line.setAttribute("role", problem ? "alert" : "status");
  $(".work").classList.toggle("problem", problem);
  stage.toggleAttribute("data-said", Boolean(words));
  $(".work progress").hidden = share === null;
  $(".work progress").value = share ?? 0;
  // said where the finger is, too, which may be far from the picture
  const save = document.querySelector("#save"), busy = words && !problem && (running.has("download") || wished === "download");
  save?.toggleAttribute("data-word", Boolean(busy));
  if (busy) save.dataset.word = line.textContent;
  save?.style.setProperty("--done", `${100 * (share ?? 0)}%`);
}

// Says that a job waits, and how many do, until the server has a word of it.
async function wait(name, words) {
  let said = words;
  say(said);
  while (running.has(name) && $(".work p").textContent === said) {
    const waiting = await fetch("gradio_api/queue/status").then((answer) => answer.json(), () => ({}));
    if (!running.has(name) || $(".work p").textContent !== said) return;
    say((said = waiting.queue_size > 1 ? `${words} ${waiting.queue_size} jobs wait here, this one among them.` : words));
    await new Promise((done) => setTimeout(done, 2000));
  }
}

// What the server hands over, each with the name of the picture that it is of: what comes too late for its picture is dropped.
const newest = { motion: 0, regions: 0 }; // what is decoded late must not take the place of what came after it
let opened = open(props.value);
const given = {
  picked: takePick,
  job({ words, share, glimpse, problem }) {
    if (art && !running.size && !problem) return; // of a job that has ended
    if (problem && !unexpect()) eager = ""; // a file that could not be read, perhaps
    say(words, share, problem);
    stage.toggleAttribute("data-glimpse", Boolean(glimpse));
    if (glimpse) {
      $(".glimpse").src = glimpse;
      show("picture");
    }
  },
  living({ page, strength, ...word }) {
    frame.dataset.strength = strength;
    frame.srcdoc = page;
    renew({ ...word, awaited: true });
    frame.addEventListener("load", () => {
      preview()?.set({ panel: false, paused });
      if (film?.awaited) live(true); // the film may have been quicker
      if (!tool) show("loop");
      preview()?.ready.then((drawn) => drawn || live(false));
    }, { once: true });
  },
  film(word) {
    [film, filmed] = [null, word];
    renew(word);
    stage.setAttribute("data-loop", "");
    video.setAttribute("aria-label", word.words);
    video.src = word.source;
    if (!resting) live(false);
    if (!tool) show("loop");
  },
  motion({ motion, motion_strength, tempo, effect_strength }) {
    const turn = ++newest.motion;
    decode(motion?.reach, art.width, art.height).then((around) => {
      if (turn !== newest.motion) return;
      slowed = around;
      draw();
    });
    if (motion && preview()) {
      frame.dataset.strength = motion.own;
      preview().replace(motion.loops);
      play(motion_strength, tempo, effect_strength);
    }
    settle(50); // once the preview has drawn it
  },
  async regions({ regions: found, first: thing, whole: unnamed }) {
    const { width, height } = art, turn = ++newest.regions;
    const nothing = new Uint8Array(width * height); // where a thing is that was not found
    const read = await Promise.all(found.map(async (one) => ({ ...one, pixels: (await decode(one.place, width, height)) ?? nothing })));
    if (turn !== newest.regions) return;
    [regions, first, whole] = [read, thing, unnamed];
    draw();
  },
  seeds({ seeds: made }) {
    seeds = made;
    stage.removeAttribute("data-glimpse");
    stage.setAttribute("data-seeds", "");
    $(".seeds").replaceChildren(...made.map(({ source, seed }, index) => {
      const [button, label, image] = ["button", "span", "img"].map((name) => document.createElement(name));
      button.type = "button";
      button.dataset.index = index;
      [image.src, image.alt] = [source, ""];
      label.textContent = `${index + 1}: seed ${seed}`;
      button.append(image, label);
      return button;
    }));
    show("seeds");
  },
  visit: (word) => takeVisit(word),
  file({ path, name }) {
    Object.assign(document.createElement("a"), { href: "gradio_api/file=" + encodeURI(path), download: name }).click();
  },
};
const early = new Map(); // words that came just before their picture: Gradio hands over what came together one after the other
const accept = (name, word) => word.of === (art?.of ?? null) && (given[name](word), true);
watch("value", () => {
  opened = open(props.value).then(() => {
    for (const [name, { word, since }] of early) if (performance.now() - since < 2000) accept(name, word);
    early.clear();
  });
});
for (const name of Object.keys(given))
  watch(name, () => {
    const word = props[name];
    opened.then(() => word && (accept(name, word) || early.set(name, { word, since: performance.now() })));
  });

// --- jobs that run or wait

const WISHES = ["animate", "four", "download"];
const running = new Map();
let displaced = ""; // what a download took the place of: it begins again afterwards
let cancelling = false, wished = "", asked = -Infinity; // until all have ended: Gradio drops a wish for a job that still runs
const offer = () => stage.toggleAttribute("data-busy", running.size > 0);

function over(name) {
  if (!running.delete(name)) return;
  offer();
  if (running.size) return;
  if (!$(".work").classList.contains("problem")) say("");
  stage.removeAttribute("data-glimpse");
  if (!resting && !displaced && !film?.awaited) live(false); // what plays live without a film is newer than the last one
  const cancelled = cancelling && !wished, wish = wished || (cancelled ? "" : displaced);
  if (wish !== "download") displaced = "";
  [cancelling, wished, asked] = [false, "", -Infinity];
  jobs.worded(); // words that were typed meanwhile
  draw();
  if (wish) trigger(wish);
  if (cancelled) {
    film = filmed;
    live(false);
    if (!film) forget();
    hint("Cancelled.");
    trigger("cancelled");
  }
}

// What begins again after a download: the film of a loop that is there, or what was sampled just now.
function putOff() {
  if (resting || running.has("redirect") || (running.size && film?.awaited)) return "settled";
  const events = { animate_one: "animate", animate_four: "four", download: displaced };
  return Object.entries(events).find(([job]) => running.has(job))?.[1] ?? "";
}

let wording = 0, eager = ""; // a wish that came while its picture was still looked at
const jobs = window.loopanimate = {
  painting: () => props.value,
  // What a sentence would move is looked for while nobody types; a job finds it anyway.
  worded() {
    clearTimeout(wording);
    wording = setTimeout(() => art && !running.size && trigger("worded"), 500);
  },
  slide(...values) {
    play(...values);
    settle(600);
  },
  // The newest wish counts: one that comes while another is at work takes its place.
  wish(name) {
    if (!WISHES.includes(name) || performance.now() - asked < 500) return; // of a double click, one
    if (chosen) return void (eager = name);
    asked = performance.now();
    if (name !== "download") use(""); // the loop is to be seen
    displaced = name === "download" ? putOff() : "";
    clearTimeout(resting);
    resting = 0;
    if (!running.size) return void trigger(name);
    wished = name;
    jobs.cancel();
  },
  begin(name, words) {
    if (!running.size) {
      say("");
      hint(HINTS[tool] ?? "");
    }
    running.set(name, {});
    draw();
    offer();
    setTimeout(() => running.has(name) && !$(".work p").textContent && wait(name, words), 1500); // the server has a word at once when it is free
  },
  // Gradio tells once of a job that ends by itself, and twice of one that is cancelled: that its stream has closed, and that the
  // server knows. Until then it may drop a wish for another, and the second word would be taken for that one's.
  end(name) {
    const own = running.get(name);
    if (!own?.cancelled || own.told) return over(name);
    own.told = true;
    setTimeout(() => running.get(name) === own && over(name), 5000); // it had just ended
  },
  fail(name, words) {
    if (running.has(name) && !running.get(name).cancelled) say(words, null, true);
    jobs.end(name);
  },
  cancel() {
    clearTimeout(resting); // nor is rendered what waits for hands to rest
    resting = 0;
    if (!running.size || cancelling) return;
    cancelling = true;
    for (const own of running.values()) own.cancelled = true;
    say(wished === "download" ? "Your file is next …" : wished ? "Starting again …" : "Stopping …");
    trigger("stop");
  },
};

const DEEDS = {
  undo: () => step(past, future),
  redo: () => step(future, past),
  whole(button) {
    const menu = $(".whole");
    menu.hidden = !menu.hidden;
    button.setAttribute("aria-expanded", !menu.hidden);
  },
  open: () => document.querySelector("#mask input[type=file]").click(),
  save: () => trigger("handed"),
  cancel: () => jobs.cancel(),
  pause: () => pause(),
  change: () => $("#choose").click(),
};

// Held, the still picture shows: the button, or the loop itself.
const hold = (on) => stage.toggleAttribute("data-held", on);
$("[data-do=hold]").addEventListener("keydown", ({ key }) => hold([" ", "Enter"].includes(key)));
for (const target of [view, $("[data-do=hold]")])
  target.addEventListener("pointerdown", () => stage.dataset.show === "loop" && !(target === view && slidable()) && hold(true));
for (const kind of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(kind, () => hold(false));

// a clause of the sentence: in other words, or chosen to mend where its thing is
document.addEventListener("click", ({ target }) => {
  const handle = target.closest?.("#understood [data-revise]");
  if (handle) remember();
  if (handle) trigger("revised", { index: Number(handle.closest("[data-clause]").dataset.clause), change: JSON.parse(handle.dataset.revise) });
  const chip = target.closest?.("#understood [data-thing]");
  if (!chip || !art) return;
  choose(chip.dataset.thing);
  stage.scrollIntoView({ behavior: "smooth", block: "nearest" });
});

// --- examples: one film plays after the other, while a strip is seen that has nothing of one's own beside it: many at once are
// much for a small machine, and one is, too, for a page that works

document.addEventListener("click", ({ target }) => {
  const example = target.closest?.("[data-example]");
  if (!example) return;
  jobs.cancel();
  trigger("example", { name: example.dataset.example });
  stage.scrollIntoView({ behavior: "smooth", block: "nearest" });
});
const reel = [...document.querySelectorAll("[data-example] video")], stripped = reel[0]?.closest("#examples");
let turned = -1;
function turn() {
  if (art) return;
  turned = (turned + 1) % reel.length;
  reel[turned].play().catch(() => {});
}
for (const each of reel) {
  each.addEventListener("ended", turn);
  each.parentElement.addEventListener("pointerenter", () => each.play().catch(() => {}));
}
if (stripped && !paused)
  new IntersectionObserver(([{ isIntersecting }]) => (isIntersecting ? turn() : reel.forEach((each) => each.pause()))).observe(stripped);

// --- files: dropped, pasted or chosen. A finished loop gives its settings back, a picture becomes the picture. No file is left
// to the browser, which would leave the page for it.

const loops = /\.(mp4|webm|html|zip)$/i, either = /\.(gif|webp|png|apng|avif)$/i, phone = /\.(heic|heif)$/i;
// a browser that does not know HEIC gives it no type, and what has none is no picture to Gradio
const typed = (file) => (phone.test(file.name) && !file.type ? new File([file], file.name, { type: "image/heic" }) : file);

function put(selector, file) {
  const input = document.querySelector(`${selector} input[type=file]`), transfer = new DataTransfer();
  if (!file || !input) return;
  transfer.items.add(typed(file));
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

$("#choose").addEventListener("change", ({ target }) => {
  put("#picture", target.files[0]);
  target.value = "";
});
const carries = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.stopPropagation();
  const file = event.dataTransfer.files[0], name = file?.name ?? "";
  put(loops.test(name) || (either.test(name) && !event.target.closest?.(".view")) ? "#restore" : "#picture", file);
}, true);
document.addEventListener("paste", ({ clipboardData }) => {
  const file = [...(clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (file) put("#picture", file);
});
// another picture takes the place of what is at work for the former one
document.addEventListener("change", (event) => {
  const { target } = event;
  if (!target.matches?.("#picture input, #restore input")) return;
  jobs.cancel();
  if (!target.closest("#picture")) return;
  const [file] = target.files;
  if (!chosen) return void expect(file);
  event.stopPropagation(); // Gradio would take both at once, in any order
  later = file;
  setTimeout(() => later === file && unexpect(), 15000); // the one before may never come
}, true);

addEventListener("keyup", ({ key }) => key === " " && hold(false));
pause(paused);
show("picture");
