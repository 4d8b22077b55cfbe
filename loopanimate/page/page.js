() => {
  // the living preview answers hands at once; the video follows when they rest
  let resting;
  const frame = () => document.querySelector("#living iframe");
  // an attribute of the element itself: the page's style sheet is confined to what lies within the app
  const show = (live) => document.querySelector("#living")?.toggleAttribute("data-live", live);
  const address = (path) => "gradio_api/file=" + encodeURI(path);
  window.loopanimate = {
    slid(strength, tempo) {
      this.live(strength, tempo);
      this.settle(600);
    },
    settle(milliseconds) {
      clearTimeout(resting);
      resting = setTimeout(() => document.querySelector("#settled")?.click(), milliseconds);
    },
    live(strength, tempo) {
      const living = frame()?.contentWindow.living, own = Number(frame()?.dataset.strength);
      if (!living) return;
      living.set({ strength: own > 0 ? strength / own : 1, tempo, panel: false });
      show(true);
      living.ready.then((drawn) => drawn || this.rest());
    },
    // what was painted may be frozen: of use where a loop is there to freeze
    painted(milliseconds) {
      setTimeout(() => frame() && document.querySelector("#painted")?.click(), milliseconds);
    },
    async replace(path, strength, tempo) {
      if (path && path === this.drawn) return;
      this.drawn = path;
      const living = frame()?.contentWindow.living;
      const given = path && living && (await fetch(address(path)).then((file) => file.json()).catch(() => null));
      this.settle(50); // once the preview has drawn it
      if (!given || living !== frame()?.contentWindow.living) return;
      frame().dataset.strength = given.strength;
      living.replace(given.motion);
      this.live(strength, tempo);
    },
    rest: () => show(false),

    // Cancel is there while anything runs or waits; a run that is not among them any more was cancelled
    running: new Set(),
    visible() {
      return { __type__: "update", visible: this.running.size > 0 };
    },
    begin(name, text) {
      this.running.add(name);
      return [this.visible(), text];
    },
    end(name) {
      this.running.delete(name);
      show(false);
      return this.visible();
    },
    failed(name, text) {
      const told = this.running.has(name) ? text : undefined; // undefined leaves what is there
      return [this.end(name), told];
    },
    cancelled() {
      this.running.clear();
      return this.visible();
    },

    // a finished file is saved
    hand(path) {
      if (!path) return;
      const link = document.createElement("a");
      link.href = address(path);
      link.download = path.split("/").pop();
      link.click();
    },
  };

  let painting = false;
  document.addEventListener("pointerdown", ({ target }) => (painting = Boolean(target.closest?.("#editor"))), true);
  document.addEventListener("pointerup", () => {
    if (painting) window.loopanimate.painted(100); // once the stroke is drawn
    painting = false;
  }, true);

  // What is dropped on the page: a finished loop gives its settings back, a picture becomes the picture. No file is left to
  // the browser, which would leave the page for it.
  const film = /\.(mp4|webm|html|zip)$/i, either = /\.(gif|webp|png|apng|avif)$/i, phone = /\.(heic|heif)$/i;
  const PICTURE = "#picture input[type=file]";
  // a browser that does not know HEIC gives it no type, and what has none is no picture to Gradio
  const typed = (file) => (phone.test(file.name) && !file.type ? new File([file], file.name, { type: "image/heic" }) : file);
  const put = (input, file) => {
    const given = new DataTransfer();
    given.items.add(typed(file));
    input.files = given.files;
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
}
