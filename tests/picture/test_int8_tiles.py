"""The 8-bit form of a bundled model: tiles give what the whole picture gives."""

from __future__ import annotations

import numpy as np
import pytest

import enlarge
from enlarge.engines import TileSpec
from enlarge.weights.catalog import find_weights
from tests.picture.test_bands import photograph

U8 = np.dtype(np.uint8)


@pytest.mark.skipif(find_weights("fast").int8 is None, reason="`fast` has no 8-bit form")
@pytest.mark.parametrize(("height", "width", "tile"), [(150, 211, 64), (97, 160, 96)])
def test_tiles_are_the_whole_picture_in_int8(height: int, width: int, tile: int) -> None:
    """Exactly: within a tile as in the whole picture, what is rounded to 8 bits is the same."""
    image = photograph(height, width)
    model = enlarge.open_model("fast", engine="openvino", precision="int8")
    whole = np.array(model.engine(U8).session(TileSpec(width, height, 3, U8, U8))(image))
    assert np.array_equal(model.upscale(image, tile=tile), whole)
