// Pictures from the clipboard, and the document's language. data: {most: bytes, language}. Sends
// {name, content (base64), id}, or {name, size, id} for one that is too large to be sent this way.
let listening = null;

export default function ({ data, setTriggerValue }) {
  document.documentElement.lang = data.language;
  const paste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const file = files.find((found) => found.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    const about = { name: file.name || "pasted.png", id: `${Date.now()}-${file.size}` };
    if (file.size > data.most) {
      setTriggerValue("file", { ...about, size: file.size });
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("file", { ...about, content: reader.result.split(",")[1] });
    reader.readAsDataURL(file);
  };
  if (listening) document.removeEventListener("paste", listening); // drawn again: one is enough
  listening = paste;
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}
