"""Blocks declare shares of a GPU from the memory model; Ray places them, on logical GPUs where none is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.conftest import ROOT
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import data, gpu_shares, resource_sizes
from widesweep.pipeline.plan.blocks import Block, BlockState, check_memory

pytestmark = pytest.mark.timeout(600)

Write = Callable[..., Path]
GIB = 2**30
SCRIPT = Path(__file__).with_name("logical_gpus.py")


def block(gpu_bytes: int, split: int = 1) -> Block:
    return Block(0, "training", {}, 1.0, 0, 1, gpu_bytes, BlockState(split=split))


@given(st.integers(0, 200 * GIB), st.integers(2 * GIB, 200 * GIB), st.sampled_from([1, 2, 8]))
def test_a_share_holds_the_block_or_is_a_whole_gpu(cells: int, memory: int, split: int) -> None:
    """A share lies in [1/8, 1]; below 1 all cells fit into it at once; eight least shares are one GPU."""
    one = block(cells, split)
    part = gpu_shares.share(one, memory)
    assert part in resource_sizes.GPU_SHARES
    assert 8 * resource_sizes.GPU_SHARES[0] == 1.0
    assert part == 1.0 or gpu_shares.block_bytes(one, memory) >= cells
    assert gpu_shares.block_bytes(one, memory) + gpu_shares.CONTEXT_BYTES <= memory
    assert gpu_shares.share(one.with_state(split=2 * split), memory) >= part


def test_a_blocks_memory_on_a_gpu_is_that_of_its_cells(write_config: Write) -> None:
    """Of one plan, the widest and deepest block needs the most, and every block what the cost model says."""
    made = data.make_plan(sweep_config.load(write_config()), 2)
    needed = [made.block(i).gpu_bytes for i in range(made.training_blocks)]
    one = made.block(0)
    seeds = len(one.indices("seed"))
    assert one.gpu_bytes == pytest.approx(seeds * made.costs.seed_bytes[0, 0], abs=1)
    assert max(needed) == made.block(made.training_blocks - 1).gpu_bytes


def test_a_cell_larger_than_a_gpu_is_refused_with_what_would_help(write_config: Write) -> None:
    """The message names the width, what its cells need, what the GPU has, and two ways out."""
    sweep = sweep_config.load(write_config(grid={"width": [8, 20000], "depth": [2]}))
    made, holder = data.make_plan(sweep, 2), "cells may fill {} of a GPU"
    with pytest.raises(InputError) as refused:
        check_memory(made, sweep.file, gpu_shares.cell_bytes(2 * GIB), holder)
    told = str(refused.value)
    assert "grid.width: " in told
    assert "width 20000" in told
    assert "1.13 GB of a GPU" in told


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of three sweeps on a cluster whose two GPUs exist in Ray's books alone."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: its logical GPUs would not be logical alone")
    arguments = [sys.executable, "-W", "error", str(SCRIPT), str(tmp_path_factory.mktemp("gpus"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        arguments, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=560, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def most_at_once(blocks: list[dict[str, Any]]) -> int:
    """The largest number of blocks under way at one moment."""
    return max(sum(b["began"] <= a["began"] < b["ended"] for b in blocks) for a in blocks)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "share", "together"), [("2GiB", 0.42, 2), ("1GiB", 0.84, 1)])
def test_blocks_share_a_gpu_as_far_as_its_memory_goes(
    placed: dict[str, Any], size: str, share: float, together: int
) -> None:
    """Two blocks fit on a GPU of 2 GiB, one on 1 GiB: so many run at once on each of two GPUs, never more."""
    blocks = placed[size]["blocks"]
    assert len(blocks) == 8
    assert {b["gpu"] for b in blocks} == {"0", "1"}
    assert all(abs(b["share"] - share) < 0.01 for b in blocks)
    for number in ("0", "1"):
        assert most_at_once([b for b in blocks if b["gpu"] == number]) <= together
    assert most_at_once(blocks) > together


@pytest.mark.slow
def test_each_block_on_a_gpu_has_a_process_of_its_own(placed: dict[str, Any]) -> None:
    """No process takes a second block: CUDA would keep the first one's memory, and its GPU."""
    blocks = placed["2GiB"]["blocks"] + placed["1GiB"]["blocks"]
    assert len({b["pid"] for b in blocks}) == len(blocks) == 16


@pytest.mark.slow
def test_auto_falls_back_to_the_cpu_where_torch_sees_no_cuda(placed: dict[str, Any]) -> None:
    """Every cell is done, and /run says `cpu` for every block, with a share of a GPU or without."""
    for size in ("2GiB", "1GiB", "asked"):
        assert placed[size]["cells"] == {"done": 16, "diverged": 0, "failed": 0, "pending": 0}
        assert placed[size]["devices"] == [1] * 8
    assert [b["share"] for b in placed["asked"]["blocks"]] == [0.0] * 8


@pytest.mark.slow
def test_placement_changes_no_bit(placed: dict[str, Any]) -> None:
    """The three sweeps measured the same."""
    digests = [placed[size]["digest"] for size in ("2GiB", "1GiB", "asked")]
    assert all(a == b for a, b in pairwise(digests))


@pytest.mark.slow
def test_cuda_is_refused_where_torch_sees_none(placed: dict[str, Any]) -> None:
    """device: cuda on GPUs that Ray alone believes in is an input error."""
    assert "Ray counts GPUs, but torch sees no CUDA there" in placed["refused"]


@pytest.mark.slow
def test_gpus_that_do_not_answer_are_told(placed: dict[str, Any]) -> None:
    """Where others hold every GPU, the message says so after a while, and what does without an answer."""
    assert "not every GPU node said its GPU's memory" in placed["busy"]
    assert "compute.gpu_memory=16GB" in placed["busy"]
