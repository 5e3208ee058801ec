from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from enlarge.batch.archive import Member, list_members, remove_staging, write_archive
from enlarge.errors import InputError, OutputError


def test_what_is_taken_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (
            "b.png",
            "사진/a.png",
            "../up.png",
            "/root.png",
            "__MACOSX/._b.png",
            "._c.png",
        ):
            archive.writestr(name, name * 100)
        archive.writestr("folder/", "")
        archive.writestr(link, "b.png")
    found = list(list_members(path))
    members = {member.name: member for member in found if isinstance(member, Member)}
    assert list(members) == ["b.png", "사진/a.png"]
    problems = [line for line in found if isinstance(line, str)]
    assert len(problems) == 2
    assert all("points outside the archive" in line for line in problems)
    stream = members["사진/a.png"].open()
    assert stream.name == f"{path}/사진/a.png"
    assert stream.read() == ("사진/a.png" * 100).encode()
    stream.close()
    assert members["b.png"].digest != members["사진/a.png"].digest


def test_archives_that_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"pixels" * 100)
        archive.writestr("secret.png", b"pixels")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    at = data.rfind(b"PK\x01\x02") + 8
    data[at] |= 1  # encrypted
    path.write_bytes(data)
    member, secret = list_members(path)
    assert isinstance(member, Member)
    with pytest.raises(InputError, match=r"a\.zip/a\.png: is damaged in the archive: Bad CRC"):
        member.open().read()
    assert secret == f"{path}/secret.png: is encrypted; unpack the archive and pass the folder"
    path.write_bytes(data[:50])
    with pytest.raises(InputError, match="cannot be read as a zip archive"):
        list(list_members(path))
    with pytest.raises(InputError, match="No such file"):
        list(list_members(tmp_path / "gone.zip"))


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        files = []
        for inside in ("b.png", "사진/a.png"):
            path = folder / inside.replace("/", "-")
            path.write_bytes(inside.encode() * 1000)
            files.append((inside, path))
        write_archive(folder / "x.zip", files)
        written.append((folder / "x.zip").read_bytes())
        assert not list(folder.glob(".*"))
    assert written[0] == written[1]
    with zipfile.ZipFile(io.BytesIO(written[0])) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["b.png", "사진/a.png"]
        assert archive.read("사진/a.png") == "사진/a.png".encode() * 1000
        info = archive.getinfo("b.png")
        assert info.compress_type == zipfile.ZIP_STORED
        assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_an_archive_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"x\.zip: cannot be written: No such file"):
        write_archive(tmp_path / "x.zip", [("a.png", tmp_path / "gone.png")])
    assert list(tmp_path.iterdir()) == []


def test_staging_goes_but_what_is_not_ours_stays(tmp_path: Path) -> None:
    for foreign in (False, True):
        folder = tmp_path / "x.zip.parts"
        (folder / ".enlarge").mkdir(parents=True)
        (folder / ".enlarge" / "ledger.sqlite").write_bytes(b"")
        (folder / "deep").mkdir()
        ours = folder / "deep" / "a.png"
        ours.write_bytes(b"a")
        if foreign:
            (folder / "notes.txt").write_text("mine")
        remove_staging(folder, [ours])
        left = sorted(path.name for path in tmp_path.rglob("*"))
        assert left == (["notes.txt", "x.zip.parts"] if foreign else [])


def test_archives_of_other_kinds_of_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", bytes(range(256)) * 100)
    data = bytearray(path.read_bytes())
    data[60:200] = bytes(140)
    path.write_bytes(data)
    (member,) = list_members(path)
    assert isinstance(member, Member)
    with pytest.raises(InputError, match=r"a\.zip/a\.png: is damaged in the archive"):
        member.open().read()
    at = data.rfind(b"PK\x01\x02")
    data[at + 6] = 99  # the version that is needed to extract it
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read as a zip archive .*version 9.9"):
        list(list_members(path))
