"""What a fresh machine may lack: a home folder, a text encoding that knows every letter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

HOMELESS = """
import pwd, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
from enlarge.cli import main
main()
"""
RUN = """
import sys
from pathlib import Path
from enlarge.training.result import training_minutes
assert training_minutes(Path(sys.argv[1])) == 2.5
"""


def test_a_user_without_a_home_enlarges(tmp_path: Path) -> None:
    """A service or a container: no HOME, and no entry among the users."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    gone = {"HOME", "XDG_CACHE_HOME", "ENLARGE_CACHE"}
    environment = {name: text for name, text in os.environ.items() if name not in gone}
    arguments = [str(ROOT / "samples" / "photo.jpg"), "--crop", "0,0,32,32", "-o", "large.png"]
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, *arguments],
        cwd=tmp_path, env=environment | {"TMPDIR": str(temporary)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "large.png").is_file()
    assert list(temporary.iterdir()) == []


def test_a_run_is_read_whatever_the_locale(tmp_path: Path) -> None:
    """Its configuration is UTF-8: a folder of photographs may have any name."""
    (tmp_path / "log.jsonl").write_text('{"step": 1, "minutes": 2.5}\n', encoding="utf-8")
    config = "data: {photos: [사진]}\nmodel: {start: ''}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], env=os.environ | ascii_only, check=True
    )
