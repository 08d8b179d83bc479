"""A config to a finished store: check, predict, plan, create or resume, schedule, close."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widesweep.pipeline.config import plug_ins
from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError, Interrupted, PermitLostError
from widesweep.pipeline.execution import callbacks, cluster_address, ray_environment
from widesweep.pipeline.execution.block_listener import BlockListener
from widesweep.pipeline.execution.display import Display
from widesweep.pipeline.execution.local_scheduler import LocalScheduler
from widesweep.pipeline.execution.pooling import Pooling
from widesweep.pipeline.execution.progress import Progress
from widesweep.pipeline.execution.signals import StopFlag
from widesweep.pipeline.execution.worker import Sweep
from widesweep.pipeline.plan import blocks as plans
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.plan import gpu_shares, scheduling
from widesweep.pipeline.plan import requested as requests
from widesweep.pipeline.plan.blocks import Block, Plan
from widesweep.pipeline.plan.scheduling import Name
from widesweep.pipeline.predict import check
from widesweep.pipeline.predict import prediction as predict
from widesweep.pipeline.store import address as store_address
from widesweep.pipeline.store import (
    checkpoints,
    claim,
    growth,
    inventory,
    objects,
    provenance,
    regrid,
    verify,
)
from widesweep.pipeline.store import repair as damage
from widesweep.pipeline.store import template as store_create
from widesweep.pipeline.store.journal import Journal
from widesweep.pipeline.store.permit import Permit
from widesweep.pipeline.store.reader import GROWING, Store, counts
from widesweep.workers.data import Data
from widesweep.workers.variable import FAILED, PENDING

if TYPE_CHECKING:
    from widesweep.pipeline.execution.scheduler import Scheduler, Stop

LIMIT_FACTOR = 20.0  # a block without a sign of life for so many times its predicted time has hung
LIMIT_FLOOR_S = 600.0  # and none has before this: models err most where blocks are short


def run(
    sweep: SweepFile,
    url: str,
    address: str | None = None,
    *,
    scheduler: Name | None = None,
    retry_failed: bool = False,
    repair: bool = False,
    display: Display | None = None,
) -> Store:
    """Runs a sweep, or what is left of it, and returns its finished store.

    Args:
        sweep: the config.
        url: the store: a path or an address; made if it does not exist.
        address: a Ray cluster's; default: this machine.
        scheduler: `ray`, or `local` for this process and a few of its own, on this machine's cores; default:
            what the forecast says (`plan.scheduling.choice`).
        retry_failed: computes the cells again that failed before; so does a run whose code or libraries
            are not those that they failed under.
        repair: looks through the whole store for damaged chunks and computes their blocks again.
        display: says how it goes; default: on standard error.

    Raises:
        InputError: config, data, store or cluster are not what they must be; nothing was written.
        Interrupted: a signal stopped the run; what was finished is stored.
    """
    url = store_address.absolute(url)
    states = (PENDING, FAILED) if retry_failed else (PENDING,)
    display = display or Display()
    with display.stage(f"{sweep.config.name}: checking the config against theory"):
        data = data_source.load_data(sweep)
        data_hash = data_source.source_hash(sweep)
        warnings = check.check(sweep, data)
    for warning in warnings:
        display.say(warning)
    analyze_again = repair and _restore_metadata(url, display)
    if objects.exists(url):
        existing = Store(url, snapshot=True)
        if not existing.attributes.get(GROWING):
            existing.check_arrays()
        sweep = growth.merge(sweep, existing, data_hash)
        if not (retry_failed or repair) and _to_retry(existing, display):
            states = (PENDING, FAILED)
        claim.refuse_second(url)
        if not repair and not growth.is_needed(sweep, existing) and not _is_open(existing, states):
            return existing
    elif not objects.is_free(url):
        raise InputError(
            url, "something else than a sweep's store is there", "a new store needs an unused path"
        )
    if address is not None and scheduler == "local":
        found = "it is another machine's cluster"
        raise InputError(
            cluster_address.option(address), found, "--scheduler local is this machine; leave one of them"
        )
    _check_fits(sweep, data, address)
    callbacks.load(sweep.config.compute.callbacks, sweep.base, sweep.file)
    objects.check_writable(url)
    with StopFlag() as stop, _connected(sweep, address, scheduler, display) as cluster:
        stop.listen()
        gpu_memory = _gpu_memory(sweep, cluster)
        if address is not None and sweep.config.compute.memory is None:
            made = data_source.make_plan(sweep, cluster.cores)
            plans.check_memory(made, sweep.file, cluster.node_memory_bytes, trained=_trained(sweep))
        gpus = int(cluster.gpus) if gpu_memory else 0
        with display.stage(f"{sweep.config.name}: predicting, and making the store"):
            claimed = _claimed(sweep, url, data, data_hash, cluster.cores, gpus)
        with claimed as mine:
            if not store_address.is_remote(url):
                display.log_to(log_file(url))
            with display.stage(f"{sweep.config.name}: making room for new cells"):
                regrid.finish(mine.permit)
                sweep = growth.merge(sweep, Store(url), data_hash)
                _prepare(sweep, mine.permit, data, cluster.cores, display, repair=repair)
            run_pending(sweep, mine, data, cluster, gpu_memory, _Either(stop, mine), states, display)
    if mine.lost:
        raise PermitLostError(url, "this run may not write to it any more")
    if stop:
        raise Interrupted(url, stop.signal_number)
    if analyze_again:
        from widesweep import analysis

        analysis.analyze(url)
    return Store(url)


def log_file(url: str) -> Path:
    """What a local store's runs said, beside it.

    >>> log_file("results/demo.zarr").as_posix()
    'results/demo.log'
    """
    path = Path(url)
    return path.with_name(f"{path.name.removesuffix('.zarr')}.log")


def _restore_metadata(url: str, display: Display) -> bool:
    """Before anything opens a store: its metadata as they were; whether laws are to be found again."""
    made = inventory.read(url)
    laws = any(verify.derived(url))
    if laws or (made is not None and any(verify.metadata(url, made))):
        with claim.take(url) as mine:
            for each in [*damage.discard_laws(mine.permit), *damage.restore_metadata(mine.permit)]:
                display.say(f"{url}: {each.key} {each.found}; it is written again")
    return laws


def _to_retry(store: Store, display: Display) -> bool:
    """Whether failed cells are computed again because code or libraries are not what they failed under."""
    failed = len(store.blocks_with(FAILED))
    if not failed or not (changes := provenance.changes(store.run_attributes())):
        return False
    count = f"{failed} blocks with failed cells are" if failed > 1 else "the block with failed cells is"
    display.say(f"{store.url}: {count} computed again: {', '.join(changes)}")
    return True


@contextlib.contextmanager
def _connected(
    sweep: SweepFile, address: str | None, scheduler: Name | None, display: Display
) -> Iterator[Scheduler]:
    """The scheduler that is wanted, or that suits the sweep."""
    compute = sweep.config.compute
    plan = data_source.make_plan(sweep, compute.cores)
    if (scheduler or scheduling.choice(plan, address)) == "local":
        processes = min(scheduling.processes(plan), len(plan))
        yield LocalScheduler(compute.cores, compute.memory_bytes, processes)
        return
    ray_environment.prepare(local=address is None)
    stack = contextlib.ExitStack()
    with display.stage("starting Ray" if address is None else f"reaching Ray at {address}"):
        from widesweep.pipeline.execution import ray_scheduler

        modules = plug_ins.paths(sweep.plug_ins, sweep.base)
        cluster = stack.enter_context(ray_scheduler.connect(address, compute.cores, modules))
    try:
        yield cluster
    finally:
        with display.stage("leaving Ray"):
            stack.close()


def _is_open(store: Store, states: tuple[int, ...]) -> bool:
    """Whether cells are in these states, or random networks wait for nothing but to be put together."""
    return bool(len(store.blocks_with(*states)) or store.unpooled_pairs())


def _check_fits(sweep: SweepFile, data: Data | None, address: str | None) -> None:
    """Before anything starts; of another cluster's memory only what the config says is known yet."""
    compute = sweep.config.compute
    if address is None or compute.memory is not None:
        made = data_source.make_plan(sweep, compute.cores)
        plans.check_memory(made, sweep.file, compute.memory_bytes, trained=_trained(sweep))


