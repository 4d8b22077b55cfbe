// What survives a reload in this browser (page.js, which this goes on from): picture, paint and controls, and the last loops.

const STORE = "session", VISITS = "visits";
const MOST_VISITS = 12, MOST_BYTES = 120e6; // loops that are kept, and all their pictures and glimpses
const shelf = new Promise((done) => {
  const opening = indexedDB.open("loopanimate", 2);
  opening.onupgradeneeded = ({ oldVersion }) => {
    if (oldVersion < 1) opening.result.createObjectStore(STORE);
    opening.result.createObjectStore(VISITS, { keyPath: "key" });
  };
  opening.onsuccess = () => done(opening.result);
  opening.onerror = () => done(null); // a browser that keeps nothing
});
const ask = (mode, request, store = STORE) => shelf.then((base) => base && new Promise((done) => {
  const asked = request(base.transaction(store, mode).objectStore(store));
  asked.onsuccess = () => done(asked.result);
  asked.onerror = () => done(null);
}));
const keep = (name, value) => ask("readwrite", (store) => store.put(value, name));
const kept = (name) => ask("readonly", (store) => store.get(name));
let chosen = null, waitingFor = null, controls = null; // the file that was chosen; what was painted on the kept picture

async function keepPicture() {
  const { of, picture, width, height } = art, file = chosen ?? (await fetch(picture).then((answer) => answer.blob()).catch(() => null));
  chosen = null;
  if (of !== art?.of || !file) return;
  keep("picture", new File([file], file.name ?? picture.split("/").pop(), { type: file.type }));
  const before = waitingFor;
  waitingFor = null;
  if (before?.width === width && before.height === height) open(JSON.stringify({ ...before, of, picture, fresh: false }), true).then(() => (props.value = write()));
  else keepPaint();
}
const keepPaint = () => keep("painting", props.value);

let looked = false; // whether what was kept has been read
jobs.keep = (names, given) => {
  values = Object.fromEntries(names.map((name, i) => [name, given[i]]));
  draw();
  if (looked && !controls) keep("controls", JSON.stringify(values));
};
jobs.controls = (names, values) => {
  const back = controls ?? {};
  controls = null;
  return names.map((name, i) => back[name] ?? values[i]);
};

Promise.all(["picture", "painting", "controls"].map(kept)).then(([picture, painting, values]) => {
  looked = true;
  if (!picture || art || chosen || running.size) return;
  [waitingFor, controls] = [painting, values].map((text) => (text ? JSON.parse(text) : null));
  if (controls) trigger("kept");
  put("#picture", picture);
});

// --- the last loops: each is a project (files/project.py) and a glimpse of it. One that the server still has is shown at once,
// any other is opened and made again.

const made = new Map(), urls = new Map(); // keys → glimpses on the server, and when they were made, of loops since the page was opened; → addresses
const visits = () => ask("readonly", (store) => store.getAll(), VISITS).then((all) => (all ?? []).sort((one, other) => other.key - one.key));
let again = false; // whether what is opened shall be made

async function takeVisit({ project, thumbnail, caption }) {
  const [file, glimpse] = await Promise.all([project, thumbnail].map((path) => fetch("gradio_api/file=" + encodeURI(path)).then((answer) => answer.blob())));
  const [newest] = await visits(); // a key is a date, but above all others: once a clock is set back, the newest would be the oldest, which goes first
  const entry = { key: Math.max(Date.now(), (newest?.key ?? 0) + 1), caption, glimpse, file: new File([file], project.split("/").pop()) };
  made.set(entry.key, { thumbnail, since: performance.now() });
  await ask("readwrite", (store) => store.put(entry), VISITS);
  await jobs.trim();
  trigger("visited");
}

jobs.trim = async () => {
  let bytes = 0;
  for (const [place, each] of (await visits()).entries())
    if ((bytes += each.file.size + each.glimpse.size) > MOST_BYTES || place >= MOST_VISITS) await ask("readwrite", (store) => store.delete(each.key), VISITS);
};

jobs.visits = async () => {
  const strip = document.createElement("div"), all = await visits();
  if (!all.length) strip.innerHTML = "<p>The loops that you make are kept here, in this browser.</p>";
  for (const { key, caption, glimpse } of all) {
    if (!urls.has(key)) urls.set(key, URL.createObjectURL(glimpse));
    const [button, image, words] = ["button", "img", "span"].map((name) => document.createElement(name));
    Object.assign(image, { src: urls.get(key), alt: "" });
    words.textContent = caption;
    Object.assign(button, { type: "button", title: caption }).dataset.visit = key;
    button.append(image, words);
    strip.append(button);
  }
  return strip.outerHTML;
};
jobs.returned = () => {
  if (again) jobs.wish("animate");
  again = false;
};

document.addEventListener("click", async ({ target }) => {
  const chosen = target.closest?.("[data-visit]"), key = Number(chosen?.dataset.visit);
  if (!chosen) return;
  const own = made.get(key), past = Math.max(Date.now() - key, performance.now() - own?.since); // one clock is set, the other may rest as a machine sleeps
  stage.scrollIntoView({ behavior: "smooth", block: "nearest" });
  jobs.cancel();
  if (past < 3e6) return void trigger("recalled", { thumbnail: own.thumbnail }); // the server keeps its files for an hour
  const entry = (await visits()).find((each) => each.key === key);
  again = Boolean(entry);
  put("#restore", entry?.file);
});
trigger("visited");
