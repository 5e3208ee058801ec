"""What a file is that is no picture of ours, in words."""

from __future__ import annotations

HEAD = 64
"""Bytes of a file that tell what it is."""
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
_VIDEO, _UNKNOWN = "a video", "an unknown kind of file"
TEXT = "a text file"
"""What `kind_of_file` calls text."""
_VIDEOS = (
    *(b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1", b"OggS", b".RMF"),
    *(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"YUV4MPEG2", b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
)
"""Matroska and WebM, MPEG program and video streams, Flash, Ogg, RealMedia, ASF, YUV4MPEG2, MXF."""
_PLAIN = frozenset({".ts", ".m2ts", ".mts", ".dv", ".mov", ".mp4", ".m2v", ".mpg", ".nut"})
"""Suffixes of videos that may begin in other ways."""
_VIDEO_BRANDS = (b"qt  ", b"iso", b"mp4", b"avc1", b"M4V", b"MSNV", b"3gp", b"3g2", b"dash")


def is_video(head: bytes, suffix: str) -> bool:
    """Whether a file is a video, by its beginning (64 bytes suffice), or by its suffix where the
    beginning is that of nothing else.
    """
    kind = kind_of_file(head)
    return kind == _VIDEO or (suffix.lower() in _PLAIN and kind == _UNKNOWN)


def unreadable_message(head: bytes, readable: str) -> str:
    """Why a file that begins with `head` is not read, and what to do. `readable`: what is read."""
    kind = kind_of_file(head)
    if kind == _VIDEO:
        return (
            "is a video; a video is read from a file of its own on this machine: save it, or "
            "unpack it, first"
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
        return _UNKNOWN
    return TEXT if text.isprintable() or "\n" in text else _UNKNOWN
