"""The config's section `compute`: what a sweep may use. Nothing here changes a number."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator, BeforeValidator

from widesweep.workers.choices import listed

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Bytes in a size such as "8GB" (10⁹) or "512 MiB" (2²⁰).

    >>> parse_bytes("8GB"), parse_bytes("512 MiB")
    (8000000000, 536870912)
    """
    match = _SIZE.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"'{text}' is not a size; sizes look like 8GB or 512MiB")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


def format_bytes(size: float) -> str:
    """A size in the unit that suits it.

    >>> format_bytes(62_600), format_bytes(8e9)
    ('62.6 kB', '8 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _checked_size(text: str) -> str:
    parse_bytes(text)
    return text


_Size = (
    Annotated[int, Field(ge=1, strict=True)]
    | Annotated[str, Field(strict=True), AfterValidator(_checked_size)]
)
_NO_SIZE = Field(
    default=None, json_schema_extra={"noun": "a size", "wanted": "sizes look like 8GB or 512MiB"}
)


class ComputeConfig(BaseModel):
    """Device, memory and cores of a sweep.

    Attributes:
        device: `auto` takes a GPU where Ray counts one and torch sees CUDA, else CPU cores.
        memory: memory that the sweep may use on one machine, in bytes or like "8GB"; default: what is free.
        gpu_memory: memory of one GPU, of which blocks declare their shares; default: a GPU of the cluster is
            asked. When given, no GPU is asked.
        cpus: cores that a local cluster gets; default: all that this process may use.
        callbacks: trackers of one's own, such as `my_lab:Tracker`: classes with a method `finished(block)`,
            which is called on the driver when a block has ended.
        flush_s: seconds between the moments at which a block in training stores its records and a checkpoint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["auto", "cpu", "cuda"] = "auto"
    memory: _Size | None = _NO_SIZE
    gpu_memory: _Size | None = _NO_SIZE
    cpus: Annotated[int, Field(ge=1, le=4096, strict=True)] | None = None
    callbacks: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    flush_s: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 60.0

    @property
    def cores(self) -> int:
        """Cores of a local cluster."""
        return self.cpus or len(os.sched_getaffinity(0))

    @property
    def may_find_gpu(self) -> bool:
        """Whether cells may train on a GPU of this machine; only Ray and torch can say that they will."""
        return self.device == "cuda" or (self.device == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))

    @property
    def memory_bytes(self) -> int:
        """Memory that blocks on this machine may use together: what is set, else 80 % of what is free."""
        if self.memory is None:
            return int(0.8 * psutil.virtual_memory().available)
        return _bytes(self.memory)

    @property
    def gpu_memory_bytes(self) -> int:
        """Memory of one GPU as the config says it; 0: it does not."""
        return 0 if self.gpu_memory is None else _bytes(self.gpu_memory)


def _bytes(size: int | str) -> int:
    return size if isinstance(size, int) else parse_bytes(size)
