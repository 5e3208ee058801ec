"""Other people's checkpoints through `open_model`: opened once, kept, and equal to torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import enlarge
from enlarge.card import read_card
from enlarge.digests import file_digest
from enlarge.errors import WeightsError
from enlarge.networks import LAYOUTS as KNOWN
from enlarge.weights.catalog import find_weights
from enlarge.weights.model_cache import _trim
from enlarge.weights.network_file import describe_network, load_network, save_network
from enlarge.weights.onnx_file import export_onnx
from enlarge.weights.preparing import describe_file, has_failed, note_failure
from tests.conftest import Begin
from tests.networks.tiny import tiny
from tests.weights.test_foreign import OFFICIAL, Bomb, basicsr_edsr, renamed, to_old_layout

State = dict[str, Tensor]
Case = Callable[[], tuple[Any, State]]


def plain(name: str, **options: Any) -> Case:
    def make() -> tuple[nn.Module, State]:
        network = tiny(name, **options)
        return network, network.state_dict()

    return make


def official_edsr() -> tuple[nn.Module, State]:
    """EDSR-PyTorch's keys and its range of 0–255, and what that is on [0, 1]."""
    state = basicsr_edsr()
    network = tiny("edsr", scaling=1.0)
    ours = {key: v / 255 if key.endswith("bias") else v for key, v in state.items()}
    rules = ((r"^conv_first\.", "head."), (r"^conv_after_body\.", "merge."))
    network.load_state_dict(renamed(ours, *rules, (r"^conv_last\.", "tail.")))
    return network, renamed(state, *OFFICIAL)


def basicsr() -> tuple[nn.Module, State]:
    return official_edsr()[0], basicsr_edsr()


def old_esrgan() -> tuple[nn.Module, State]:
    network = tiny("rrdb")
    return network, to_old_layout(network.state_dict(), 1, 2)


LAYOUTS: dict[str, Case] = {
    "edsr-official": official_edsr,
    "edsr-basicsr": basicsr,
    "esrgan-new": plain("rrdb"),
    "esrgan-old": old_esrgan,
    "real-esrgan-x2": plain("rrdb", scale=2),
    "srvgg": plain("srvgg"),
    "swinir": plain("swinir"),
}
WRAPPED = {"esrgan-new": "params_ema", "srvgg": "params", "esrgan-old": "", "swinir": "state_dict"}


def in_torch(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """(h, w, 3) → (sh, sw, 3), clamped."""
    with torch.inference_mode():
        large = network(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()))
    return np.asarray(large[0].clamp(0, 1).permute(1, 2, 0).numpy())


def picture(height: int = 37, width: int = 45) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_opens(
    layout: str, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, state = LAYOUTS[layout]()
    path = tmp_path / f"{layout}.pth"
    key = WRAPPED.get(layout, "params")
    torch.save({key: state} if key else state, path)
    model = enlarge.open_model(path, engine="openvino", precision="f32")
    assert f"preparing {layout}.pth once" in capsys.readouterr().err
    assert np.abs(model.upscale(picture()) - in_torch(network, picture())).max() < 1e-4
    card = model.card
    assert (card.name, card.scale, card.margin) == (layout, network.scale, network.margin)
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert card.flops > 0
    assert list(card.tiles) == [max(64, 3 * card.halo) if card.halo >= 32 else 64]
    assert card.halo == network.margin or (network.margin is None and card.halo > 0)
    again = enlarge.open_model(path)
    assert again.card == card
    assert not capsys.readouterr().err


def test_what_is_kept_serves_torch_too(cache: Path, tmp_path: Path) -> None:
    network = tiny("srvgg")
    save_file(network.state_dict(), tmp_path / "small.safetensors")
    weights = find_weights(tmp_path / "small.safetensors", quiet=True)
    assert weights.path.parent.parent == cache
    kept, card = load_network(weights.path.with_suffix(".safetensors"))
    assert card == weights.card == read_card(weights.path)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in kept.state_dict().items())
    assert [place.name for place in cache.iterdir() if place.is_dir()] == [weights.path.parent.name]


def test_our_own_safetensors_with_and_without_its_onnx(cache: Path, tmp_path: Path) -> None:
    network = tiny("srvgg")
    card = describe_network(
        network, name="x", architecture="srvgg", options={"features": 8, "convs": 3}
    )
    save_network(network, card, tmp_path / "x.safetensors")
    alone = find_weights(tmp_path / "x.safetensors", quiet=True)
    assert alone.path.is_relative_to(cache)
    export_onnx(network, card, tmp_path / "x.onnx")
    assert find_weights(tmp_path / "x.safetensors").path == tmp_path / "x.onnx"


