() => {
  // the living preview answers hands at once; the video follows when they rest
  let resting;
  const frame = () => document.querySelector("#living iframe");
  // an attribute of the element itself: the page's style sheet is confined to what lies within the app
  const show = (live) => document.querySelector("#living")?.toggleAttribute("data-live", live);
  window.loopanimate = {
    slid(strength, tempo) {
      this.live(strength, tempo);
      clearTimeout(resting);
      resting = setTimeout(() => document.querySelector("#settled")?.click(), 600);
    },
    live(strength, tempo) {
      const living = frame()?.contentWindow.living, own = Number(frame()?.dataset.strength);
      if (!living) return;
      living.set({ strength: own > 0 ? strength / own : 1, tempo, panel: false });
      show(true);
      living.ready.then((drawn) => drawn || this.rest());
    },
    replace(text, strength, tempo) {
      const living = frame()?.contentWindow.living;
      if (!text || !living) return;
      const given = JSON.parse(text);
      frame().dataset.strength = given.strength;
      living.replace(given.motion);
      this.live(strength, tempo);
    },
    rest: () => show(false),
  };

  // a finished loop dropped anywhere on the page restores its settings: hand it to the field that reads them
  const video = /\.(mp4|webm)$/i;
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files?.[0];
    const input = document.querySelector("#restore input[type=file]");
    if (!file || !input || !video.test(file.name)) return;
    event.preventDefault();
    event.stopPropagation();
    const given = new DataTransfer();
    given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
}
