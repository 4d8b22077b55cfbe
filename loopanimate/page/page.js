// The page's own script, run by the living preview: its element, and what Gradio gives such a script, are here by name.

// The living preview answers hands at once; the video follows when they rest.
let resting = 0;
const living = element.closest("#living"), frame = () => living.querySelector("iframe");
// an attribute of the element itself: the page's style sheet is confined to what lies within the app
const show = (live) => {
  living.toggleAttribute("data-live", live);
  // a browser does not begin to play what came while it was hidden
  if (!live) document.querySelector(".result video")?.play().catch(() => {});
};

const settle = (milliseconds) => {
  clearTimeout(resting);
  resting = setTimeout(() => {
    resting = 0;
    trigger("settled");
  }, milliseconds);
};

const play = (strength, tempo, effects) => {
  const preview = frame()?.contentWindow.living, own = Number(frame()?.dataset.strength);
  if (!preview) return;
  preview.set({ strength: own > 0 ? strength / own : 1, tempo, effects, panel: false });
  show(true);
  preview.ready.then((drawn) => drawn || show(false));
};

// what the server hands to the page
const given = {
  motion({ motion, motion_strength, tempo, effect_strength }) {
    const preview = frame()?.contentWindow.living;
    if (motion && preview) {
      frame().dataset.strength = motion.own;
      preview.replace(motion.loops);
      play(motion_strength, tempo, effect_strength);
    }
    settle(50); // once the preview has drawn it
  },
  file(path) {
    const link = document.createElement("a");
    link.href = "gradio_api/file=" + encodeURI(path);
    link.download = path.split("/").pop();
    link.click();
  },
};
for (const [name, take] of Object.entries(given)) watch(name, () => take(props[name]));

// jobs that run or wait, while Cancel is there
const running = new Set();
let cancelling = false; // until all of them have ended: Gradio drops a click for a job that still runs
const offer = () => living.toggleAttribute("data-busy", running.size > 0);
window.loopanimate = {
  slide(...values) {
    play(...values);
    settle(600);
  },
  // what was painted may be frozen: of use where a loop is there to freeze
  paint: (milliseconds) => void setTimeout(() => frame() && trigger("painted"), milliseconds),
  begin(name, words) {
    if (cancelling) return undefined; // which leaves what is there
    running.add(name);
    offer();
    return words;
  },
  end(name) {
    running.delete(name);
    offer();
    if (!resting) show(false);
    if (cancelling && !running.size) {
      cancelling = false;
      trigger("cancelled");
    }
  },
  fail(name, words) {
    const said = running.has(name) && !cancelling ? words : undefined;
    this.end(name);
    return said;
  },
  cancel() {
    cancelling = running.size > 0;
    return cancelling ? "Cancelling …" : undefined;
  },
};

// a clause of the sentence, chosen to mend where its thing is
document.addEventListener("click", ({ target }) => {
  const chip = target.closest?.("#understood [data-thing]");
  if (!chip) return;
  trigger("chosen", { thing: chip.dataset.thing });
  document.querySelector("#editor").scrollIntoView({ behavior: "smooth", block: "nearest" });
});

let painting = false;
document.addEventListener("pointerdown", ({ target }) => (painting = Boolean(target.closest?.("#editor"))), true);
document.addEventListener("pointerup", () => {
  if (painting) loopanimate.paint(100); // once the stroke is drawn
  painting = false;
}, true);

// What is dropped on the page: a finished loop gives its settings back, a picture becomes the picture. No file is left to
// the browser, which would leave the page for it.
const film = /\.(mp4|webm|html|zip)$/i, either = /\.(gif|webp|png|apng|avif)$/i, phone = /\.(heic|heif)$/i;
const PICTURE = "#picture input[type=file]";
// a browser that does not know HEIC gives it no type, and what has none is no picture to Gradio
const typed = (file) => (phone.test(file.name) && !file.type ? new File([file], file.name, { type: "image/heic" }) : file);
const put = (input, file) => {
  const transfer = new DataTransfer();
  transfer.items.add(typed(file));
  input.files = transfer.files;
};
const carries = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.stopPropagation();
  const file = event.dataTransfer.files[0];
  const loop = film.test(file?.name) || (either.test(file?.name) && !event.target.closest("#picture"));
  const input = document.querySelector(loop ? "#restore input[type=file]" : PICTURE);
  if (!file || !input) return;
  put(input, file);
  input.dispatchEvent(new Event("change", { bubbles: true }));
}, true);
document.addEventListener("click", ({ target }) => {
  if (target.matches?.(PICTURE)) target.accept = "image/*,.heic,.heif";
}, true);
document.addEventListener("change", ({ target }) => {
  const file = target.matches?.(PICTURE) && target.files[0];
  if (file && typed(file) !== file) put(target, file);
}, true);
