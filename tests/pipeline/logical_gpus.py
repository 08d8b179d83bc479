"""Sweeps on a local Ray cluster with two GPUs that Ray alone believes in; prints who ran where, when."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from tests.pipeline.conftest import SMALL, measured_bytes
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution import ray_environment
from widesweep.pipeline.execution.worker import Outcome, Sweep, execute
from widesweep.pipeline.plan.blocks import Block

ray_environment.prepare(local=True)

import ray  # noqa: E402 - after its settings

from widesweep.pipeline.execution import ray_scheduler  # noqa: E402  (after the settings)
from widesweep.pipeline.execution.driver import run  # noqa: E402  (after the settings)

FOLDER = Path(sys.argv[1])
LONGER_S = 1.0  # so that blocks that may run together do


def noted(sweep: Sweep, block: Block) -> Outcome:
    """The block itself, and a note of who ran it, when, with what of which GPU."""
    began = time.time()
    outcome = execute(sweep, block)
    time.sleep(LONGER_S)
    resources = ray.get_runtime_context().get_assigned_resources()
    note = {
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "share": resources.get("GPU", 0.0),
        "pid": os.getpid(),
        "began": began,
        "ended": time.time(),
    }
    Path(f"{sweep.url}.{block.index}.json").write_text(json.dumps(note))
    return outcome


def swept(name: str, **compute: Any) -> dict[str, Any]:
    """Runs a sweep of eight blocks; its notes, cells, devices and bits."""
    grid = {"width": [8, 10, 12, 14], "depth": [1, 2], "seed": 2, "learning_rate": [1.0]}
    store = FOLDER / f"{name}.zarr"
    content = {**SMALL, "grid": grid, "compute": compute, "store": str(store)}
    del content["initialization"]
    path = FOLDER / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    cells = run(sweep_config.load(path), str(store), scheduler="ray").cell_counts()
    with xr.open_zarr(store, group="run", consolidated=False, chunks=None) as said:
        devices = said["block_device"].values.tolist()
    digest = hashlib.sha256()
    for key, data in sorted(measured_bytes(store).items()):
        if key.startswith("training/"):
            digest.update(data)
    notes = [json.loads(note.read_text()) for note in sorted(FOLDER.glob(f"{name}.zarr.*.json"))]
    return {"blocks": notes, "cells": cells, "devices": devices, "digest": digest.hexdigest()}


def refusal(**compute: Any) -> str:
    """What a sweep that must not start says."""
    try:
        swept("refused", **compute)
    except InputError as error:
        return str(error)
    raise AssertionError("it was not refused")


@ray.remote(num_cpus=0, num_gpus=1)
def held_gpu() -> None:
    """Another user of a whole GPU."""
    time.sleep(600)


def main() -> None:
    """All sweeps on one cluster."""
    ray.init(address="local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)
    cluster = ray_scheduler.describe(local=True)
    ray_scheduler.execute = noted  # type: ignore[attr-defined]
    ray_scheduler.connect = lambda address, cores: contextlib.nullcontext(cluster)  # type: ignore[assignment]
    found: dict[str, Any] = {size: swept(size, gpu_memory=size) for size in ("2GiB", "1GiB")}
    found["asked"] = swept("asked")
    found["refused"] = refusal(device="cuda")
    held = [held_gpu.remote(), held_gpu.remote()]
    ray.wait(held, num_returns=2, timeout=1.0)
    ray_scheduler.PROBE_S = 2.0
    found["busy"] = refusal()
    for task in held:
        ray.cancel(task, force=True)
    ray.shutdown()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
