"""The networks that a config can name; a new one is a file here and a line in `NetworkConfig`."""

from __future__ import annotations

from typing import Annotated

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

__all__ = [
    "Convolutional",
    "FullyConnected",
    "Module",
    "NetworkConfig",
    "RandomFeatures",
    "ResNet",
    "TwoLayer",
]
