"""Files as people give them: each opens, or is named for what it is, soon and without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from enlarge.errors import WeightsError
from enlarge.weights.preparing import describe_file
from tests.weights.zoo import ZOO, Kept, write

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
_NAME = """
import json, sys, time
for name in ("torch", "onnx", "safetensors", "spandrel"):
    sys.modules[name] = None
from pathlib import Path
from enlarge.errors import WeightsError
from enlarge.weights.preparing import describe_file
for path in map(Path, sys.argv[1:]):
    begun = time.process_time()
    try:
        said = describe_file(path)[0].network
    except WeightsError as error:
        said = str(error)
    print(json.dumps([path.name, said, time.process_time() - begun]))
"""


def test_there_are_forty_files_of_twenty_five_kinds() -> None:
    assert len({kept.name for kept in ZOO}) == len(ZOO) >= 40
    assert len({kept.kind for kept in ZOO}) >= 25


@pytest.mark.parametrize("kept", ZOO, ids=[kept.name for kept in ZOO])
def test_it_opens_or_is_named(kept: Kept, cache: Path, tmp_path: Path) -> None:
    path = write(kept, tmp_path)
    if kept.network:
        card, _ = describe_file(path)
        assert (card.network, card.name) == (kept.network, path.stem)
        return
    with pytest.raises(WeightsError, match=kept.said) as raised:
        describe_file(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert not Path("/tmp/opened").exists()


def test_naming_takes_a_second_at_most_and_no_torch(tmp_path: Path) -> None:
    """What is no model, or one of ncnn or ONNX; the others ask for torch as soon."""
    paths = [str(write(kept, tmp_path)) for kept in ZOO]
    done = subprocess.run(
        [sys.executable, "-c", _NAME, *paths], capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(ZOO)
    for kept, (name, said, seconds) in zip(ZOO, lines, strict=True):
        assert name == kept.name
        if kept.network in ("onnx", "ncnn"):
            assert said == kept.network
            continue  # a graph is run to describe it
        assert seconds <= 1.0, (name, seconds)
        if kept.network:
            assert "opening a checkpoint needs" in said
            assert 'pip install "enlarge[torch]"' in said
