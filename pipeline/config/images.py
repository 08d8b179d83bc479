"""The images that a network sees: their shape, which the config or the data gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar

from widesweep.pipeline.errors import InputError
from widesweep.workers.data import DataConfig, DataError, dimensions, image_shape
from widesweep.workers.networks import Convolutional
from widesweep.workers.networks.network import Network

N = TypeVar("N", bound=Network)


def of_data(network: N, data: DataConfig | None, file: str, base: Path) -> N:
    """The network with the shape of its images filled in.

    Args:
        network: of any kind; only a convolutional one is changed.
        data: the section `data`.
        file: the config's, for messages.
        base: the folder that relative data paths start from.

    Raises:
        InputError: no image is known, or a point has another number of entries.
    """
    if not isinstance(network, Convolutional) or data is None:
        return network
    try:
        shape, inputs = image_shape(data, base), dimensions(data, base, images=True).inputs
    except DataError as error:
        where = f"{file}, data.{error.field}"
        step = f"{error.hint} Nothing was started.".strip()
        raise InputError(where, error.found, f"wanted: {error.wanted}", step) from None
    where, wanted = f"{file}, network.image", "[height, width] or [height, width, channels]"
    if network.image is None and not shape:
        found = f"it is missing, and {data.source_name} has rows of {inputs} numbers"
        raise InputError(where, found, f"{wanted}, whose product is {inputs}")
    found_network = network.on_images(shape)
    if math.prod(found_network.shape) != inputs:
        sides = " × ".join(str(side) for side in found_network.shape)
        raise InputError(where, f"{sides} is not {inputs}, the numbers of a point", f"{wanted} of that many")
    return found_network
