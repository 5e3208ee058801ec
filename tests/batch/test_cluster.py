"""A batch on a two-node Ray cluster on this machine: workers and nodes lost, S3, bands of one."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.batch import ray_connection
from enlarge.batch import ray_pool as engine
from enlarge.batch.ledger import Ledger
from enlarge.batch.remote import _files
from enlarge.cli import run
from tests.batch.conftest import contents, fill
from tests.batch.servers import objects, s3_server

PICTURES, NODES = 12, 2
Said = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings(
    "ignore:subprocess .* is still running:ResourceWarning",  # Ray leaves its daemons to the system
    "ignore:unclosed file .*ray:ResourceWarning",
)


class Machines:
    """The cluster: its address, and its nodes' actors by their process ids."""

    def __init__(self, cluster: Any, client: Any) -> None:
        self.cluster, self.s3 = cluster, client
        self.address: str = cluster.address

    def actors(self) -> list[int]:
        """Processes that compute, of every node."""
        return [pid for node in self.cluster.list_all_nodes() for pid in self.of(node)]

    def of(self, node: Any) -> list[int]:
        (raylet,) = node.all_processes["raylet"]
        pid = raylet.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if _title(child).startswith("ray::ClusterNode")]


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with s3_server() as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        source = str(Path(__file__).parents[2] / "src")
        patch.setenv("PYTHONPATH", os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ray.cluster_utils import Cluster

            options = {"num_cpus": 1, "object_store_memory": 80_000_000}
            head = options | {"include_dashboard": False}
            cluster = Cluster(initialize_head=True, head_node_args=head)
            for _ in range(NODES - 1):
                cluster.add_node(**options)
            yield Machines(cluster, client)
            cluster.shutdown()
    _files.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photographs(folder: Path, count: int = PICTURES) -> None:
    """Pictures that take long enough for something to happen meanwhile."""
    random = np.random.default_rng(1)
    for number in range(count):
        place = folder / ("deep" if number % 3 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (160, 200 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"p{number:02}.png")


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """A thread that acts once, as soon as the condition holds."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def states(folder: Path) -> list[str]:
    with Ledger(folder) as ledger:
        return [row.state for row in ledger.rows().values()]


def test_a_worker_is_killed_and_a_bad_file_is_named(
    machines: Machines, here: Path, capsys: Said
) -> None:
    photographs(here / "in")
    (here / "in" / "text.jpg").write_text("no picture")
    whole = (here / "in" / "p01.png").read_bytes()
    (here / "in" / "bad.png").write_bytes(whole[:20_000] + bytes(200) + whole[20_200:])
    assert run(["in", "-o", "local/", "--threads", "1", "--quiet"]) == 3
    capsys.readouterr()
    at_kill: list[int] = []

    def kill() -> None:
        at_kill.append(len(contents(here / "out")))
        os.kill(machines.actors()[0], signal.SIGKILL)

    killer = when(lambda: len(contents(here / "out")) >= 3, kill)
    status = run(["in", "-o", "out/", "--cluster", machines.address])
    killer.join()
    captured = capsys.readouterr()
    assert status == 3, captured.err
    assert 3 <= at_kill[0] < PICTURES, "killed too late to prove anything"
    assert contents(here / "out") == contents(here / "local")
    lines = [line.split("  ")[0] for line in captured.out.splitlines()]
    assert sorted(lines) == sorted(f"out/{name}" for name in contents(here / "local"))
    assert "text.jpg: is not a picture but" in captured.err
    assert "bad.png: this PNG is truncated or damaged" in captured.err
    assert sorted(states(here / "out")) == ["done"] * PICTURES + ["failed"]
    # The same command here finds nothing more to do, and nothing is left of what was killed but
    # what the next run on that host sweeps away.
    assert run(["in", "-o", "out/"]) == 3
    assert f"{PICTURES} of {PICTURES + 2} were already done" in capsys.readouterr().err
    assert not list((here / "out").rglob("*.part"))


def test_from_s3_to_s3_with_a_node_lost(machines: Machines, here: Path, capsys: Said) -> None:
    photographs(here / "in")
    for name, data in contents(here / "in").items():
        machines.s3.put_object(Bucket="given", Key=f"set/{name}", Body=data)
    node = machines.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    killer = when(
        lambda: len(objects(machines.s3, "made")) >= 2,
        lambda: machines.cluster.remove_node(node, allow_graceful=False),
    )
    status = run(["s3://given/set", "-o", "s3://made/", "--cluster", machines.address, "--quiet"])
    killer.join()
    assert status == 0, capsys.readouterr().err
    assert run(["in", "-o", "local/", "--threads", "1", "--quiet"]) == 0
    assert objects(machines.s3, "made") == contents(here / "local")
    capsys.readouterr()
    assert run(["s3://given/set", "-o", "s3://made/", "--cluster", machines.address]) == 0
    assert f"{PICTURES} of {PICTURES} were already done" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--scale", "3"], ["--model", "quality"]])
def test_one_picture_by_its_rows_of_tiles(
    options: list[str],
    machines: Machines,
    here: Path,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows: set[int] = set()
    spread = engine.Pool.rows

    def noted(pool: engine.Pool, kind: str, layout: Any, number: int, *rest: Any) -> Any:
        rows.add(number)
        return spread(pool, kind, layout, number, *rest)

    monkeypatch.setattr(engine.Pool, "rows", noted)
    size = (64, 300) if "quality" in options else (150, 420)
    pixels = np.random.default_rng(2).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(here / "high.png")
    options = [*options, "--tile", "72" if "quality" in options else "96"]
    assert run(["high.png", "-o", "local.png", "--threads", "1", "--quiet", *options]) == 0
    command = ["high.png", "-o", "out.png", "--cluster", machines.address, *options]
    was_killed: list[int] = []

    def kill() -> None:
        was_killed.extend(machines.actors()[:1])
        os.kill(was_killed[0], signal.SIGKILL)

    def is_on_its_way() -> bool:
        return bool(rows) and len(machines.actors()) == NODES

    killer = when(is_on_its_way, kill)
    assert run(command) == 0, capsys.readouterr().err
    killer.join()
    assert was_killed
    assert len(rows) == max(rows) + 1 > 2
    assert (here / "out.png").read_bytes() == (here / "local.png").read_bytes()


def test_a_zip_in_and_out(machines: Machines, here: Path) -> None:
    import shutil

    fill(here / "in", 5)
    shutil.make_archive("in", "zip", "in")
    assert run(["in.zip", "-o", "local.zip", "--threads", "1", "--quiet"]) == 0
    assert run(["in.zip", "-o", "out.zip", "--cluster", machines.address, "--quiet"]) == 0
    assert (here / "out.zip").read_bytes() == (here / "local.zip").read_bytes()
    assert not (here / "out.zip.parts").exists()


def test_what_kills_every_machine(machines: Machines, here: Path, capsys: Said) -> None:
    fill(here / "in", 1)
    end = threading.Event()

    def kill_all() -> None:
        while not end.wait(0.05):
            for pid in machines.actors():
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        status = run(["in", "-o", "out/", "--cluster", machines.address])
    finally:
        end.set()
        killer.join()
    assert status == 1
    assert "lost its process 3 times in a row" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_one_picture_that_kills_its_machines(
    machines: Machines, here: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(here / "in", 4)
    tried = engine.Pool._retry

    def deadly(pool: engine.Pool, attempt: Any, what: str, *rest: Any, **more: Any) -> Any:
        def lost(machine: Any, number: int) -> None:
            raise engine.ProcessLost("killed")

        is_deadly = what.endswith("p0000.png")
        return tried(pool, lost if is_deadly else attempt, what, *rest, **more)

    monkeypatch.setattr(engine.Pool, "_retry", deadly)
    assert run(["in", "-o", "out/", "--cluster", machines.address]) == 3
    said = capsys.readouterr().err
    assert f"{Path('in/deep/er/p0000.png').absolute()}: lost its machine 3 times" in said
    assert len(contents(here / "out")) == 3


def test_nobody_answers(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    fill(here / "in", 1)
    monkeypatch.setattr(ray_connection, "ANSWER", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert run(["in", "-o", "out/", "--cluster", f"127.0.0.1:{port}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--cluster 127.0.0.1:{port}: no answer from there" in line
    assert not (here / "out").exists()


def test_something_else_answers(here: Path, capsys: Said) -> None:
    fill(here / "in", 1)
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer() -> None:
            line, _ = web.accept()
            with line:
                line.recv(100)
                line.sendall(b"HTTP/1.0 400 Bad request\r\n\r\n")

        server = threading.Thread(target=answer)
        server.start()
        address = f"127.0.0.1:{web.getsockname()[1]}"
        assert run(["in", "-o", "out/", "--cluster", address]) == 1
        server.join()
    assert f"--cluster {address}: the server there is not Ray" in capsys.readouterr().err


def test_without_the_extra(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    fill(here / "in", 1)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["in", "-o", "out/", "--cluster", "auto"]) == 1
    assert '--cluster needs an extra: pip install "enlarge[cluster]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["in", "-o", "out/", "--dry-run"], ["-", "-o", "x.png"], ["in/p.png", "-o", "-"]]
)
def test_what_contradicts_a_cluster(arguments: list[str], here: Path, capsys: Said) -> None:
    fill(here / "in", 1)
    assert run([*arguments, "--cluster", "auto"]) == 2
    assert "--cluster and -" in capsys.readouterr().err
