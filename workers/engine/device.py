"""The device that a block trains on: a GPU where this process sees one, else the CPU."""

from __future__ import annotations

import torch


def resolved(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where torch sees CUDA in this process, else the CPU.

    >>> resolved("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def gpu_memory_bytes() -> int:
    """Memory of the smallest GPU that this process sees; 0 where torch sees no CUDA."""
    if not torch.cuda.is_available():
        return 0
    devices = range(torch.cuda.device_count())
    return min(int(torch.cuda.get_device_properties(each).total_memory) for each in devices)
