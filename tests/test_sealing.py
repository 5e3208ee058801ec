"""`upscale(output=…)` takes `seal` and `digest`, as `Upscaler.upscale_file` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge import upscaler
from enlarge.errors import OutputError
from enlarge.picture.resuming import Transfer


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small picture."""
    path = tmp_path / "small.png"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(12, 16)).save(path)
    return path


def test_a_seal_sees_the_whole_file_before_it_has_its_name(small: Path) -> None:
    target = small.with_name("large.png")
    seen: list[bytes] = []

    def seal(file: BinaryIO) -> None:
        assert not target.exists()
        seen.append(file.read())

    assert enlarge.upscale(small, output=target, seal=seal) == target
    assert seen == [target.read_bytes()]


def test_what_a_seal_raises_prevents_the_result(small: Path) -> None:
    def seal(file: BinaryIO) -> None:
        raise OutputError("not today")

    with pytest.raises(OutputError, match="not today"):
        enlarge.upscale(small, output=small.with_name("large.png"), seal=seal)
    assert list(small.parent.iterdir()) == [small]


def test_the_digest_identifies_the_source(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Transfer] = []
    monkeypatch.setattr(upscaler, "enlarge_file", lambda transfer, *_, **__: given.append(transfer))
    enlarge.upscale(small, output=small.with_name("large.png"), digest="crc32 1234")
    assert given[0].source_digest() == "crc32 1234"


@pytest.mark.parametrize("options", [{"seal": print}, {"digest": "crc32 1234"}])
def test_only_a_file_has_them(options: dict[str, Any], small: Path) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))}= only with output="):
        enlarge.upscale(small, **options)
