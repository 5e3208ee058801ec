// A finished video: plays it, and offers its file.
// data: {url, texts: {download, unplayable, label}}.
const players = new WeakMap();

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".root");
  if (!players.has(root)) players.set(root, build(root));
  players.get(root)(data);
}

function build(root) {
  const video = document.createElement("video");
  const problem = document.createElement("p");
  const link = document.createElement("a");
  video.controls = true;
  video.playsInline = true;
  video.preload = "metadata";
  problem.hidden = true;
  link.className = "download";
  root.replaceChildren(video, problem, link);
  video.addEventListener("error", () => { video.hidden = true; problem.hidden = false; });
  return (data) => {
    const place = new URL(data.url, document.baseURI);
    if (video.src !== place.href) {
      video.hidden = false;
      problem.hidden = true;
      video.src = place.href;
    }
    video.setAttribute("aria-label", data.texts.label);
    problem.textContent = data.texts.unplayable;
    place.searchParams.set("save", "1");
    link.href = place.href;
    link.download = data.name;
    link.textContent = data.texts.download;
  };
}
