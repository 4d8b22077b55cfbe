() => {
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
