"""Texts in place of a model, recognized by their first words (see `contents`)."""

from __future__ import annotations

import json
import re

from enlarge.memory import format_size
from enlarge.weights.sample import (
    DOWNLOAD,
    EXPECTED,
    HEAD,
    IN_ONNX,
    FileContent,
    Sample,
    foreign,
    listed,
)


def detect_pointer(sample: Sample) -> FileContent | None:
    """Pointers of git-LFS, Xet and git-annex, which stand for a file that is kept elsewhere."""
    text = sample.head.decode("utf-8", "replace").lstrip("\ufeff \r\n")
    if text.startswith("version https://git-lfs.github.com/spec"):
        size = re.search(r"^size (\d{1,15})\s*$", text, re.MULTILINE)
        of = f" of {format_size(int(size[1]))}" if size else ""
        what = f"is a git-LFS pointer, which stands for a file{of}, and not the file itself"
        return FileContent("foreign", what, "run git lfs pull in its folder, or download the file")
    if text.startswith("# xet version"):
        return FileContent("foreign", "is a Xet pointer, and not the file itself", DOWNLOAD)
    if text.startswith("/annex/objects/") or re.match(r"\S*\.git/annex/objects/", text):
        advice = "run git annex get on it, or download the file"
        return FileContent("foreign", "is a git-annex pointer, and not the file itself", advice)
    return None


def detect_text(sample: Sample) -> FileContent | None:
    """Web pages, messages of servers, descriptions of models, and other texts."""
    if b"\0" in sample.head[:512] and not sample.head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    wide = sample.head.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        cut = len(sample.head) - (8 if sample.size > HEAD else 0)
        text = sample.head[:cut].decode("utf-16" if wide else "utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    if not (text.isprintable() or re.search(r"[\r\n\t]", text)) or "\x01" in text:
        return None
    lower = text[:2000].lower()
    if re.match(r"(<!--.*?-->\s*)?<(!doctype html|html|head|body)", lower, re.DOTALL):
        title = re.search(r"<title[^>]*>\s*(.{1,80}?)\s*</title>", text, re.DOTALL | re.IGNORECASE)
        called = f" ({' '.join(title[1].split())})" if title else ""
        what = f"is a web page{called}, saved in place of the model"
        return FileContent("other", what, f"{DOWNLOAD}, not the page about it")
    if lower.startswith(("<?xml", "<net ", "<error")):
        if "<net " in lower and "<layer" in lower:
            return foreign("a model of OpenVINO (.xml with .bin)", "give its .onnx file")
        return FileContent("other", "is an XML file, perhaps a server's error message", DOWNLOAD)
    if text.startswith(("{", "[")):
        return _json(sample)
    if re.match(r"<?ir_version\s*:", lower):
        return foreign("an ONNX model as text", "save it as binary with onnx.save")
    first = " ".join(text.split())[:60]
    return FileContent("other", f"is a text file, not a model: {first!r}", f"expected {EXPECTED}")


def _json(sample: Sample) -> FileContent:
    try:
        found = json.loads(sample.path.read_bytes()[: 1 << 26])
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        if isinstance(parts := found.get("weight_map"), dict):
            files = sorted({str(name) for name in parts.values()})
            what = f"an index of a model in {len(files)} parts: {listed(files)}"
            return foreign(what, "give a model of one file")
        if found.keys() & {"modelTopology", "weightsManifest"}:
            return foreign("a model of TensorFlow.js", IN_ONNX)
        if found.keys() & {"architectures", "model_type", "_class_name"}:
            return foreign("a model's configuration, without its weights", DOWNLOAD)
        for key in ("error", "message", "detail", "errors"):
            if key in found:
                said = " ".join(str(found[key]).split())[:80]
                what = f"is a server's message in place of the model: {said!r}"
                return FileContent("other", what, DOWNLOAD)
    return FileContent("other", "is a JSON file, not a model", f"expected {EXPECTED}")