def _trained(sweep: SweepFile) -> np.ndarray:
    return requests.trained_pairs(sweep.requested, sweep.config)


def _gpu_memory(sweep: SweepFile, cluster: Scheduler) -> int:
    """Memory of a GPU of which blocks take their shares; 0: they take cores alone."""
    compute = sweep.config.compute
    if compute.device == "cpu" or sweep.config.training is None:
        return 0
    memory = (compute.gpu_memory_bytes or cluster.gpu_memory_bytes()) if cluster.gpus else 0
    if compute.device == "cuda" and not memory:
        found = "Ray sees no GPU" if not cluster.gpus else "Ray counts GPUs, but torch sees no CUDA there"
        raise InputError(f"{sweep.file}, compute.device", found, "cuda needs one; auto and cpu do not")
    if memory:
        holder = "cells may fill {} of a GPU (compute.gpu_memory, or compute.device: cpu)"
        made = data_source.make_plan(sweep, cluster.cores)
        plans.check_memory(made, sweep.file, gpu_shares.cell_bytes(memory), holder, _trained(sweep))
    return memory


def _claimed(
    sweep: SweepFile, url: str, data: Data | None, data_hash: str, cores: int, gpus: int
) -> claim.Claim:
    """The claim on a store that is there from now on.

    A folder is made whole by one rename, of two drivers by one, and claimed after; objects are put one by
    one, so their place is claimed before.
    """
    mine = claim.take(url) if store_address.is_remote(url) else None
    if not objects.exists(url):
        try:
            with check.refused_by_theory(sweep):
                prediction = predict.predict(sweep.config, data)
            plan = data_source.make_plan(sweep, cores, gpus=gpus)
            store_create.create(url, plan, prediction, _index(data), data_hash, sweep.plug_ins)
        except InputError:
            if not objects.exists(url):
                raise
    return mine or claim.take(url)


