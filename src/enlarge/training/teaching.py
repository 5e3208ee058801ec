"""A teacher: another network, whose results a network learns beside the photographs, or instead.

Where the teacher is expensive its results are computed once, on regions of the training pictures;
otherwise it runs in every step.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from enlarge.data.pairs import Watch
from enlarge.data.patches import Patches, Sampling
from enlarge.data.photos import Pixels
from enlarge.data.taught import TaughtPairs, Teach, make_taught
from enlarge.errors import OptionError
from enlarge.networks import build
from enlarge.training.checkpoints import start_file, start_from
from enlarge.training.config import START, Config
from enlarge.training.training_data import TrainingData
from enlarge.upscaler import Upscaler, open_model
from enlarge.weights.network_file import load_network

TAUGHT = "taught"
"""The folder in which results of teachers are kept."""
_TOLD = 10
"""Parts of the work after each of which a line says how far it is."""


def learn_beforehand(config: Config, data: TrainingData, scale: int, folder: Path) -> TaughtPairs:
    """The teacher's results on `teacher.regions` regions, computed now as far as `folder` does not
    hold them.

    They lie in a folder of their own for each teacher and set of pictures, so they are never those
    of others, and several runs share them. Raises `OptionError` if the teacher has another scale.
    """
    teacher, upscaler = config.teacher, open_model(config.teacher.model)
    if upscaler.card.scale != scale:
        raise OptionError(
            f"teacher.model {teacher.model} is ×{upscaler.card.scale}, the network is ×{scale}"
        )
    sampling = region_sampling(config, data, scale)
    pictures = [digest for _, digest in data.lists["train"]]
    drawn = [pictures, config.data.chain, asdict(sampling)]
    facts = json.dumps([drawn, upscaler.weights.digest, teacher.ensemble], sort_keys=True)
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    where = folder / f"{Path(teacher.model).stem}-{key}"
    print(f"the results of {teacher.model} on {teacher.regions} regions lie in {where}", flush=True)
    return make_taught(
        Patches(data.train, sampling),
        where,
        teacher.regions,
        teach(upscaler, ensemble=teacher.ensemble),
        watch=_telling(config.teacher.regions),
    )


def region_sampling(config: Config, data: TrainingData, scale: int) -> Sampling:
    """How regions are drawn: like patches, but in one orientation and without flat ones."""
    return Sampling(
        scale=scale,
        patch=max(config.teacher.side, config.train.patch),
        seed=config.train.seed,
        augment="none",
        favoured=data.paired,
        share=config.data.share,
        textured=config.data.textured,
    )


def teach(upscaler: Upscaler, *, ensemble: bool) -> Teach:
    """A model as a function of pixels."""

    def results(low: Pixels) -> Pixels:
        enlarged: Pixels = upscaler.upscale(low, ensemble=ensemble)
        return enlarged

    return results


def _telling(total: int) -> Watch:
    """A line after each tenth of the work."""

    def tell(done: int, of: int) -> None:
        if done * _TOLD // total > (done - 1) * _TOLD // total:
            print(f"the teacher did {done} of {of}", flush=True)

    return tell


def teacher_in_steps(config: Config) -> nn.Module | None:
    """The network that teaches in every step, frozen; None if none does.

    Raises `OptionError` if the teacher has another scale, and `WeightsError` if it cannot be read.
    """
    teacher = config.teacher
    if not teacher.weight or teacher.regions:
        return None
    own = build(config.model.network, **config.model.options)
    if teacher.model == START:
        found = own
        if config.model.start:
            start_from(found, config.model.start)
    else:
        found = load_network(start_file(teacher.model))[0]
    if found.scale != own.scale:
        raise OptionError(
            f"teacher.model {teacher.model} is ×{found.scale}, the network is ×{own.scale}"
        )
    found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return found.eval().requires_grad_(False)
