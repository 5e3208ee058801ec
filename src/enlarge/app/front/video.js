// A video that is chosen, or dropped anywhere on the page, and its way to the server's disk.
// data: {url, most: bytes, suffixes, texts: {choose, hint, sending, cancel, failed, too_large}}.
// Triggers "came" when the server has it or has refused it.
const choosers = new WeakMap();
let listening = null;

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  if (!choosers.has(root)) choosers.set(root, build(root));
  const take = choosers.get(root)(data, () => setTriggerValue("came", Date.now()));
  const isVideo = (file) => {
    const name = file.name.toLowerCase();
    return file.type.startsWith("video/") || data.suffixes.some((suffix) => name.endsWith(suffix));
  };
  const drop = (event) => { // before Streamlit's own place for pictures, which refuses videos
    const file = [...(event.dataTransfer?.files ?? [])].find(isVideo);
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    take(file);
  };
  const over = (event) => {
    const items = [...(event.dataTransfer?.items ?? [])];
    if (items.some((item) => item.type.startsWith("video/"))) event.preventDefault();
  };
  if (listening) stop(listening); // drawn again: one is enough
  listening = { drop, over };
  window.addEventListener("drop", drop, true);
  window.addEventListener("dragover", over, true);
  return () => stop({ drop, over });
}

function stop({ drop, over }) {
  window.removeEventListener("drop", drop, true);
  window.removeEventListener("dragover", over, true);
}

function build(root) {
  const make = (name, kind) => {
    const element = document.createElement(kind);
    element.className = name;
    return element;
  };
  const input = make("input", "input");
  input.type = "file";
  const choose = make("button", "button");
  const hint = make("hint", "span");
  const bar = make("bar", "progress");
  bar.max = 1;
  const cancel = make("button", "button");
  const problem = make("problem", "p");
  problem.setAttribute("role", "alert");
  choose.type = cancel.type = "button";
  root.replaceChildren(input, choose, bar, cancel, hint, problem);
  let data, done, sending = null;

  const show = (share) => {
    const busy = sending !== null;
    choose.hidden = busy;
    bar.hidden = cancel.hidden = !busy;
    if (busy) bar.value = share;
    const percent = Math.floor(100 * share);
    hint.textContent = busy ? data.texts.sending.replace("{percent}", percent) : data.texts.hint;
  };
  const end = (text) => {
    sending = null;
    input.value = "";
    problem.textContent = text;
    show(0);
  };
  const take = (file) => {
    if (sending) return;
    if (file.size > data.most) {
      end(data.texts.too_large.replace("{name}", file.name));
      return;
    }
    sending = new XMLHttpRequest();
    problem.textContent = "";
    sending.upload.onprogress = (event) => show(event.loaded / Math.max(event.total, 1));
    sending.onload = () => {
      const known = [204, 413, 507].includes(sending.status);
      end(known ? "" : data.texts.failed);
      if (known) done();
    };
    sending.onerror = () => end(data.texts.failed);
    sending.onabort = () => end("");
    const place = new URL(data.url, document.baseURI);
    place.searchParams.set("name", file.name);
    sending.open("PUT", place);
    sending.send(file);
    show(0);
  };
  choose.addEventListener("click", () => input.click());
  cancel.addEventListener("click", () => sending?.abort());
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); });
  return (fresh, sender) => {
    data = fresh;
    done = sender;
    input.accept = ["video/*", ...data.suffixes].join(",");
    choose.textContent = data.texts.choose;
    cancel.textContent = data.texts.cancel;
    if (!sending) show(0);
    return take;
  };
}
