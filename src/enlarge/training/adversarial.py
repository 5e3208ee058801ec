"""Adversarial training: SRGAN and ESRGAN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.data.datasets import Batch
from enlarge.errors import OptionError
from enlarge.networks.discriminators import SRGANDiscriminator, UNetDiscriminator
from enlarge.training.config import Config
from enlarge.training.learner import Learner, to_unit
from enlarge.training.optimizers import at_full_rate, set_rate_factor


class AdversarialLearner(Learner):
    """Trains a network against a discriminator, which is trained at the same time.

    `adversarial.kind` standard is SRGAN's loss (Ledig et al., CVPR 2017), relativistic the
    relativistic average loss of ESRGAN (Wang et al., ECCV Workshops 2018).
    """

    def __init__(self, config: Config, network: nn.Module, **rest: Any) -> None:
        super().__init__(config, network, **rest)
        adversarial = config.adversarial
        try:
            self.discriminator: nn.Module = (
                UNetDiscriminator(**adversarial.options)
                if adversarial.discriminator == "unet"
                else SRGANDiscriminator(
                    **{"patch": config.train.patch * self.scale, **adversarial.options}
                )
            )
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"adversarial.options of {adversarial.discriminator}: {error}"
            ) from error

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimisers of the network, then that of the discriminator."""
        optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=self.config.adversarial.lr, betas=(0.9, 0.999)
        )
        return [*super().configure_optimizers(), *at_full_rate([optimizer])]

    def logits(self, pictures: Tensor) -> Tensor:
        """The discriminator's logits, (B, 1) or (B, 1, H, W), float32; positive: a photograph."""
        bf16 = self.config.train.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if isinstance(self.discriminator, SRGANDiscriminator):
                logits: Tensor = self.discriminator.logits(pictures)
            else:
                logits = self.discriminator(pictures)
        return logits.float()

    def training_step(self, batch: Batch, index: int) -> None:
        """A step of the network, then a step of the discriminator on the same pictures."""
        progress = self.progress()
        *own, other = self.own_optimizers()
        set_rate_factor([*own, other], self.rate_factor(progress))
        high = self.target(batch)
        relativistic = self.config.adversarial.kind == "relativistic"

        self.discriminator.requires_grad_(False)
        enlarged = self.enlarge(to_unit(batch.low))
        loss, parts = self.criterion(enlarged, high)
        fake = self.logits(enlarged)
        if relativistic:
            real = self.logits(high)
            generator_loss = 0.5 * (bce(fake - real.mean(), 1.0) + bce(real - fake.mean(), 0.0))
        else:
            generator_loss = bce(fake, 1.0)
        loss = loss + self.config.adversarial.weight * generator_loss
        self.manual_backward(loss)
        self.update(own, self.network)

        self.discriminator.requires_grad_(True)
        real, fake = self.logits(high), self.logits(enlarged.detach())
        if relativistic:
            discriminator_loss = 0.5 * (bce(real - fake.mean(), 1.0) + bce(fake - real.mean(), 0.0))
        else:
            discriminator_loss = 0.5 * (bce(real, 1.0) + bce(fake, 0.0))
        self.manual_backward(discriminator_loss)
        self.update([other], self.discriminator)
        self.add_losses(
            {
                "loss": loss,
                **parts,
                "adversarial": generator_loss,
                "discriminator": discriminator_loss,
            },
            batch,
        )
        self.after_step()


def bce(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of logits with the same target for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
