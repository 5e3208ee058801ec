"""What a file is that is no picture of ours, in words."""

from __future__ import annotations

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG document"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"P5", "a PGM picture"),
    (b"P6", "a PPM picture"),
    (b"FUJIFILM", "a camera's raw file"),
    (
        b"version https://git-lfs",
        "a git-LFS pointer, which stands for one (run git lfs pull in its folder)",
    ),
)
_VIDEO = "a video"
_VIDEOS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1")
"""Matroska and WebM, MPEG program and video streams, Flash."""
_VIDEO_BRANDS = (b"qt  ", b"iso", b"mp4", b"avc1", b"M4V", b"MSNV", b"3gp", b"3g2", b"dash")


def unreadable_message(head: bytes, readable: str) -> str:
    """Why a file that begins with `head` is not read, and what to do. `readable`: what is read."""
    kind = kind_of_file(head)
    if kind == _VIDEO:
        return (
            "is not a picture but a video; extract its frames first: "
            "mkdir frames, then ffmpeg -i VIDEO frames/%06d.png"
        )
    return f"is not a picture but {kind}; supported formats: {readable}"


def kind_of_file(head: bytes) -> str:
    """What a file that begins with `head` is, with its article."""
    if head.startswith(_VIDEOS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return _VIDEO
    if head[4:8] == b"ftyp" and head[8:12].startswith(_VIDEO_BRANDS):
        return _VIDEO
    for signature, name in _OTHERS:
        if head.lstrip().lower().startswith(signature.lower()):
            return name
    if not head.strip(b"\0"):
        return "a file of zeros"
    try:
        # The end of a long one may cut a character in two.
        text = (head[:-4] if len(head) > 64 else head).decode()
    except UnicodeDecodeError:
        return "an unknown kind of file"
    return "a text file" if text.isprintable() or "\n" in text else "an unknown kind of file"
