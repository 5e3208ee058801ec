"""Sources and targets: what a text is taken for, and what a target holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enlarge.batch.inputs import Scan
from enlarge.batch.locations import (
    CsvFile,
    File,
    Folder,
    Glob,
    RemoteFolder,
    Source,
    Stream,
    Target,
    Unusable,
    Zip,
    ledger_folder,
    parse_source,
    parse_target,
    results_folder,
)
from enlarge.batch.remote import Remote
from enlarge.errors import OptionError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("folder.d").mkdir()
    for name in ("a.png", "all.zip", "list.csv", "x[1].png"):
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("-", Stream()),
        ("a.png", File(Path("a.png"))),
        ("./a.png", File(Path("a.png"))),
        ("gone.png", File(Path("gone.png"))),
        ("gone.zip", File(Path("gone.zip"))),
        ("folder.d", Folder(Path("folder.d"))),
        ("all.zip", Zip(Path("all.zip"))),
        ("list.csv", CsvFile(Path("list.csv"))),
        ("*.png", Glob("*.png")),
        ("x[1].png", File(Path("x[1].png"))),
        ("s3://bucket/set", Remote("s3://bucket/set")),
        ("C:/a.png", File(Path("C:/a.png"))),
        ("file:///tmp/a%20b.png", File(Path("/tmp/a b.png"))),
    ],
)
def test_sources(text: str, source: Source) -> None:
    assert parse_source(text) == source


def test_a_source_is_called_as_it_was_typed() -> None:
    assert str(parse_source("./a.png")) == "./a.png"
    assert str(parse_target("./out/")) == "./out/"


def test_what_is_no_source() -> None:
    assert isinstance(parse_source(""), Unusable)
    os.mkfifo("pipe.png")
    assert "is a pipe or a device" in str(getattr(parse_source("pipe.png"), "problem", ""))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("-", Stream()),
        ("b.png", File(Path("b.png"))),
        ("out", Folder(Path("out"))),
        ("out.png/", Folder(Path("out.png"))),
        ("folder.d", Folder(Path("folder.d"))),
        ("new.d", File(Path("new.d"))),
        ("all.ZIP", Zip(Path("all.ZIP"))),
        ("s3://bucket", RemoteFolder(Remote("s3://bucket"))),
        ("s3://bucket/large/", RemoteFolder(Remote("s3://bucket/large"))),
        ("s3://bucket.name", RemoteFolder(Remote("s3://bucket.name"))),
        ("s3://bucket/b.png", Remote("s3://bucket/b.png")),
        ("file:///tmp/out", Folder(Path("/tmp/out"))),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "s3://bucket/all.zip", "file://elsewhere/out"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(OptionError):
        parse_target(text)


def test_names_that_are_no_text() -> None:
    name = os.fsdecode(b"\xff.png")
    assert os.fsencode(str(parse_source(name))) == b"\xff.png"
    assert parse_target(name) == File(Path(name))


@pytest.mark.parametrize(
    ("text", "results", "ledger"),
    [
        ("out", Path("out"), Path("out")),
        ("all.zip", Path("all.zip.parts"), Path("all.zip.parts")),
        ("b.png", None, None),
        ("-", None, None),
    ],
)
def test_where_results_and_ledger_are(text: str, results: Path | None, ledger: Path | None) -> None:
    target = parse_target(text)
    assert results_folder(target) == results
    assert ledger_folder(target) == ledger


def test_a_ledger_elsewhere() -> None:
    assert ledger_folder(None, Path("books")) is None
    for text in ("out", "s3://bucket/large/"):
        folder = ledger_folder(parse_target(text), Path("books"))
        assert folder is not None
        assert folder.parent == Path("books")
        assert folder == ledger_folder(parse_target(text.rstrip("/")), Path("books"))


def test_a_scan_finds_out_once_where_the_results_are(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("results").mkdir()
    Path("link").symlink_to("results", target_is_directory=True)
    resolved: list[str] = []
    resolve = Path.resolve

    def noted(path: Path, **_: bool) -> Path:
        resolved.append(str(path))
        return resolve(path)

    monkeypatch.setattr(Path, "resolve", noted)
    scan = Scan(Path("link"))
    folders = [Path(name) for name in ("folder.d", "results", "link")]
    assert [scan.is_excluded(folder) for folder in folders] == [False, True, True]
    assert resolved == ["link", "folder.d", "results", "link"]
