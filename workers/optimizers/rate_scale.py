"""Learning rates of single layers, as powers of the width; and those of μP under Adam."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from widesweep.workers.networks.network import Network

_POWER = re.compile(r"(1/)?width(?:\^(-?\d+(?:\.\d+)?)(?:/(\d+))?)?")


def _is_power(text: str) -> str:
    power(text)
    return text


def power(text: str) -> float:
    """The exponent of a power of the width.

    >>> power("1/width"), power("width^-1/2"), power("width")
    (-1.0, -0.5, 1.0)
    """
    found = _POWER.fullmatch(text.replace(" ", ""))
    if found is None or found.group(3) == "0":
        raise ValueError(f"'{text}' is no power of the width; write 1/width, or width^-1/2, or a number")
    exponent = float(found.group(2) or 1.0) / float(found.group(3) or 1.0)
    return -exponent if found.group(1) else exponent


Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Annotated[str, AfterValidator(_is_power)]


class RateScale(BaseModel):
    """What η is multiplied by in the first layer, in the hidden ones above it, and in the output layer.

    Attributes:
        first: a number, or a power of the width such as `1/width` or `width^-1/2`.
        hidden: likewise.
        output: likewise.

    >>> RateScale(output="1/width").factors(width=4, depth=2)
    (1.0, 1.0, 0.25)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: Scale = 1.0
    hidden: Scale = 1.0
    output: Scale = 1.0

    def factors(self, width: int, depth: int) -> tuple[float, ...]:
        """Of each layer, from the first to the output."""
        first, hidden, output = (
            float(width) ** power(each) if isinstance(each, str) else each
            for each in (self.first, self.hidden, self.output)
        )
        return (first, *(hidden,) * (depth - 1), output)


def mup_scale(network: Network) -> RateScale:
    """The table of μP under Adam: first 1, hidden width^(−1/2), output 1 in the parameterisation `mup`.

    An update by Adam moves every entry by η, whatever the gradient's size. What it adds to a layer's output
    is a sum over m inputs that move together, so that an entry of the effective weight of a hidden or output
    layer may move by 1/m. Under `mup` a hidden weight is √m times the effective one, that of the output m
    times. Under `ntk` and `standard` outputs start √m times too large, and no rates make up for that.

    Raises:
        ValueError: the network is not parameterised by `mup`.

    Source: Yang et al. 2022, arXiv:2203.03466, table 3, in the abc-parameterisation of arXiv:2011.14522.
    """
    kind, name = getattr(network, "kind", None), getattr(network, "parameterization", None)
    if kind != "fully_connected" or name != "mup":
        raise ValueError(f"mup's table for a {kind} network under {name}, which starts otherwise")
    return RateScale(hidden="width^-1/2")
