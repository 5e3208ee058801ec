"""How pictures reach the page: uploaded, pasted, or the sample."""

from __future__ import annotations

import base64

import streamlit as st

from enlarge.app.frame import SAMPLE, Page
from enlarge.app.viewer import pasted
from enlarge.app.visit import FRAME, Item
from enlarge.app.work import MEGA, format_file_size
from enlarge.media.formats import READABLE

SUFFIXES = [
    suffix[1:] for entry in READABLE.values() for suffix in (*entry.suffixes, *entry.read_suffixes)
]
"""The file name extensions that the uploader accepts."""
_MAX_PASTED = 12 * MEGA  # its base64 has to fit into one message of Streamlit's


def upload_pictures(page: Page) -> list[Item]:
    """Show the uploader, take what is new, and return the pictures of the visit."""
    options, visit = page.options, page.visit
    files = st.file_uploader(
        page.say("upload"),
        type=SUFFIXES,
        accept_multiple_files=True,
        key="files",
        max_upload_size=megabytes(options.max_upload),
        help=page.say("upload_help"),
    )
    _translate_uploader(page)
    fresh = [file for file in files if file.file_id not in visit.items]
    listed = {file.file_id for file in files}
    for key in [key for key in visit.items if key not in listed and not is_added_here(key)]:
        visit.remove(key)
    for file in fresh[: max(0, options.max_files - len(visit.items))]:
        st.session_state["selected"] = visit.add(file.file_id, file.name, file.getbuffer()).key
    left_out = len([file for file in files if file.file_id not in visit.items])
    if left_out:
        st.warning(page.say("too_many_files", count=left_out, limit=options.max_files))
    _take_pasted(page)
    return list(visit.items.values())


def megabytes(size: int) -> int:
    """A limit in bytes as Streamlit's uploader takes it: whole megabytes, rounded up."""
    return max(1, -(-size // MEGA))


def is_added_here(key: str) -> bool:
    """Whether a picture came another way than through the uploader."""
    return key == SAMPLE or key.startswith(("paste-", FRAME))


def _translate_uploader(page: Page) -> None:
    """Replace the English texts of Streamlit's uploader (by way of page.css)."""
    options = page.options
    limits = page.say(
        "limits",
        files=options.max_files,
        size=format_file_size(options.max_upload),
        pixels=f"{options.max_pixels / MEGA:.3g}",
    )
    words = {"choose": page.say("choose"), "limits": limits}
    values = "".join(f'--enlarge-{name}:"{value}";' for name, value in words.items())
    st.html(f"<style>:root{{{values}}}</style>")


def _take_pasted(page: Page) -> None:
    limit = min(page.options.max_upload, _MAX_PASTED)
    found = pasted(limit, page.language)
    if not found or f"paste-{found['id']}" in page.visit.items:
        return
    if "size" in found:
        size = format_file_size(int(found["size"]))
        values = {"name": found["name"], "size": size, "limit": format_file_size(limit)}
        st.error(page.marked("too_large", **values))
    elif len(page.visit.items) >= page.options.max_files:
        st.warning(page.say("too_many_files", count=1, limit=page.options.max_files))
    else:
        content = base64.b64decode(found["content"])
        item = page.visit.add(f"paste-{found['id']}", found["name"], content)
        st.session_state["selected"] = item.key
