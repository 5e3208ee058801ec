"""The convolutions of ImageNet classifiers, whose feature maps losses and metrics compare.

`AlexNet`: Krizhevsky, 2014, "One weird trick", https://arxiv.org/abs/1404.5997. `VGG16`, `VGG19`:
configurations D and E of Simonyan and Zisserman, 2015, https://arxiv.org/abs/1409.1556. Layers have
the same numbers as in torchvision's `features`, so its published files fit (`weights.backbones`
reads them). Layers after the last tap are left out.

    image    (B, 3, H, W)                     RGB in [0, 1]; normalised by ImageNet's statistics
    AlexNet  (B, 64, H/4, W/4)                11×11 with stride 4
             (B, 192, H/8, W/8)               3×3 maximum with stride 2; 5×5
             (B, 384 | 256 | 256, H/16, ·)    3×3 maximum with stride 2; three times 3×3
    VGG16    (B, 64, H, W)                    twice 3×3
             (B, 128, H/2, ·)                 pool; twice 3×3
             (B, 256 | 512 | 512, H/4 … ·)    pool; three times 3×3; and again; and again
    VGG19    the same with four in each of the last three; conv5_4 alone, before its activation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

Pool = Callable[[], nn.Module]

_D = (64, 64, 0, 128, 128, 0, *(256,) * 3, 0, *(512,) * 3, 0, *(512,) * 3)
_E = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4)
"""Channels of the convolutions, all of 3×3; 0: pool."""


def _maxima() -> nn.Module:
    return nn.MaxPool2d(2)


class Backbone(nn.Module):
    """Some of the layers above: pictures → the feature map after the last of the layers `taps`.

    `mean` and `deviation` are ImageNet's, to which the published weights are trained; `least` is
    the smallest side of a picture.
    """

    least: int
    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[nn.Module], taps: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers[: taps[-1] + 1])
        self.taps = tuple(taps)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), persistent=False)

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        """The feature maps after the layers `taps`, one at a time, so none need be kept."""
        values = (image - self.mean) / self.deviation
        for number, layer in enumerate(self.features):
            values = layer(values)
            if number in self.taps:
                yield values

    def forward(self, image: Tensor) -> Tensor:
        *_, last = self.maps(image)
        return last


class AlexNet(Backbone):
    """AlexNet behind each of its five activations; a side needs 31 pixels."""

    least = 31

    def __init__(self) -> None:
        super().__init__(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(256, 256, 3, padding=1),
                nn.ReLU(inplace=True),
            ],
            taps=(1, 4, 7, 9, 11),
        )


class VGG16(Backbone):
    """VGG16 behind the last activation of each of its five stages; a side needs 16 pixels."""

    least = 16

    def __init__(self, pool: Pool = _maxima) -> None:
        super().__init__(_vgg(_D, pool), taps=(3, 8, 15, 22, 29))


class VGG19(Backbone):
    """VGG19 up to conv5_4, before its activation: (B, 512, H/16, W/16)."""

    least = 16

    def __init__(self) -> None:
        super().__init__(_vgg(_E, _maxima), taps=(34,))


def _vgg(configuration: Sequence[int], pool: Pool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    inputs = 3
    for channels in configuration:
        if channels:
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = channels
        else:
            layers.append(pool())
    return layers
