"""What of a GPU a block takes: a fraction, from the memory model and the GPU's memory."""

from __future__ import annotations

from widesweep.pipeline.plan import resource_sizes
from widesweep.pipeline.plan.blocks import Block

CONTEXT_BYTES = 768 * 2**20  # CUDA's context, libraries and workspaces of one process
USABLE = 0.9  # of a GPU's memory: the rest is the driver's, and lost between allocations


def cell_bytes(gpu_memory_bytes: int) -> int:
    """Memory that cells may fill on a GPU which one process has to itself; 0 or less: none.

    >>> cell_bytes(16 * 10**9) / 1e9
    13.594693632
    """
    return int(USABLE * gpu_memory_bytes) - CONTEXT_BYTES


def share(block: Block, gpu_memory_bytes: int) -> float:
    """The fraction of a GPU for a block, (context + cells) / usable memory, rounded up to one of
    `resource_sizes.GPU_SHARES`: at most eight blocks share a GPU, as one alone leaves gaps between launches.

    All cells of a block train as one batch where they fit; where the whole GPU is too small for that, in
    several, one after another (`block_bytes`). After the memory ran out the block gets twice as much, and
    its batches are halved.

    Args:
        block: a training block.
        gpu_memory_bytes: of one GPU.
    """
    part = (CONTEXT_BYTES + block.gpu_bytes) * block.state.split / max(1.0, USABLE * gpu_memory_bytes)
    return resource_sizes.gpu_share(part)


def block_bytes(block: Block, gpu_memory_bytes: int) -> int:
    """Memory that the cells of a block may fill on the GPU: its share of it, less the process's own."""
    return max(1, int(share(block, gpu_memory_bytes) * USABLE * gpu_memory_bytes) - CONTEXT_BYTES)
