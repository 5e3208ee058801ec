"""The folder of finished parts: what is left of it where its making is stopped."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from enlarge.errors import OutputError
from enlarge.media import parts_folder
from enlarge.media.parts_folder import PartsFolder


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "no space")])
def test_one_that_cannot_begin_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | type[BaseException]
) -> None:
    real = PartsFolder.write

    def stopped(self: PartsFolder, name: str, document: object) -> None:
        real(self, name, document)
        raise error

    monkeypatch.setattr(PartsFolder, "write", stopped)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        PartsFolder(tmp_path / "tape.mp4", {"a": 1}, "segment")
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_one_with_parts_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PartsFolder(tmp_path / "tape.mp4", {"a": 1}, "segment")
    folder.part(0).write_bytes(b"finished")
    folder.close()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PartsFolder, "_begin", stopped)
    with pytest.raises(KeyboardInterrupt):
        PartsFolder(tmp_path / "tape.mp4", {"a": 1}, "segment")
    assert folder.part(0).read_bytes() == b"finished"


def test_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    folder = PartsFolder(tmp_path / "tape.mp4", {"a": 1}, "segment")
    monkeypatch.setattr(parts_folder, "write_all", full)
    with pytest.raises(OutputError, match="cannot be written: no space"):
        folder.write("tiles.json", [[8, 8]])
    assert sorted(os.listdir(folder.path)) == ["lock", "parts.json"]  # noqa: PTH208
    folder.close()
