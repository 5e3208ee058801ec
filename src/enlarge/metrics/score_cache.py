"""Scores of pictures, kept for the next run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from enlarge.errors import DataError
from enlarge.metrics.fidelity import json_safe


class ImageScore(NamedTuple):
    """The scores of one picture: PSNR in dB, SSIM, seconds of enlarging, and LPIPS and DISTS by
    name, if they were asked for.
    """

    name: str
    psnr: float
    ssim: float
    seconds: float
    perceptual: Mapping[str, float] = MappingProxyType({})


class ScoreCache:
    """Scores of this run and earlier ones, by a digest of everything that they depend on.

    Also which score each saved picture belongs to. The file has one JSON list a line; each is
    appended at once, so that an interrupted run loses nothing. Without a path the cache ends with
    the run. Raises `DataError` if the file cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._scores: dict[str, ImageScore] = {}
        self._saved: dict[str, str] = {}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
                self._read(line)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot keep scores there ({error})") from error

    def _read(self, line: str) -> None:
        try:
            key, *values = json.loads(line)
            if len(values) == 1:
                self._saved[str(key)] = str(values[0])
                return
            psnr, ssim, seconds, perceptual = values
            scores = (float(psnr), float(ssim), float(seconds))
            found = {str(name): float(value) for name, value in perceptual.items()}
            self._scores[str(key)] = ImageScore("", *scores, found)
        except (ValueError, TypeError, AttributeError):
            return  # an incomplete line of a run that was killed

    def get(self, key: str) -> ImageScore | None:
        """The score without its picture's name; None if it is unknown."""
        return self._scores.get(key)

    def put(self, key: str, score: ImageScore) -> None:
        """Add a score, and write it to the file."""
        self._scores[key] = score
        _, psnr, ssim, seconds, perceptual = score
        self._append([key, json_safe(psnr), ssim, seconds, dict(perceptual)])

    def has_saved(self, target: Path, key: str) -> bool:
        """Whether the picture at `target` exists and is the one that the score belongs to."""
        return self._saved.get(self._relative(target)) == key and target.exists()

    def put_saved(self, target: Path, key: str) -> None:
        """Record which score the picture at `target` belongs to."""
        self._saved[self._relative(target)] = key
        self._append([self._relative(target), key])

    def _relative(self, target: Path) -> str:
        """The picture's path relative to the file of scores, so that both can be moved."""
        return os.path.relpath(target, self._path.parent) if self._path else str(target.resolve())

    def _append(self, values: list[Any]) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(values))
        except OSError as error:
            raise DataError(f"{self._path}: cannot keep scores there ({error})") from error
