// A picture in which a part of fixed size is picked: click, drag, arrow keys.
// data: {src, width, height, box: [width, height], at: [x, y], label, said}, in pixels of the
// picture; `said` is read out where the part was moved to, with {x} and {y}.
const pickers = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".root");
  if (!pickers.has(root)) pickers.set(root, build(root));
  pickers.get(root)(data, (at) => setStateValue("at", at));
}

function build(root) {
  const stage = document.createElement("div");
  const image = document.createElement("img");
  const frame = document.createElement("div");
  const said = document.createElement("div");
  said.className = "said";
  said.setAttribute("aria-live", "polite");
  stage.className = "stage";
  frame.className = "frame";
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  image.alt = "";
  image.draggable = false;
  stage.append(image, frame);
  root.replaceChildren(stage, said);
  let data, send, at, waiting;
  let held = false;

  const place = () => {
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    frame.style.left = percent(at[0], data.width);
    frame.style.top = percent(at[1], data.height);
    frame.style.width = percent(data.box[0], data.width);
    frame.style.height = percent(data.box[1], data.height);
    root.dataset.at = String(at);
  };
  const moveTo = (x, y) => {
    const inside = (value, room) => Math.round(Math.min(Math.max(value, 0), room));
    at = [inside(x, data.width - data.box[0]), inside(y, data.height - data.box[1])];
    place();
  };
  const sendSoon = (delay) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      said.textContent = data.said.replace("{x}", at[0]).replace("{y}", at[1]);
      if (String(at) !== String(data.at)) send(at);
    }, delay);
  };
  const point = (event) => {
    const box = stage.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * data.width - data.box[0] / 2;
    const y = ((event.clientY - box.top) / box.height) * data.height - data.box[1] / 2;
    moveTo(x, y);
  };
  stage.addEventListener("pointerdown", (event) => {
    held = true;
    stage.setPointerCapture(event.pointerId);
    point(event);
  });
  stage.addEventListener("pointermove", (event) => { if (held) point(event); });
  stage.addEventListener("pointerup", () => { if (held) { held = false; sendSoon(0); } });
  stage.addEventListener("pointercancel", () => { held = false; });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const by = step[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const share = event.shiftKey ? 1 : 0.25;
    moveTo(at[0] + by[0] * data.box[0] * share, at[1] + by[1] * data.box[1] * share);
    sendSoon(200);
  });
  return (fresh, sender) => {
    data = fresh;
    send = sender;
    stage.setAttribute("aria-label", data.label);
    const share = window.innerWidth < 640 ? 32 : 48; // high pictures leave room for the rest
    stage.style.maxWidth = `${(share * data.width) / data.height}vh`;
    if (image.src !== data.src) image.src = data.src;
    if (!held) { at = data.at; place(); }
  };
}
