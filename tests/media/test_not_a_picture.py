"""What a file is that is no picture."""

from __future__ import annotations

import pytest

from enlarge.media.not_a_picture import kind_of_file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 12345\n" % (b"a" * 64)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (POINTER, "git-LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"hi", "a text file"),
        ("한글\n".encode(), "a text file"),
        (("x" * 80 + "한").encode()[:-1], "a text file"),
        (b"\xff\xd8", "an unknown kind of file"),
        (bytes(16), "a file of zeros"),
    ],
)
def test_kind(head: bytes, words: str) -> None:
    assert words in kind_of_file(head)