def _prepare(
    sweep: SweepFile, permit: Permit, data: Data | None, cores: int, display: Display, *, repair: bool
) -> None:
    """Damaged chunks away, and room for a grid that has grown."""
    url = permit.url
    found = damage.discard(permit) if repair else damage.Repair()
    for each in found.damages:
        display.say(f"{url}: {each.key} {each.found}; it is computed again")
    store = Store(url)
    if found.template or growth.is_needed(sweep, store):
        plan = data_source.make_plan(
            sweep, cores, store.seeds_per_block, store.rates_per_block, store.parts_per_block
        )
        prediction = predict.predict(sweep.config, data)
        regrid.grow(store, permit, plan, prediction, _index(data), sweep.requested)
    elif found.damages:
        regrid.mark_requested(store, permit)


def _index(data: Data | None) -> np.ndarray:
    return data.index if data is not None else np.empty(0, dtype=np.int64)


def run_pending(
    sweep: SweepFile,
    mine: claim.Claim,
    data: Data | None,
    cluster: Scheduler,
    gpu_memory_bytes: int,
    stop: Stop,
    states: tuple[int, ...],
    display: Display,
) -> None:
    """Runs the blocks with cells in these states, longest first, and closes the journal however that ends."""
    permit = mine.permit
    store = Store(permit.url, snapshot=True)
    lengths = (store.seeds_per_block, store.rates_per_block, store.parts_per_block)
    before, gpus = store.status_before(states), int(cluster.gpus) if gpu_memory_bytes else 0
    plan = data_source.make_plan(sweep, cluster.cores, *lengths, gpus)
    order = plan.longest_first(store.blocks_with(*states))
    mixed = store.mixed_blocks(PENDING) if FAILED not in states else set(order.tolist())
    rates = store.learning_rate_absolute if sweep.config.training is not None else np.empty(0)
    memory = _memory_per_core(sweep, cluster)
    device = sweep.config.compute.device if gpu_memory_bytes else "cpu"
    shared = Sweep(
        permit, sweep.config, sweep.config.hash, data, rates, device, memory, gpu_memory_bytes,
        store.pair_draws, sweep.plug_ins, sweep.base,
    )  # fmt: skip
    shares = store.shares(*states)
    cost_s = float((plan.block_seconds() * shares)[order].sum())
    book = Journal(permit)
    mine.beside, state = book.beat, "interrupted"
    try:
        shown = Progress(sweep.config.name, counts(before), len(order), cost_s, cluster.cores, display, gpus)
        with shown as progress:
            pooling = Pooling(permit, plan, None if data is None else data.x, store.pair_draws)
            pooling.expect(order.tolist())
            trackers = callbacks.load(sweep.config.compute.callbacks, sweep.base, sweep.file)
            watch = BlockListener(permit, book, progress, plan, pooling, before, trackers)
            watch.pool(store.unpooled_pairs())
            blocks = (
                _block(plan, int(i), states if int(i) in mixed else (), float(shares[i])) for i in order
            )
            left = checkpoints.names(store.url)
            blocks = (_limited(sweep.config, block, left, progress.correction) for block in blocks)
            cluster.run(shared, blocks, watch, stop)
        if not stop:
            state = "failed" if watch.failures else "finished"
            if not watch.failures:
                checkpoints.clear(permit)
                watch.tell_speed(here=cluster.local and not gpus)
    finally:
        book.close(state)
        objects.with_retries(store.url, lambda: store_create.consolidate(permit.zarr_store()))


def _block(plan: Plan, index: int, recompute: tuple[int, ...], share: float) -> Block:
    """A block with what of it is to be computed, and its cost for that."""
    block = plan.block(index)
    return replace(block.with_state(recompute=recompute), cost_s=block.cost_s * share)


def _limited(config: SweepConfig, block: Block, left: frozenset[str], correction: float) -> Block:
    """A block as it starts now: from its checkpoint, and with a limit by the times measured so far."""
    limit_s = max(LIMIT_FLOOR_S, LIMIT_FACTOR * max(1.0, correction) * block.cost_s)
    return block.with_state(resume=checkpoints.are_of(config, block, left), limit_s=limit_s)


def _memory_per_core(sweep: SweepFile, cluster: Scheduler) -> int:
    """What a block may use for each of its cores: an equal share of the machine."""
    compute = sweep.config.compute
    whole = compute.memory_bytes if cluster.local or compute.memory is not None else cluster.node_memory_bytes
    return max(1, whole // cluster.node_cores)


@dataclass(frozen=True)
class _Either:
    """Stops at a signal, and when the store is no longer ours."""

    signal: StopFlag
    claim: claim.Claim

    def __bool__(self) -> bool:
        """Whether to stop."""
        return bool(self.signal) or self.claim.lost

    @property
    def grace_s(self) -> float:
        """None once the store is another run's."""
        return 0.0 if self.claim.lost else self.signal.grace_s

    def interrupting(self) -> AbstractContextManager[None]:
        """While the context lasts, a signal interrupts this thread."""
        return self.signal.interrupting()
