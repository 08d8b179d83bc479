"""What `plan` prints: a forecast, made without running anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from widesweep.pipeline.config.compute import format_bytes
from widesweep.pipeline.plan import cost, gpu_cost, gpu_shares, machine_speed, scheduling
from widesweep.pipeline.plan.blocks import Plan, makespan_s

SCHEDULERS = {"ray": "Ray", "local": "this process and a few of its own, without Ray"}
GPU_BYTES = 80 * 10**9  # of a GPU whose memory `compute.gpu_memory` does not say


def forecast(plan: Plan, on_gpus: Plan | None = None) -> dict[str, Any]:
    """Cells, blocks, operations, memory, bytes, objects and wall time of a sweep.

    Args:
        plan: the sweep's plan.
        on_gpus: the same sweep's plan for GPUs, for a second forecast.

    Returns:
        Plain numbers; times are in seconds and come from the stated constants of the cost model. Those of
        cores are multiplied by what blocks took on this machine in earlier runs (`speed_factor`); a start of
        processes is computing too. Wall times are those of the whole command, the scheduler's start and end
        included; an idle share is what of the devices' time no block takes.
    """
    config = plan.config
    seeds = len(config.points) * len(config.grid.seeds)
    speed, seconds = machine_speed.factor(), plan.block_seconds()
    result: dict[str, Any] = {
        "name": config.name,
        "cells": config.cells,
        "blocks": len(plan),
        "seeds_per_block": plan.seeds_per_block if config.training is not None else None,
        "rates_per_block": plan.rates_per_block if config.training is not None else None,
        "flops": float(plan.costs.seed_flops.sum() * seeds),
        "memory_bytes": _largest_block_bytes(plan),
        "stored_bytes": cost.stored_bytes(config, plan.size),
        "objects": plan.training_blocks * (len(config.training.variables) if config.training else 0)
        + (len(plan) - plan.training_blocks) * 4,
        "core_s": speed * float(seconds.sum()),
        "cores": plan.cores,
        "speed_factor": speed,
        "wall_s": scheduling.wall_s(plan),
        "scheduler": scheduling.choice(plan),
    }
    return result if on_gpus is None else result | _on_gpus(on_gpus)


def _on_gpus(plan: Plan) -> dict[str, Any]:
    """Training alone: by the GPUs' own time, which sharing does not shorten, or by what blocks wait for."""
    waits_s = np.repeat(plan.costs.batch_s.ravel(), plan.training_blocks // plan.pairs)
    device_s = plan.block_seconds()[: plan.training_blocks] - waits_s
    memory = plan.config.compute.gpu_memory_bytes or GPU_BYTES
    largest = max((gpu_shares.share(plan.block(i), memory) for i in range(plan.training_blocks)), default=1.0)
    slots = plan.gpus * int(1.0 / largest)
    busy_s = max(
        gpu_cost.PROCESS_S * bool(len(device_s)) + makespan_s(device_s, plan.gpus),
        makespan_s(device_s + waits_s, slots),
        len(device_s) * cost.DISPATCH_S,
    )
    wall_s = cost.START_S + busy_s
    return {
        "gpus": plan.gpus,
        "gpu_blocks": len(device_s),
        "gpu_wall_s": wall_s,
        "gpu_idle_share": 1.0 - float(device_s.sum()) / (plan.gpus * wall_s),
    }


def lines(found: dict[str, Any]) -> str:
    """The forecast for people."""
    seeds, rates, factor = found["seeds_per_block"], found["rates_per_block"], found["speed_factor"]
    of_seeds = "" if seeds is None else f", {seeds} seeds each at {rates} learning rates"
    as_here = "" if factor == 1.0 else f", as blocks took here: {factor:.2f} times the cost model"
    rows = [
        ("cells", f"{found['cells']:,}"),
        ("blocks", f"{found['blocks']:,}{of_seeds}"),
        ("operations", f"{found['flops']:.3g} FLOPs"),
        ("memory", f"{format_bytes(found['memory_bytes'])} for the largest block"),
        (
            "store",
            f"{format_bytes(found['stored_bytes'])} before compression, about {found['objects']:,} objects",
        ),
        ("wall time", f"about {duration(found['wall_s'])} on {found['cores']} cores{as_here}"),
        ("scheduler", SCHEDULERS[found["scheduler"]]),
    ]
    if "gpus" in found:
        rows.append(
            (
                "",
                f"about {duration(found['gpu_wall_s'])} on {found['gpus']} GPUs (training), "
                f"{100 * found['gpu_idle_share']:.0f} % of it idle",
            )
        )
    return "\n".join([found["name"], *(f"  {name:<11} {text}" for name, text in rows)])


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    >>> duration(0.42), duration(75), duration(9000), duration(200000)
    ('0.42 s', '75 s', '2.5 h', '2.3 days')
    """
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h" if seconds < 172800 else f"{seconds / 86400:.2g} days"


def _largest_block_bytes(plan: Plan) -> int:
    if plan.config.training is None:
        return cost.PROCESS_BYTES
    w, d = np.unravel_index(int(plan.costs.seed_bytes.argmax()), plan.costs.seed_bytes.shape)
    return cost.block_bytes(plan.costs, int(w), int(d), plan.seeds_per_block, 1)
