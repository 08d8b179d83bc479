"""The losses that a config can name; a new one is a file here and a line in `LOSSES`, or one's own.

Importing this loads no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, WithJsonSchema

from widesweep.theory.registry import Registry
from widesweep.workers.losses import cross_entropy, huber, logistic, squared
from widesweep.workers.losses.loss_function import Loss
from widesweep.workers.networks.network import OWN


def _accepted(name: str, found: object) -> Loss:
    """A `Loss`, or a function l(f, y)."""
    if isinstance(found, Loss):
        return replace(found, name=name)
    if not callable(found) or isinstance(found, type):
        raise TypeError(f"it is {type(found)}, neither a Loss nor a function l(f, y)")
    return Loss(found, name=name)


LOSSES: Registry[Loss] = Registry(
    "loss", _accepted, {each.LOSS.name: each.LOSS for each in (squared, logistic, cross_entropy, huber)}
)


class Huber(BaseModel):
    """Huber's loss that is linear from a distance δ, written `{huber: δ}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    huber: Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _known(name: str, info: ValidationInfo) -> str:
    """Refuses an unknown name in a user's own config; a store's may be of a plug-in that is not here."""
    if (info.context or {}).get(OWN):
        LOSSES.check(name)
    return name


LossName = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": [*LOSSES.built_in, "package.module:name"]}),
]
LossConfig = LossName | Huber


def loss(config: str | Huber) -> Loss:
    """The loss that a config means; a plug-in is imported here.

    Raises:
        PlugInError: the plug-in cannot be imported, or is no loss.

    >>> loss("logistic").name, loss(Huber(huber=0.5)).name
    ('logistic', 'huber')
    """
    return huber.loss(config.huber) if isinstance(config, Huber) else LOSSES.get(config)


__all__ = ["LOSSES", "Huber", "Loss", "LossConfig", "loss"]
