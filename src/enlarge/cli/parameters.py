"""What several commands share and only the parser of the command line needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enlarge.cli.options import PROTOCOL, option

FLAT = Parameter(name="*")
"""Marks a parameter that is a dataclass of options."""
PerceptualWeights = Annotated[
    Path | None,
    option(
        "Measure LPIPS and DISTS too, with torchvision's weights of AlexNet or VGG16 at this path "
        "(such as ~/.cache/torch/hub/checkpoints). Needs enlarge[metrics].",
        group=PROTOCOL,
        metavar="FOLDER|FILE",
    ),
]
