"""The networks that a config can name; a new one is a file here and a line in `NetworkConfig`."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from widesweep.workers.networks.convolutional import Convolutional
from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.module import Module
from widesweep.workers.networks.random_features import RandomFeatures
from widesweep.workers.networks.resnet import ResNet
from widesweep.workers.networks.two_layer import TwoLayer

NetworkConfig = Annotated[
    FullyConnected | TwoLayer | RandomFeatures | ResNet | Convolutional | Module,
    Field(discriminator="kind"),
]


def taking_images() -> tuple[str, ...]:
    """Kinds whose points are images.

    >>> taking_images()
    ('convolutional',)
    """
    kinds = get_args(get_args(NetworkConfig)[0])
    return tuple(kind.model_fields["kind"].default for kind in kinds if kind.takes_images)


__all__ = [
    "Convolutional",
    "FullyConnected",
    "Module",
    "NetworkConfig",
    "RandomFeatures",
    "ResNet",
    "TwoLayer",
    "taking_images",
]
