"""Mutated pairs: each becomes a graph, or is refused in one line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.detecting import NcnnPair
from enlarge.weights.ncnn.graph import outline, write_graph
from tests.media.mutating import mutated
from tests.weights.ncnn.cases import CASES
from tests.weights.ncnn.tiny import PARAM, content

SEEDS = [(PARAM.encode(), content())]
SEEDS += [
    (case.param().encode(), case.content())
    for case in CASES
    if len(case.inputs) == 1 and case.weights
]
"""The lists of layers and the weights of models that are whole."""


def changed_number(text: bytes, chance: random.Random) -> bytes:
    """The text with another number in the place of one."""
    words = text.split(b" ")
    at = chance.randrange(len(words))
    key, equals, _ = words[at].rpartition(b"=")
    number = chance.choice(["-1", "0", "7", "65536", "2147483647", "99999999999", "1e38", "nan"])
    words[at] = key + equals + number.encode()
    return b" ".join(words)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_pairs_are_read_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    pair = NcnnPair(tmp_path / "m.param", tmp_path / "m.bin")
    refused = 0
    for number in range(150):
        text, weights = SEEDS[chance.randrange(len(SEEDS))] if number % 3 else SEEDS[0]
        other = chance.choice(SEEDS)
        if number % 2:
            text = changed_number(text, chance)
        elif chance.random() < 0.7:
            text = mutated(text, other[0], chance)
        else:
            weights = mutated(weights, other[1], chance)
        pair.param.write_bytes(text)
        pair.weights.write_bytes(weights)
        for read in (lambda: write_graph(pair, tmp_path / "m.onnx"), lambda: outline(pair)):
            said = ""
            try:
                read()
            except WeightsError as error:
                said = str(error)
            refused += bool(said)
            assert "\n" not in said
    assert 0 < refused < 300
