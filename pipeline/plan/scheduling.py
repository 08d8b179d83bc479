"""Which scheduler suits a sweep on this machine, and what its start takes: small sweeps do without Ray."""

from __future__ import annotations

from typing import Literal, get_args

from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan import cost, machine_speed
from widesweep.pipeline.plan.blocks import Plan, makespan_s

Name = Literal["ray", "local"]
NAMES: tuple[Name, ...] = get_args(Name)
SMALL_S = 30.0  # wall time of a sweep that the local scheduler still takes
PROCESS_S = 4.0  # of one core: what a process takes to begin, and what is computed sooner without one


def named(name: str | None) -> Name | None:
    """The scheduler of a name; None: the forecast decides.

    Raises:
        InputError: there is none of this name.
    """
    found = next((each for each in NAMES if each == name), None)
    if name is not None and found is None:
        raise InputError(f"--scheduler {name}", "there is no such scheduler", f"wanted: {' or '.join(NAMES)}")
    return found


def choice(plan: Plan, address: str | None = None) -> Name:
    """`local` for a sweep of less than `SMALL_S` on this machine's cores, else `ray`.

    Args:
        plan: of the whole sweep.
        address: a Ray cluster's, where the user names one.
    """
    small = machine_speed.factor() * _local_s(plan) < SMALL_S
    on_gpus = plan.config.training is not None and plan.config.compute.may_find_gpu
    return "local" if address is None and small and not on_gpus else "ray"


def processes(plan: Plan) -> int:
    """Processes that shorten a local sweep; 0 where this one is done before another has begun."""
    return min(plan.cores, int(plan.total_s / PROCESS_S))


def wall_s(plan: Plan) -> float:
    """Forecast wall time of the whole command under the scheduler that suits it, in seconds."""
    whole_s = _local_s(plan) if choice(plan) == "local" else cost.START_S + _busy_s(plan, plan.cores)
    return machine_speed.factor() * whole_s if len(plan) else 0.0


def _local_s(plan: Plan) -> float:
    return cost.LOCAL_START_S + _busy_s(plan, max(1, processes(plan)))


def _busy_s(plan: Plan, cores: int) -> float:
    """List scheduling; blocks fewer than cores take several cores each."""
    seconds = plan.block_seconds()
    busy_s = makespan_s(seconds, cores) if len(seconds) >= cores else float(seconds.sum() / cores)
    return max(busy_s, len(seconds) * cost.DISPATCH_S)
