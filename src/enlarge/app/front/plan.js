// The tile plan of a picture, drawn on it. data: {src, width, height, tiles: [[read x, y, right,
// bottom, kept x, y, right, bottom]], count, margin, label, texts}, in pixels of the picture.
const plans = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".root");
  if (!plans.has(root)) plans.set(root, build(root));
  plans.get(root)(data);
}

function build(root) {
  root.innerHTML =
    '<div class="stage" tabindex="0" role="application"><img alt="" draggable="false"><svg></svg>' +
    '</div><div class="said" aria-live="polite"></div><div class="key"></div>';
  const [stage, said, key] = root.children;
  const [image, svg] = stage.children;
  let data, chosen, marks;

  const shape = (kind, tag = "rect") => {
    const element = document.createElementNS(SVG, tag);
    element.setAttribute("class", kind);
    svg.append(element);
    return element;
  };
  const put = (element, [x, y, right, bottom]) => {
    const values = { x, y, width: right - x, height: bottom - y };
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  };
  const choose = (index, spot) => {
    chosen = index;
    const tile = data.tiles[index];
    const [read, kept] = [tile.slice(0, 4), tile.slice(4)];
    // What is read beyond what is kept: a frame.
    const outline = ([l, t, r, b]) => `M${l} ${t}H${r}V${b}H${l}Z`;
    marks.read.setAttribute("d", outline(read) + outline(kept));
    put(marks.kept, kept);
    const [x, y] = spot ?? [(kept[0] + kept[2]) / 2, (kept[1] + kept[3]) / 2].map(Math.floor);
    const m = data.margin;
    marks.field.style.display = m === null ? "none" : "";
    if (m !== null) {
      const inside = (value, size) => Math.min(Math.max(value, 0), size);
      put(marks.field, [
        inside(x - m, data.width), inside(y - m, data.height),
        inside(x + m + 1, data.width), inside(y + m + 1, data.height),
      ]);
    }
    const size = ([left, top, right, bottom]) => `${right - left} × ${bottom - top}`;
    said.textContent = data.texts.tile
      .replace("{number}", index + 1).replace("{count}", data.count)
      .replace("{read}", size(read)).replace("{kept}", size(kept));
    root.dataset.tile = index;
  };
  const holds = ([, , , , x, y, right, bottom], [a, b]) => a >= x && a < right && b >= y && b < bottom;
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    const spot = [
      Math.floor(((event.clientX - box.left) / box.width) * data.width),
      Math.floor(((event.clientY - box.top) / box.height) * data.height),
    ];
    const index = data.tiles.findIndex((tile) => holds(tile, spot));
    if (index >= 0) choose(index, spot);
  });
  stage.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -data.across, ArrowDown: data.across }[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = chosen + by;
    if (next >= 0 && next < data.tiles.length) choose(next);
  });
  return (fresh) => {
    data = fresh;
    stage.setAttribute("aria-label", data.label);
    if (image.src !== data.src) image.src = data.src;
    svg.setAttribute("viewBox", `0 0 ${data.width} ${data.height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.replaceChildren();
    for (const tile of data.tiles) put(shape("grid"), tile.slice(4));
    marks = { read: shape("read", "path"), kept: shape("kept"), field: shape("field") };
    const colours = [["read", "#f5a524"], ["kept", "#37c489"], ["field", "#8fb3ff"]];
    key.replaceChildren(...colours.map(([name, colour]) => {
      const entry = document.createElement("span");
      entry.style.setProperty("--colour", colour);
      entry.textContent = data.texts[name];
      return entry;
    }));
    choose(Math.min(data.start, data.tiles.length - 1));
  };
}