def test_a_checkpoint_is_the_same_beside_a_pair_of_its_name(cache: Path, tmp_path: Path) -> None:
    """`enlarge export x.pth -o x.param` writes one there."""
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(30)}, path)
    (tmp_path / "x.param").write_text("7767517\n0 0\n", encoding="utf-8")
    note_failure(path, "none")
    assert has_failed(path, file_digest(path))


def test_a_pickle_that_wants_to_run_code(cache: Path, tmp_path: Path) -> None:
    torch.save({"params": Bomb(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth: refused, .* would run code"):
        enlarge.open_model(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()
    assert not [place for place in cache.iterdir() if place.is_dir()]


def test_an_unknown_file_says_its_keys_and_what_was_tried(cache: Path, tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(WeightsError, match=r"other\.ckpt: .*encoder\.weight") as raised:
        enlarge.open_model(tmp_path / "other.ckpt")
    assert all(layout.title in str(raised.value) for layout in KNOWN)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("gone.pth", None, "no such file"),
        ("model.txt", b"x", r"is a text file, not a model: 'x'; expected \.onnx, "),
        ("noise.pth", b"\xff" * 100, r"noise\.pth: is not a model that enlarge knows"),
        ("noise.safetensors", b"\xff" * 100, r"noise\.safetensors: is not a model that"),
    ],
)
def test_what_is_no_model(
    cache: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        find_weights(tmp_path / file, quiet=True)


def test_looking_measures_and_keeps_nothing(cache: Path, tmp_path: Path) -> None:
    torch.save(tiny("rrdb").state_dict(), tmp_path / "a.pth")
    card, whole = describe_file(tmp_path / "a.pth")
    assert not whole
    assert (card.network, card.margin, card.tiles) == ("rrdb", 19, {})
    assert not list(cache.iterdir())


SCRIPT = """
import sys
{before}
from enlarge.errors import WeightsError
from enlarge.weights import measuring
from enlarge.weights.catalog import find_weights
measuring.FEW = (64,)
try:
    print(find_weights(sys.argv[1]).path)
except WeightsError as error:
    print(error)
"""


def preparing(path: Path, before: str = "") -> list[str]:
    return [sys.executable, "-c", SCRIPT.format(before=before), str(path)]


def test_two_processes_at_once(cache: Path, tmp_path: Path, begin: Begin) -> None:
    torch.save(tiny("srvgg").state_dict(), tmp_path / "both.pth")
    running = [begin(preparing(tmp_path / "both.pth")) for _ in range(2)]
    said = [process.communicate() for process in running]
    (one,) = (place for place in cache.iterdir() if place.is_dir())
    assert [out.strip() for out, _ in said] == [str(one / "both.onnx")] * 2, said
    assert sum("preparing" in err for _, err in said) == 1
    assert sorted(file.name for file in one.iterdir()) == ["both.onnx", "both.safetensors"]


def test_without_torch(cache: Path, tmp_path: Path) -> None:
    torch.save(tiny("srvgg").state_dict(), tmp_path / "a.pth")
    command = preparing(tmp_path / "a.pth", before="sys.modules['torch'] = None")
    done = subprocess.run(command, capture_output=True, text=True)
    assert "opening a checkpoint needs torch" in done.stdout
    assert 'pip install "enlarge[torch]"' in done.stdout


def test_a_cache_that_cannot_be_written(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "file" / "cache"))
    torch.save(tiny("srvgg").state_dict(), tmp_path / "a.pth")
    weights = find_weights(tmp_path / "a.pth", quiet=True)
    assert weights.path.is_file()
    assert find_weights(tmp_path / "a.pth").path == weights.path


def test_a_damaged_model_is_prepared_again(cache: Path, tmp_path: Path) -> None:
    torch.save(tiny("srvgg").state_dict(), tmp_path / "a.pth")
    model = find_weights(tmp_path / "a.pth", quiet=True).path
    whole = model.read_bytes()
    model.write_bytes(whole[:10])
    assert find_weights(tmp_path / "a.pth", quiet=True).path == model
    assert len(model.read_bytes()) == len(whole)


def test_the_models_used_longest_ago_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enlarge.weights.model_cache.LIMIT", 25)
    for age, name in enumerate(("new", "used", "old", ".left.part")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.onnx").write_bytes(b"0123456789")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    _trim(tmp_path, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]
    monkeypatch.setattr("enlarge.weights.model_cache.LIMIT", 0)
    _trim(tmp_path, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
