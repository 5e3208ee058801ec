from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest

from enlarge.errors import OutputError
from enlarge.media.temporary import TemporaryFile, sweep, temporary_name
from tests.conftest import Begin


def test_a_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "사진.png"
    temporary = TemporaryFile(target)
    temporary.file.write(b"whole")
    assert not target.exists()
    assert sweep(tmp_path) == []
    temporary.finish()
    temporary.abort()
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_abort_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    temporary = TemporaryFile(target)
    temporary.file.write(b"new")
    temporary.abort()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "한" * 83 + ".png"])
def test_long_names_fit(tmp_path: Path, name: str) -> None:
    assert len(os.fsencode(temporary_name(name))) <= 255
    assert temporary_name(name) != temporary_name("b" + name[1:])
    temporary = TemporaryFile(tmp_path / name)
    temporary.finish()
    assert (tmp_path / name).exists()


def test_one_writer_a_target(tmp_path: Path) -> None:
    first = TemporaryFile(tmp_path / "a.png")
    with pytest.raises(OutputError, match="another task"):
        TemporaryFile(tmp_path / "a.png")
    first.abort()
    TemporaryFile(tmp_path / "a.png").abort()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        TemporaryFile(tmp_path / "none" / "a.png")
    with pytest.raises(OutputError, match="is a folder"):
        TemporaryFile(tmp_path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    temporary = TemporaryFile(tmp_path / "link.png")
    temporary.file.write(b"new")
    temporary.finish()
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"new"


def test_a_killed_writer_leaves_only_what_a_sweep_removes(tmp_path: Path, begin: Begin) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import numpy as np
        from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
        sink = create_picture(
            Path(sys.argv[1]), PictureSpec(64, 9999, 3, np.dtype(np.uint8)), WriteOptions("png")
        )
        sink.write(np.zeros((64, 64, 3), np.uint8))
        print("writing", flush=True)
        time.sleep(600)
    """)
    target = tmp_path / "그림.png"
    child = begin([sys.executable, "-c", script, str(target)], stderr=None)
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    assert sweep(tmp_path) == []  # it lives
    child.kill()
    child.wait()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".그림.png.enlarge-")
    assert sweep(tmp_path) == left
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_touches_nothing_else(tmp_path: Path) -> None:
    names = [".a.png.enlarge-otherhost-1.part", "photo.part", ".a.png.part"]
    for name in names:
        (tmp_path / name).touch()
    assert sweep(tmp_path) == []
    assert sweep(tmp_path / "none") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system has no such flag")
def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (tmp_path / temporary_name("a.png")).symlink_to(precious)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written"):
        TemporaryFile(tmp_path / "a.png")
    assert precious.read_bytes() == b"mine"
