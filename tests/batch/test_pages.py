"""Pages of one file as pictures of a batch: on machines of a cluster, in a watched folder, and
after an interrupt.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import File, parse_source, parse_target
from enlarge.batch.plan import Request
from enlarge.batch.planning import plan_batch
from enlarge.batch.ray_node import ClusterNode, model_files, setup_for
from enlarge.batch.run import run_batch
from enlarge.batch.watching import Watch
from enlarge.batch.worker import LocalWorker, SealDigest
from enlarge.cli import watch as command
from enlarge.errors import OptionError
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.upscaler import open_model


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A TIFF of three pages."""
    pages = np.random.default_rng(2).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
    first, *others = map(Image.fromarray, pages)
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in" / "scan.tif", save_all=True, append_images=others)
    return tmp_path / "in" / "scan.tif"


def request_of(scan: Path) -> Request:
    """All pages of the files in its folder, into the folder `out`."""
    settings = Settings(format="png", page="all")
    target = parse_target(str(scan.parents[1] / "out"))
    return Request((parse_source(str(scan.parent)),), settings, target)


def test_a_machine_of_a_cluster_takes_the_page(scan: Path) -> None:
    setup = setup_for(open_model("fast", threads=1), Settings(format="png", page="all"), ())
    node = ClusterNode(setup, 1)
    assert isinstance(node.open(model_files(setup)), str)
    target = scan.with_name("two.png")
    begun = node.begin(PictureJob(File(scan), File(target), page=2))
    assert isinstance(begun, tuple), begun
    assert isinstance(node.finish(begun[0]), Done)
    assert np.array_equal(
        np.asarray(Image.open(target)), enlarge.upscale(scan, page=2, model="fast")
    )
    assert isinstance(node.begin(PictureJob(File(scan), File(target), page=4)), OptionError)


def test_a_new_file_in_a_watched_folder_gives_all_its_pages(
    scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Watch(today=lambda: scan.stat().st_ctime + 60)
    batch = command._completed(request_of(scan), open_model("fast"), seen)
    assert [item.job.page for item in batch.todo] == [1, 2, 3]
    assert [item.job.name for item in batch.todo] == [f"scan_page{n}.png" for n in (1, 2, 3)]
    assert not command._completed(request_of(scan), open_model("fast"), seen).todo


def test_an_interrupted_file_goes_on_at_the_next_page(scan: Path) -> None:
    model, request = open_model("fast"), request_of(scan)

    class Failing(LocalWorker):
        """Is interrupted after the first page."""

        lanes = 1

        def make(self, job: PictureJob, seal: SealDigest | None, cancel: threading.Event) -> Done:
            if job.page != 1:
                raise KeyboardInterrupt
            return super().make(job, seal, cancel)

    with pytest.raises(KeyboardInterrupt):
        list(run_batch(plan_batch(request, model), Failing(model, request.settings)))
    batch = plan_batch(request, model)
    assert [outcome.job.page for outcome in batch.kept if outcome.job] == [1]
    assert [item.job.page for item in batch.todo] == [2, 3]
    # Another number of digits would be another name; another page is another result.
    single = replace(request, settings=Settings(format="png", page=1))
    assert len(plan_batch(single, model).kept) == 1
