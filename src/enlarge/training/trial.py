"""The trial of a recipe, `--fast-dev-run`."""

from __future__ import annotations

from dataclasses import replace

from enlarge.training.config import Config

FAST_PATCH = 32
"""The largest patch of a trial, in LR pixels."""


def fast_dev_run(config: Config) -> Config:
    """The config for a trial: two steps of the same network on small patches, one validation."""
    patch = min(config.train.patch, FAST_PATCH)
    train = replace(
        config.train,
        steps=2,
        epochs=0.0,
        minutes=0.0,
        batch=1,
        accumulate=1,
        patch=patch,
        ignore_border=min(config.train.ignore_border, (patch - 1) // 2),
        features="",
        check_every=2,
        devices=1,
        nodes=1,
    )
    adversarial = config.adversarial
    if adversarial.weight and adversarial.discriminator == "srgan":
        options = {k: v for k, v in adversarial.options.items() if k != "patch"}
        adversarial = replace(adversarial, options=options)
    model = replace(config.model, start="")
    teacher = replace(
        config.teacher, regions=min(config.teacher.regions, 1), side=patch, ensemble=False
    )
    return replace(
        config,
        train=train,
        model=model,
        teacher=teacher,
        adversarial=adversarial,
        data=replace(config.data, workers=0),
    )
