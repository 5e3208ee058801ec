// Two pictures of one place with a divider between them; zoom and pan by pointer, touch and keys.
// data: {layers: [{name, src, part?}], width, height, box?: {x, y, width, height}, left, right,
// token, texts}. Coordinates are those of the full picture; `box` is the place of every `part`.
const viewers = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".root");
  if (!viewers.has(root)) viewers.set(root, new Viewer(root));
  const viewer = viewers.get(root);
  viewer.ask = (region) => setStateValue("region", region);
  viewer.show(data);
  return () => viewer.rest();
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.split = 0.5;
    this.pointers = new Map();
    this.sides = ["left", "right"].map((side) => ({
      side,
      layer: make("div", { class: "layer" }),
      whole: make("img", { alt: "", draggable: "false" }),
      part: make("img", { alt: "", draggable: "false" }),
      select: make("select"),
      tag: make("span", { class: `tag ${side}` }),
    }));
    this.divider = make("div", {
      class: "divider", role: "slider", tabindex: "0",
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal",
    });
    const grip = make("span", { class: "grip" });
    grip.innerHTML =
      '<svg width="18" height="12" viewBox="0 0 18 12" fill="none" stroke="currentColor" ' +
      'stroke-width="2" stroke-linecap="round" stroke-linejoin="round">' +
      '<path d="M6 1 1 6l5 5M12 1l5 5-5 5"/></svg>';
    this.divider.append(grip);
    this.stage = make("div", { class: "stage", tabindex: "0", role: "group" });
    for (const { layer, whole, part } of this.sides) {
      layer.append(whole, part);
      this.stage.append(layer);
    }
    this.stage.append(...this.sides.map(({ tag }) => tag), this.divider);
    this.zoomText = make("span", { class: "zoom", "aria-live": "polite" });
    this.buttons = {
      out: make("button", { class: "square", type: "button" }, "−"),
      in: make("button", { class: "square", type: "button" }, "+"),
      fit: make("button", { type: "button" }),
      actual: make("button", { type: "button" }),
    };
    const bar = make("div", { class: "bar" });
    const { out, in: bigger, fit, actual } = this.buttons;
    bar.append(this.sides[0].select, make("span", { class: "space" }));
    bar.append(out, this.zoomText, bigger, fit, actual);
    bar.append(make("span", { class: "space" }), this.sides[1].select);
    root.replaceChildren(bar, this.stage);
    this.listen();
  }

  listen() {
    const { out, in: bigger, fit, actual } = this.buttons;
    out.onclick = () => this.zoom(1 / 1.5);
    bigger.onclick = () => this.zoom(1.5);
    fit.onclick = () => this.fit();
    actual.onclick = () => this.zoomTo(this.actual());
    for (const side of this.sides) {
      side.select.onchange = () => { side.chosen = Number(side.select.value); this.fill(); };
    }
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(name, (event) => this.release(event));
    }
    this.stage.addEventListener("dblclick", (event) => {
      const near = Math.abs(this.scale - this.actual()) < 0.01 * this.scale;
      if (near) this.fit(); else this.zoomTo(this.actual(), this.at(event));
    });
    this.stage.addEventListener("wheel", (event) => {
      // The page keeps its scrolling until the picture was clicked, or Ctrl is held.
      const focused = this.stage.contains(this.root.getRootNode().activeElement);
      if (!event.ctrlKey && !focused) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), this.at(event));
    }, { passive: false });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.watcher = new ResizeObserver(() => this.resize());
  }

  show(data) {
    const fresh = !this.data || this.data.width !== data.width || this.data.height !== data.height;
    this.data = data;
    const { texts, layers } = data;
    this.stage.setAttribute("aria-label", texts.viewer);
    this.divider.setAttribute("aria-label", texts.divider);
    this.buttons.out.setAttribute("aria-label", texts.zoom_out);
    this.buttons.in.setAttribute("aria-label", texts.zoom_in);
    this.buttons.fit.textContent = texts.fit;
    this.buttons.actual.textContent = texts.actual;
    for (const side of this.sides) {
      const wanted = side.chosen ?? data[side.side];
      side.chosen = wanted < layers.length ? wanted : data[side.side];
      side.select.setAttribute("aria-label", texts[side.side]);
      side.select.replaceChildren(
        ...layers.map(({ name }, index) => new Option(name, index, false, index === side.chosen)),
      );
      side.select.value = side.chosen;
      side.select.hidden = layers.length < 3;
    }
    this.fill();
    this.watcher.observe(this.root);
    if (fresh) { this.scale = undefined; this.resize(); } else this.place();
  }

  fill() {
    const { layers, token } = this.data;
    const loading = this.sides.flatMap(({ whole, part, tag, chosen }) => {
      const layer = layers[chosen];
      tag.textContent = layer.name;
      whole.alt = layer.name;
      if (whole.src !== layer.src) whole.src = layer.src;
      part.hidden = !layer.part;
      if (layer.part && part.src !== layer.part) part.src = layer.part;
      return [whole, ...(layer.part ? [part] : [])].map((image) => image.decode().catch(() => {}));
    });
    // Once both are decoded the page can be measured and photographed.
    Promise.all(loading).then(() => {
      if (this.data.token === token) { this.root.dataset.shown = token; this.place(); }
    });
  }

  rest() { this.watcher.disconnect(); }

  size() { return [this.stage.clientWidth || 1, this.stage.clientHeight || 1]; }
  fitting() {
    const [width, height] = this.size();
    return Math.min(width / this.data.width, height / this.data.height);
  }
  actual() { return 1 / window.devicePixelRatio; }

  resize() {
    const width = this.root.clientWidth;
    if (!width || !this.data) return;
    const natural = (width * this.data.height) / this.data.width;
    const height = Math.round(clamp(natural, 220, Math.max(300, window.innerHeight * 0.72)));
    if (this.height !== height) { this.height = height; this.stage.style.height = `${height}px`; }
    if (this.scale === undefined || this.fitted) this.fit(); else this.place();
  }

  fit() {
    this.scale = this.fitting();
    this.x = this.data.width / 2;
    this.y = this.data.height / 2;
    this.place();
  }

  zoom(factor, point) { this.zoomTo(this.scale * factor, point); }

  zoomTo(scale, point = { x: 0, y: 0 }) {
    const old = this.scale;
    this.scale = clamp(scale, Math.min(this.fitting(), this.actual()), 16 * this.actual());
    this.x += point.x / old - point.x / this.scale;
    this.y += point.y / old - point.y / this.scale;
    this.place();
  }

  // Where an event lies, in CSS pixels from the stage's centre.
  at(event) {
    const box = this.stage.getBoundingClientRect();
    const x = event.clientX - box.left - box.width / 2;
    return { x, y: event.clientY - box.top - box.height / 2 };
  }

  place() {
    if (this.scale === undefined) return;
    const { data, scale } = this;
    const [width, height] = this.size();
    const reach = [width / 2 / scale, height / 2 / scale];
    const inside = (at, size, half) => (size <= 2 * half ? size / 2 : clamp(at, half, size - half));
    this.x = inside(this.x, data.width, reach[0]);
    this.y = inside(this.y, data.height, reach[1]);
    const left = width / 2 - this.x * scale;
    const top = height / 2 - this.y * scale;
    const device = scale * window.devicePixelRatio;
    const set = (image, x, y, wide, high) => {
      image.style.transform = `translate(${left + x * scale}px, ${top + y * scale}px)`;
      image.style.width = `${wide * scale}px`;
      image.style.height = `${high * scale}px`;
      image.style.imageRendering = device >= 2 ? "pixelated" : "auto";
    };
    for (const { whole, part } of this.sides) {
      set(whole, 0, 0, data.width, data.height);
      if (data.box) set(part, data.box.x, data.box.y, data.box.width, data.box.height);
    }
    this.sides[0].layer.style.clipPath = `inset(0 ${100 - this.split * 100}% 0 0)`;
    this.sides[1].layer.style.clipPath = `inset(0 0 0 ${this.split * 100}%)`;
    this.divider.style.left = `${this.split * 100}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.split * 100));
    this.fitted = Math.abs(scale - this.fitting()) < 1e-6;
    // A finger on a fitted picture scrolls the page; on an enlarged one it moves the picture.
    this.stage.style.touchAction = this.fitted ? "pan-y" : "none";
    this.zoomText.textContent = `${Math.round(device * 100)} %`;
    this.buttons.fit.setAttribute("aria-pressed", this.fitted);
    this.buttons.actual.setAttribute("aria-pressed", Math.abs(device - 1) < 1e-6);
    this.root.dataset.zoom = device.toFixed(3);
    if (data.reduced > 1 && device * data.reduced > 1.2) this.askSoon(reach);
  }

  // A picture that is shown reduced: ask for the part that is looked at in its own pixels.
  askSoon([halfWidth, halfHeight]) {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => {
      const { data } = this;
      const x = Math.round(clamp(this.x - halfWidth, 0, data.width));
      const y = Math.round(clamp(this.y - halfHeight, 0, data.height));
      const right = Math.round(clamp(this.x + halfWidth, 0, data.width));
      const bottom = Math.round(clamp(this.y + halfHeight, 0, data.height));
      const region = [x, y, right - x, bottom - y];
      if (region[2] * region[3] > 4e6 || String(region) === this.asked) return;
      this.asked = String(region);
      this.ask(region);
    }, 300);
  }

  slide(to) { this.split = clamp(to, 0, 1); this.place(); }

  press(event) {
    if (event.button) return;
    const point = this.at(event);
    const onDivider = event.composedPath().includes(this.divider);
    this.pointers.set(event.pointerId, { ...point, onDivider });
    this.stage.setPointerCapture(event.pointerId);
    (onDivider ? this.divider : this.stage).focus({ preventScroll: true });
    if (!onDivider) this.stage.classList.add("moving");
    event.preventDefault();
  }

  move(event) {
    const held = this.pointers.get(event.pointerId);
    if (!held) return;
    const point = this.at(event);
    if (held.onDivider) {
      this.slide(point.x / this.size()[0] + 0.5);
      return;
    }
    const others = [...this.pointers].filter(([id, p]) => id !== event.pointerId && !p.onDivider);
    if (others.length) {
      const other = others[0][1];
      const span = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
      this.zoom(span(point) / span(held), middle);
    } else {
      this.x -= (point.x - held.x) / this.scale;
      this.y -= (point.y - held.y) / this.scale;
      this.place();
    }
    Object.assign(held, point);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.stage.classList.remove("moving");
  }

  key(event) {
    const onDivider = event.composedPath().includes(this.divider);
    const big = event.shiftKey ? 0.1 : 0.02;
    const [width, height] = this.size();
    const pan = (x, y) => { this.x += (x * width) / this.scale; this.y += (y * height) / this.scale; this.place(); };
    const common = {
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5),
      0: () => this.fit(), 1: () => this.zoomTo(this.actual()),
    };
    const slider = {
      ArrowLeft: () => this.slide(this.split - big), ArrowRight: () => this.slide(this.split + big),
      ArrowDown: () => this.slide(this.split - big), ArrowUp: () => this.slide(this.split + big),
      PageDown: () => this.slide(this.split - 0.1), PageUp: () => this.slide(this.split + 0.1),
      Home: () => this.slide(0), End: () => this.slide(1),
    };
    const stage = {
      ArrowLeft: () => pan(-0.1, 0), ArrowRight: () => pan(0.1, 0),
      ArrowUp: () => pan(0, -0.1), ArrowDown: () => pan(0, 0.1),
    };
    const act = { ...common, ...(onDivider ? slider : stage) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    act();
  }
}
