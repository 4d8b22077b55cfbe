// The page's own script, run by the living preview: its element, and what Gradio gives such a script, are here by name.

// The living preview answers hands at once; the video follows when they rest.
let resting = 0;
const frame = () => element.querySelector("iframe");
// an attribute of the element itself: the page's style sheet is confined to what lies within the app
const show = (live) => element.closest("#living").toggleAttribute("data-live", live);
const address = (path) => "gradio_api/file=" + encodeURI(path);

const settle = (milliseconds) => {
  if (!resting) trigger("moved"); // what is rendered now is not wanted any more
  clearTimeout(resting);
  resting = setTimeout(() => {
    resting = 0;
    trigger("settled");
  }, milliseconds);
};

const live = (strength, tempo) => {
  const living = frame()?.contentWindow.living, own = Number(frame()?.dataset.strength);
  if (!living) return;
  living.set({ strength: own > 0 ? strength / own : 1, tempo, panel: false });
  show(true);
  living.ready.then((drawn) => drawn || show(false));
};

// what the server hands to the page
const given = {
  motion({ motion, motion_strength, tempo }) {
    const living = frame()?.contentWindow.living;
    if (motion && living) {
      frame().dataset.strength = motion.own;
      living.replace(motion.loops);
      live(motion_strength, tempo);
    }
    settle(50); // once the preview has drawn it
  },
  file(path) {
    const link = document.createElement("a");
    link.href = address(path);
    link.download = path.split("/").pop();
    link.click();
  },
};
for (const [name, take] of Object.entries(given)) watch(name, () => take(props[name]));

let cancelled = false;
window.loopanimate = {
  slide(strength, tempo) {
    live(strength, tempo);
    settle(600);
  },
  // what was painted may be frozen: of use where a loop is there to freeze
  paint: (milliseconds) => void setTimeout(() => frame() && trigger("painted"), milliseconds),
  rest: () => resting || show(false),
  begin(words) {
    cancelled = false;
    return words;
  },
  cancel: () => void (cancelled = true),
  fail: (words) => (words && !cancelled ? words : undefined), // undefined leaves what is there
};

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
