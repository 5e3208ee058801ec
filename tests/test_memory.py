from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enlarge.errors import OptionError
from enlarge.memory import _control_group, default_budget, format_size, parse_size, peak, resident


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.5GB", 1_500_000_000), ("600MB", 600_000_000), ("600 mb", 600_000_000), ("2GiB", 2**31),
     ("800M", 800_000_000), ("12345", 12345), ("1k", 1000)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1.5.2GB", "GB", "10ib", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OptionError, match=r"1\.5GB"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [format_size(n) for n in (1_500_000_000, 600_000_000, 2500)] == [
        "1.5 GB", "600 MB", "2 kB",
    ]  # fmt: skip


def test_the_peak_follows_what_is_taken() -> None:
    before = peak()
    taken = np.ones(resident() // 8 + 20_000_000)  # more than is resident now
    assert peak() - before > 100_000_000
    assert peak() >= resident() > 0
    assert taken[0] == 1


def test_the_lowest_limit_above_this_process_counts(tmp_path: Path) -> None:
    group = tmp_path / "a" / "b"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    assert _control_group(tmp_path, own) == 2**62
    (group / "memory.max").write_text("max\n")
    (tmp_path / "a" / "memory.max").write_text("1000\n")
    assert _control_group(tmp_path, own) == 1000
    (group / "memory.max").write_text("500\n")
    assert _control_group(tmp_path, own) == 500


def test_version_1_groups(tmp_path: Path) -> None:
    group = tmp_path / "memory" / "job"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("3:cpu:/x\n2:memory:/job\n")
    (group / "memory.limit_in_bytes").write_text("700\n")
    assert _control_group(tmp_path, own) == 700


def test_the_default_is_at_most_half_of_the_machine() -> None:
    text = Path("/proc/meminfo").read_text()
    total = int(text.split()[1]) * 1024
    assert 0 < default_budget() <= total // 2 + 1
