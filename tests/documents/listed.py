"""Examples of the documents that are not run word for word here, each with the reason.

A key is a command without its comment, or the first line of a block of Python. Every other example
is run, and one that is new in a document has to work, with material that `material.py` can make.
"""

from __future__ import annotations

_INSTALLS = "installs packages; that the extra exists is tested"
_SERVER = "a server; tests/app/test_fresh_home.py starts it"
_GPU = "needs a GPU"
_CLUSTER = "needs machines of a cluster or remote storage; tests/batch/test_cluster.py has its own"
_HOURS = "trains for hours; every recipe takes two steps in tests/training"
_DOWNLOAD = "needs weights that are downloaded"
_PEERS = "needs the packages of other projects' models, or what readers answered"

SKIPPED = {
    "python -m benchmarks.looks": _PEERS,
    "python -m benchmarks.blind": _PEERS,
    "pip install .": _INSTALLS,
    "pip install --no-deps spandrel einops": _INSTALLS,
    'pip install ".[app]"': _INSTALLS,
    'pip install ".[app,video]"': _INSTALLS,
    'pip install ".[cluster]"': _INSTALLS,
    'pip install ".[fuse]"': _INSTALLS,
    'pip install ".[int8]"': _INSTALLS,
    'pip install ".[ncnn]"': _INSTALLS,
    'pip install ".[metrics]"': _INSTALLS,
    'pip install ".[torch]"': _INSTALLS,
    'pip install ".[train]"': _INSTALLS,
    'pip install ".[video]"': _INSTALLS,
    "enlarge app": _SERVER,
    "enlarge app --host 0.0.0.0 --max-upload 20MB --max-pixels 12 --max-files 5": _SERVER,
    "enlarge photo.jpg --device cuda:0": _GPU,
    'model = enlarge.open_model("quality", device="cuda:0")': _GPU,
    "enlarge photos/ -o large/ --cluster auto": _CLUSTER,
    "enlarge s3://bucket/in -o s3://bucket/out/ --cluster 10.0.0.5:6379": _CLUSTER,
    "enlarge s3://bucket/in -o large/": _CLUSTER,
    "RAY_USAGE_STATS_ENABLED=0 ray start --head --port 6379": _CLUSTER,
    "RAY_USAGE_STATS_ENABLED=0 ray start --address 10.0.0.5:6379": _CLUSTER,
    "enlarge evaluate --data SET/x4 --perceptual ~/.cache/torch/hub/checkpoints": _DOWNLOAD,
    "enlarge benchmark": "measures every model for minutes; one model is measured",
    "enlarge train fast": _HOURS,
    "enlarge train fast_taught": _HOURS,
    "enlarge train fast_flat": _HOURS,
    "enlarge train photo-fast": _HOURS,
    "enlarge train photo-fast_flat": _HOURS,
    "enlarge train quality": _HOURS,
    "enlarge train photo": _HOURS,
    "enlarge train photo-sharp": _HOURS,
    "enlarge train fast-x2": _HOURS,
    "enlarge train quality-x2": _HOURS,
}

SHORTENED = {
    "enlarge train fast name=mine data.photos=FOLDER": "--fast-dev-run",
    "enlarge train fast name=mine data.photos=FOLDER model.start=fast train.lr=0.003"
    " train.minutes=30": "--fast-dev-run",
    "enlarge train fast name=pairs data.pairs=STORE 'data.split=[0.8,0.2]' model.start=fast"
    " train.minutes=30": "--fast-dev-run",
    "enlarge train photo-fast data.photos=FOLDER data.pairs=[] teacher.regions=500"
    " train.minutes=30": "--fast-dev-run",
    "enlarge benchmark --engine all": "--model fast --sizes 32",
}
"""Commands that take long, and what shortens them. Only `make docs-check` runs them."""

INTERRUPTED = {
    "enlarge --watch inbox/ -o large/": "large/photo.png",
}
"""Commands that run until Ctrl-C, and the file after whose appearance it is pressed."""
