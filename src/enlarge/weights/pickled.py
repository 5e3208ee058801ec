"""What a checkpoint of torch names, read from its pickle without running it, and without torch.

A pickle is a program. Its opcodes are only listed here (`pickletools`), which tells the classes and
functions that unpickling would call, and the keys of its dicts.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from enlarge.errors import WeightsError
from enlarge.weights.keys import foreign_keys

_LARGEST = 256 * 1024 * 1024
_LEGACY_PARTS = 5
"""torch before 1.6 wrote a number, a version, facts on the system, the object, and its storages'
keys, each as a pickle.
"""
_TENSORS = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|torch\.\w+|torch\._utils\._rebuild_\w+|"
    r"torch\._tensor\._rebuild_\w+|torch\.(storage|serialization|nn\.parameter|cuda)\.\w+|"
    r"builtins\.(bytearray|set|complex|frozenset|dict|list)"
)
"""What checkpoints of plain tensors name. Torch's own reader decides what it calls of these."""
_SETTINGS = re.compile(
    r"(omegaconf|easydict|ml_collections|addict|pytorch_lightning|lightning|lightning_fabric|"
    r"lightning_utilities|torch\.optim|basicsr\.utils|enum)(\.[a-z_]\w*)*\.[A-Z]\w*|"
    r"argparse\.Namespace|pathlib\.\w*Path|typing\.[A-Z]\w*|datetime\.\w+|"
    r"collections\.(defaultdict|deque)|numpy\.(dtype|ndarray|\w+\d+)|numpy\.\w*core\.multiarray\."
    r"(scalar|_reconstruct)|copyreg\._reconstructor|"
    r"builtins\.(object|int|float|str|slice|range)"
)
"""What trainers store beside the weights: options, paths, counters. They are read as nothing."""


_PYTHON_2 = {
    f"__builtin__.{old}": f"builtins.{new}"
    for old, new in (
        *(
            (name, name)
            for name in ("bytearray", "set", "complex", "frozenset", "object", "getattr")
        ),
        *(
            ("long", "int"),
            ("unicode", "str"),
            ("xrange", "range"),
            ("int", "int"),
            ("eval", "eval"),
        ),
    )
}
"""Names of Python 2, which pickles up to protocol 2 use, and what they are now."""


@dataclass(frozen=True)
class Pickled:
    """What a pickle names: `names` ("module.name") that it would call or create, and its texts."""

    names: tuple[str, ...]
    texts: tuple[str, ...]


def check_checkpoint(path: Path, kind: str) -> None:
    """Raise `WeightsError` if a file of that kind is a checkpoint that `settings_named` refuses, or
    one without a tensor.
    """
    if kind != "checkpoint":
        return
    found = _listed(path)
    _check_names(path, found)
    if not any(name.startswith("torch.") for name in found.names):
        raise WeightsError(
            f"{path}: is a pickle without torch's tensors; expected a checkpoint with a state dict"
        )


def settings_named(path: Path) -> list[str]:
    """The names in a checkpoint that belong to a trainer's settings, which need not be created.

    Raises `WeightsError` if the file is incomplete, is a whole network with its code, would run
    other code when it is opened, or holds no weights of a network that enlarges pictures.
    """
    return _check_names(path, _listed(path))


def _check_names(path: Path, found: Pickled) -> list[str]:
    """`settings_named`, for what the file's pickle names."""
    unknown = [name for name in found.names if not _TENSORS.fullmatch(name)]
    if any(re.match(r"torch\.nn\.(modules|parallel)\.", name) for name in unknown):
        own = [name for name in unknown if not name.startswith("torch.") and not _is_setting(name)]
        called = f" ({own[0]})" if own else ""
        raise WeightsError(
            f"{path}: is a whole network{called}, which would run code when opened; save its "
            "parameters alone, with torch.save(network.state_dict(), FILE)"
        )
    refused = [name for name in unknown if not _is_setting(name)]
    if refused:
        raise WeightsError(
            f"{path}: refused, since this pickle contains more than weights and would run code "
            f"when opened ({', '.join(refused[:3])}); if you trust where it is from, save only its "
            "state dict, preferably as .safetensors"
        )
    if what := foreign_keys(found.texts):
        raise WeightsError(f"{path}: is {what}")
    return unknown


def _is_setting(name: str) -> bool:
    return _SETTINGS.fullmatch(name) is not None


def _listed(path: Path) -> Pickled:
    """The names and texts of a file that `contents` calls a checkpoint."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(n for n in archive.namelist() if n.partition("/")[2] == "data.pkl")
                if archive.getinfo(name).file_size > _LARGEST:
                    raise WeightsError(f"{path}: its data.pkl is too large for a checkpoint's")
                return _names_in(io.BytesIO(archive.read(name)))
        with path.open("rb") as file:
            return _names_in(file)
    except (zipfile.BadZipFile, zlib.error, StopIteration, EOFError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: is a damaged checkpoint ({error or 'no data.pkl'}); download it again"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise WeightsError(
            f"{path}: is a damaged or incomplete pickle ({error}); download or copy it again"
        ) from error


def _names_in(file: BinaryIO) -> Pickled:
    """Those of the file's first pickles, of which there may be several."""
    names: dict[str, None] = {}
    texts: list[str] = []
    for number in range(_LEGACY_PARTS):
        begun = file.tell()
        if number and file.read(1) != b"\x80":
            break
        file.seek(begun)
        _collect(file, names, texts)
    return Pickled(tuple(names), tuple(texts))


def _collect(file: BinaryIO, names: dict[str, None], texts: list[str]) -> None:
    """List one pickle's opcodes. STACK_GLOBAL takes its module and name from the two texts before
    it, which may come from the memo. Raises `ValueError` where the pickle ends too early.
    """
    recent: list[str] = []
    memo: dict[int, str] = {}
    last, count = "", 0
    for opcode, argument, _ in pickletools.genops(file):
        kind = opcode.name
        if kind in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            names[_PYTHON_2.get(f"{module}.{name}", f"{module}.{name}")] = None
        elif kind == "STACK_GLOBAL":
            names[".".join(recent[-2:]) or "an unknown name"] = None
        elif kind in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            if isinstance(argument, int):
                memo[argument] = last
            else:
                memo[count] = last
            count += 1
        elif kind in ("GET", "BINGET", "LONG_BINGET"):
            last = memo.get(int(argument or 0), "")
            if last:
                recent.append(last)
        elif isinstance(argument, str):
            last = argument
            recent.append(argument)
            texts.append(argument)
        else:
            last = ""
        del recent[:-2]
