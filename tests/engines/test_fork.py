"""Forked processes: a model works in them, whether or not the parent had used it before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enlarge.networks import build
from tests.engines.models import write

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

CHILDREN, PATIENCE = 10, 170
BEGIN = """
import os, sys, signal, threading, time
import numpy as np
import enlarge
model = enlarge.open_model(sys.argv[1], engine=sys.argv[2], precision="f32")
image = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)

def children(count, work, leave=os._exit):
    started = []
    for number in range(count):
        child = os.fork()
        if not child:
            signal.alarm(200)  # no child outlives the test
            try:
                work(number)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(3)
            leave(0)
        started.append(child)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started], flush=True)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"scale": 2, "features": 4, "convs": 1}
    return write(build("srvgg", **options).eval(), "srvgg", options, tmp_path_factory.mktemp("m"))


def outcome(code: str, model: Path, engine: str = "openvino") -> str:
    """What a program prints. It is killed, with its children, when it takes too long."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code, str(model), engine],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
    assert process.returncode == 0, err
    return out + err


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_a_fork_after_the_parent_used_the_model(model: Path, engine: str) -> None:
    code = """
wanted = model.upscale(image)
def work(number):
    assert np.abs(model.upscale(image).astype(int) - wanted).max() <= 1
    assert model.upscale(image[:30 + number]).shape == (60 + 2 * number, 104, 3)
children(10, work)
assert (model.upscale(image) == wanted).all()
"""
    assert outcome(code, model, engine) == f"{[0] * CHILDREN}\n"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_a_fork_before_the_parent_used_the_model(model: Path, engine: str) -> None:
    code = """
__import__(f"enlarge.engines.{sys.argv[2]}")  # takes its time, once
def work(number):
    assert model.upscale(image).shape == (80, 104, 3)
children(10, work)
model.upscale(image)
children(2, work)
"""
    assert outcome(code, model, engine) == f"{[0] * CHILDREN}\n[0, 0]\n"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_children_end_as_programs_do(model: Path, engine: str) -> None:
    """Ending a process destroys what it holds, which would wait for threads that are not there."""
    code = """
wanted = model.upscale(image)
children(4, lambda number: None, leave=sys.exit)
children(2, lambda number: model.upscale(image), leave=sys.exit)
"""
    assert outcome(code, model, engine) == "[0, 0, 0, 0]\n[0, 0]\n"


def test_a_fork_while_another_thread_computes(model: Path) -> None:
    code = """
def busy():
    while not done.is_set():
        model.upscale(large)
done = threading.Event()
large = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
wanted = model.upscale(image)
thread = threading.Thread(target=busy)
thread.start()
def work(number):
    assert (model.upscale(image) == wanted).all()
try:
    for _ in range(3):
        time.sleep(0.05)
        children(2, work, leave=sys.exit)
finally:
    done.set()
    thread.join()
"""
    assert outcome(code, model) == "[0, 0]\n" * 3


def test_pools_that_fork(model: Path) -> None:
    code = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
wanted = model.upscale(image)
def work(height):
    return model.upscale(image[:height])
fork = multiprocessing.get_context("fork")
heights = [20, 30, 40]
with fork.Pool(2) as pool:
    found = pool.map_async(work, heights).get(timeout=200)
with ProcessPoolExecutor(2, mp_context=fork) as pool:
    found += list(pool.map(work, heights, timeout=200))
print([len(large) for large in found], (found[-1] == wanted).all(), flush=True)
"""
    assert outcome(code, model) == "[40, 60, 80, 40, 60, 80] True\n"


def test_a_server_that_opens_the_model_and_forks_its_workers(model: Path, tmp_path: Path) -> None:
    """As gunicorn with --preload: sockets are opened first, the workers serve files."""
    code = f"""
import socket
from PIL import Image
Image.fromarray(image).save({str(tmp_path / "in.png")!r})
def requests():
    server = socket.create_server(("127.0.0.1", 0))
    def serve(number):
        answer, _ = server.accept()
        with answer:
            target = {str(tmp_path)!r} + f"/out-{{os.getpid()}}.png"
            model.upscale_file({str(tmp_path / "in.png")!r}, target)
            answer.sendall(target.encode())
    def ask():
        for _ in range(3):
            with socket.create_connection(server.getsockname()) as asked:
                asked.settimeout(200)
                print(Image.open(asked.makefile().read()).size, flush=True)
    threading.Thread(target=ask).start()
    children(3, serve, leave=sys.exit)
requests()
"""
    assert sorted(outcome(code, model).splitlines()) == [*["(104, 80)"] * 3, "[0, 0, 0]"]


def test_files_in_a_process_that_was_forked_too_late(tmp_path: Path, model: Path) -> None:
    """libvips, which the parent used, would wait for ever: an error, and nothing is written."""
    code = f"""
from PIL import Image
from enlarge.errors import EngineError
name = {str(tmp_path)!r} + "/in.png"
Image.fromarray(image).save(name)
def work(number):
    into = f"{{name}}.{{number}}.png"
    for call in (lambda: model.upscale_file(name, into), lambda: model.upscale(name)):
        try:
            call()
        except EngineError as error:
            assert "get_context('spawn') or 'forkserver'" in str(error)
        else:
            raise AssertionError("no error")
    assert model.upscale(Image.fromarray(image)).size == (104, 80)
model.upscale_file(name, name + ".first.png")
children(3, work)
"""
    assert outcome(code, model) == "[0, 0, 0]\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "in.png.first.png"]


def test_what_cannot_work_says_what_to_do(model: Path, tmp_path: Path) -> None:
    """A model that must be prepared first, and a process that cannot be started."""
    code = """
model.upscale(image)
def work(number):
    from enlarge.errors import EngineError
    from enlarge.weights.runner import Runner
    sys.executable = "/nowhere/python"
    for call in (lambda: Runner(model.path), lambda: model.upscale(image)):
        try:
            call()
        except EngineError as error:
            assert "get_context('spawn') or 'forkserver'" in str(error)
        else:
            raise AssertionError("no error")
children(1, work)
"""
    assert outcome(code, model) == "[0]\n"
