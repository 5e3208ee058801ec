"""Inputs and outputs by URL, without a cluster: a real S3-compatible server, and a web server."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enlarge.batch.ledger import Ledger
from enlarge.batch.locations import ledger_home, local_path
from enlarge.batch.remote import Remote, _files, is_url
from enlarge.cli import run
from enlarge.errors import OptionError
from tests.batch.conftest import contents, fill
from tests.batch.servers import BUCKETS, objects, s3_server

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with s3_server() as client:
        yield client
    _files.cache_clear()


@pytest.fixture
def s3(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for bucket in BUCKETS:
        for key in objects(server, bucket):
            server.delete_object(Bucket=bucket, Key=key)
    return server


def upload(client: Any, folder: Path, prefix: str) -> None:
    for name, data in contents(folder).items():
        client.put_object(Bucket="given", Key=f"{prefix}/{name}", Body=data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://b/k", True), ("C:/x", False), ("c://x", False), ("a/b", False), ("https://h/x", True)],
)
def test_what_is_a_url(text: str, expected: bool) -> None:
    assert is_url(text) is expected


def test_a_file_url_is_a_path() -> None:
    assert local_path("file:///a/b%20c.png") == "/a/b c.png"
    assert local_path("a.png") == "a.png"
    with pytest.raises(OptionError, match="host elsewhere"):
        local_path("file://elsewhere/a.png")


@pytest.mark.parametrize(
    ("url", "name", "root"),
    [
        ("s3://b/p/a.png", "a.png", "s3://b"),
        ("https://h/p/a%20b.jpg?token=1/2", "a b.jpg", "https://h"),
    ],
)
def test_the_parts_of_a_url(url: str, name: str, root: str) -> None:
    assert Remote(url).name == name
    assert Remote(url).root.url == root


def test_a_prefix_becomes_a_prefix(s3: Any, tmp_path: Path, capsys: Said) -> None:
    fill(tmp_path / "in", 6)
    upload(s3, tmp_path / "in", "set")
    assert run(["in", "-o", "here/", "--quiet"]) == 0
    assert run(["s3://given/set", "-o", "s3://made/large/"]) == 0
    expected = {f"large/{name}": data for name, data in contents(tmp_path / "here").items()}
    assert objects(s3, "made") == expected
    capsys.readouterr()
    # The ledger knows them, without a look into the pictures; what changes or goes is done again.
    assert run(["s3://given/set", "-o", "s3://made/large/"]) == 0
    assert "6 of 6 were already done" in capsys.readouterr().err
    s3.delete_object(Bucket="made", Key="large/p0001.png")
    other = contents(tmp_path / "in")["p0002.png"]
    s3.put_object(Bucket="given", Key="set/p0004.png", Body=other)
    assert run(["s3://given/set/", "-o", "s3://made/large"]) == 0
    captured = capsys.readouterr()
    assert "4 of 6 were already done" in captured.err
    made = [line.split("  ")[0] for line in captured.out.splitlines()]
    assert made == ["s3://made/large/p0001.png", "s3://made/large/p0004.png"]
    expected["large/p0004.png"] = expected["large/p0002.png"]
    assert objects(s3, "made") == expected


def test_what_was_put_but_not_written_down_is_known(s3: Any, tmp_path: Path, capsys: Said) -> None:
    fill(tmp_path / "in", 2)
    assert run(["in", "-o", "s3://made/", "--ledger", "books", "--quiet"]) == 0
    home = ledger_home(Remote("s3://made"), Path("books"))
    with Ledger(home, Remote("s3://made")) as ledger:  # as if killed between the name and the word
        (name, *_) = ledger.rows()
        ledger._base.execute(
            "UPDATE pictures SET state = 'doing', owner = 'dead-1-00.lock', sealed = digest, "
            "digest = NULL WHERE output = ?",
            (name,),
        )
    assert run(["in", "-o", "s3://made/", "--ledger", "books"]) == 0
    assert "2 of 2 were already done" in capsys.readouterr().err


def test_the_ledger_of_a_folder_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "in", 3)
    for _ in range(2):
        assert run(["in", "-o", "out/", "--ledger", "books"]) == 0
    assert "3 of 3 were already done" in capsys.readouterr().err
    assert not (tmp_path / "out" / ".enlarge").exists()
    (ledger,) = (tmp_path / "books").rglob("ledger.sqlite")
    assert ledger.parents[1] == ledger_home(Path("out"), Path("books")).absolute()


def test_what_somebody_put_there_is_not_replaced(s3: Any, tmp_path: Path, capsys: Said) -> None:
    fill(tmp_path / "in", 2)
    s3.put_object(Bucket="made", Key="p0001.png", Body=b"mine")
    assert run(["in", "-o", "s3://made/"]) == 1
    assert "s3://made/p0001.png exists; use --overwrite" in capsys.readouterr().err
    assert run(["in", "-o", "s3://made/", "--overwrite", "--quiet"]) == 0
    s3.put_object(Bucket="made", Key="p0001.png", Body=b"mine")
    assert run(["in", "-o", "s3://made/"]) == 1
    assert "was changed since enlarge made it" in capsys.readouterr().err
    assert objects(s3, "made")["p0001.png"] == b"mine"


def test_one_bad_file_behind_a_url(s3: Any, tmp_path: Path, capsys: Said) -> None:
    fill(tmp_path / "in", 5, broken=2)
    upload(s3, tmp_path / "in", "set")
    rows = [f"s3://given/set/{name}" for name in contents(tmp_path / "in")]
    (tmp_path / "list.csv").write_text("\n".join(["LR", *rows, "s3://given/set/gone.png"]))
    assert run(["list.csv", "-o", "s3://made/flat/"]) == 3
    said = capsys.readouterr().err
    assert "s3://given/set/gone.png: " in said
    assert "text.jpg: is not a picture but" in said
    assert "3 of 6 inputs failed" in said
    names = ["flat/p0002.png", "flat/p0003.png", "flat/p0004.png"]
    assert sorted(objects(s3, "made")) == names


def test_one_file_and_a_glob(s3: Any, tmp_path: Path) -> None:
    fill(tmp_path / "in", 4)
    upload(s3, tmp_path / "in", "set")
    assert run(["s3://given/set/p0001.png", "-o", "one.png", "--quiet"]) == 0
    assert run(["in/p0001.png", "-o", "same.png", "--quiet"]) == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    assert run(["s3://given/set/p*.png", "-o", "s3://made/one.webp/", "--quiet"]) == 0
    assert sorted(objects(s3, "made")) == ["one.webp/p0001.png", "one.webp/p0002.png"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["s3://nowhere/set", "-o", "out/"], "s3://nowhere/set: "),
        (["in", "-o", "s3://nowhere/set/"], "there is no bucket s3://nowhere"),
        (["s3://given/empty", "-o", "out/"], "s3://given/empty: no pictures there"),
        (["s3://given/x.png", "-o", "out/"], "s3://given/x.png: there is no such file"),
        (["s3://given/x.zip", "-o", "out/"], "a zip file must be on this machine"),
        (["in", "-o", "https://127.0.0.1/x/"], "not to https://"),
        (["odd://in/x.png", "-o", "out/"], "odd://in/x.png: cannot be read: Protocol not known"),
    ],
)
def test_what_is_refused(
    arguments: list[str], expected: str, s3: Any, tmp_path: Path, capsys: Said
) -> None:
    fill(tmp_path / "in", 1)
    assert run(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["in", "-o", "s3://made/all.zip"], "a zip is written on this machine"),
        (["s3://given/set/p.png"], "for a picture behind a URL, name an output with -o"),
        (["in", "-o", "s3://made/x/", "--format", "dzi"], "use szi, which is one file"),
        (["in", "--ledger", "x"], "--ledger needs a folder of results"),
    ],
)
def test_what_makes_no_sense(
    arguments: list[str], expected: str, s3: Any, tmp_path: Path, capsys: Said
) -> None:
    fill(tmp_path / "in", 1)
    s3.put_object(Bucket="given", Key="set/p.png", Body=b"")
    assert run(arguments) == 2
    assert expected in capsys.readouterr().err


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    _files.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert run(["s3://given/x.png", "-o", str(tmp_path / "out.png")]) == 1
    assert 'need an extra: pip install "enlarge[cluster]"' in capsys.readouterr().err


def test_a_picture_from_the_web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    _files.cache_clear()
    fill(tmp_path / "in", 2)
    monkeypatch.chdir(tmp_path)
    handler = functools.partial(_Silent, directory=str(tmp_path / "in"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}"
        assert run([f"{url}/p0001.png?size=large", "-o", "web/", "--quiet"]) == 0
        assert run(["in/p0001.png", "-o", "here/", "--quiet"]) == 0
        assert contents(tmp_path / "web") == contents(tmp_path / "here")
        # The server tells no more than the size: the content decides.
        assert run([f"{url}/p0001.png?size=large", "-o", "web/"]) == 0
        assert "1 of 1 were already done" in capsys.readouterr().err
        assert run([f"{url}/gone.png", "-o", "web/"]) == 1
        assert "gone.png: there is no such file" in capsys.readouterr().err
        assert run([f"{url}/p0001.png", "--width", "64"]) == 2
        assert "for a picture behind a URL, name an output with -o" in capsys.readouterr().err
        web.shutdown()
    assert run([f"{url}/p0001.png", "-o", "web/"]) == 1
    assert "cannot be read: " in capsys.readouterr().err


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name above
        pass
