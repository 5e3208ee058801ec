"""The commands. Each is the function of its name in the module of its name (or of that in
`MODULES`), imported when it is needed.
"""

from __future__ import annotations

COMMANDS = {
    "models": "List the models that --model takes by name.",
    "try": "Enlarge a part of a picture by every model at hand, on one sheet (PNG and HTML).",
    "fuse": "Fuse several frames of one scene into one picture, with details that no single frame "
    "has.",
    "inspect": "Describe a model file (its card) or a picture (size, depth, profile, metadata).",
    "export": "Write a model and its card as .onnx, for any engine, or as .safetensors, for torch.",
    "evaluate": "Measure PSNR and SSIM of models on pictures whose originals are known.",
    "compare": "Compare two pictures: metrics, a difference map, and what differs most, magnified.",
    "benchmark": "Measure the speed, memory and start-up time of models on this machine.",
    "prepare": "Check pairs of pictures and decode them into a store for `enlarge train`.",
    "degrade": "Degrade pictures to low resolution, to look at or to train on.",
    "train": "Train a network from a recipe and write the model to runs/NAME/.",
    "app": "Start the web app and open it in the browser.",
}
"""What each command does, for the help."""
MODULES = {"try": "try_models"}
"""The modules of commands whose name is a word of Python."""
