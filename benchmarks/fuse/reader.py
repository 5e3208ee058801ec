"""A reader of text lines: the recognition network of PP-OCRv4, in rapidocr-onnxruntime of PyPI."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.fuse.scenes import LETTERS
from benchmarks.judges import package_folder

Pixels = NDArray[np.uint8]
HEIGHT = 48
SURE = 0.5
"""The probability from which a character counts as read."""


@dataclass(frozen=True)
class Score:
    """Characters of a plate: right, wrong (read as another, or where there is none) and unread."""

    right: int
    wrong: int
    unread: int


class Reader:
    """Reads a line of capitals and digits from a picture. What else the network knows (6,600 signs,
    most of them Chinese) is no answer; small letters count as capitals.
    """

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = package_folder("rapidocr_onnxruntime") / "models/ch_PP-OCRv4_rec_infer.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options)
        signs = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._alphabet = LETTERS + "0123456789"
        known = ["", *signs]
        self._columns = [
            [number for number, sign in enumerate(known) if sign in (wanted, wanted.lower())]
            for wanted in self._alphabet
        ]

    def __call__(self, line: Pixels) -> list[tuple[str, float]]:
        """The characters of a line (H×W×3, uint8), and how sure the reader is of each."""
        width = max(HEIGHT, round(line.shape[1] * HEIGHT / line.shape[0]))
        interpolation = cv2.INTER_AREA if line.shape[0] > HEIGHT else cv2.INTER_CUBIC
        small = cv2.resize(line, (width, HEIGHT), interpolation=interpolation)
        values = small[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        chances = self._session.run(None, {self._session.get_inputs()[0].name: values})[0][0]
        mine = np.stack([chances[:, columns].sum(1) for columns in self._columns], axis=1)
        found: list[tuple[str, float]] = []
        last = -1
        for blank, row in zip(chances[:, 0], mine, strict=True):
            best = int(row.argmax())
            if blank > row[best]:
                best = -1
            elif best != last:
                found.append((self._alphabet[best], float(row[best])))
            elif found[-1][1] < row[best]:
                found[-1] = (found[-1][0], float(row[best]))
            last = best
        return found


def score(read: list[tuple[str, float]], text: str) -> Score:
    """What was read, against the text, in the alignment of the fewest edits."""
    rows, columns = len(read) + 1, len(text) + 1
    cost = np.zeros((rows, columns))
    cost[:, 0], cost[0] = np.arange(rows), np.arange(columns)
    for i in range(1, rows):
        for j in range(1, columns):
            differs = read[i - 1][0] != text[j - 1]
            cost[i, j] = min(cost[i - 1, j - 1] + differs, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    right = wrong = 0
    i, j = rows - 1, columns - 1
    while i > 0:
        sign, sure = read[i - 1]
        if j > 0 and cost[i, j] == cost[i - 1, j - 1] + (sign != text[j - 1]):
            right += sign == text[j - 1] and sure >= SURE
            wrong += sign != text[j - 1] and sure >= SURE
            i, j = i - 1, j - 1
        elif cost[i, j] == cost[i - 1, j] + 1:
            wrong += sure >= SURE
            i -= 1
        else:
            j -= 1
    return Score(right, wrong, max(0, len(text) - right - wrong))
