"""Ray: a cluster, blocks on it, and what to do when one is lost. The only module that imports ray."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray import exceptions

from pipeline.errors import ClusterError, InputError, StorageError
from pipeline.execute import Outcome, Sweep, execute
from pipeline.plan import Block

ATTEMPTS = 5  # times that a block is started before its cells count as failed
CONNECT_S = 5.0
WAIT_S = 0.2  # longest time without a look at signals
LOST = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
    exceptions.LocalRayletDiedError,
    exceptions.RaySystemError,
    exceptions.TaskUnschedulableError,
    exceptions.RuntimeEnvSetupError,
)


class Listener(Protocol):
    """Who hears of blocks."""

    def started(self, block: Block) -> None:
        """A block was handed to the cluster."""

    def finished(self, block: Block, outcome: Outcome) -> None:
        """A block is measured and stored."""

    def lost(self, block: Block, reason: str) -> None:
        """A block's process or machine was lost; it will be started again."""

    def failed(self, block: Block, reason: str) -> None:
        """A block will not be started again."""


class Stop(Protocol):
    """Whether to stop."""

    def __bool__(self) -> bool:
        """True once a signal arrived."""


@dataclass
class Cluster:
    """What Ray offers.

    Attributes:
        cores: CPU cores in all.
        node_cores: cores of the largest node: no block can take more.
        node_memory_bytes: memory of that node which Ray lends to tasks.
        gpus: GPUs in all.
        local: whether this process started it.
    """

    cores: int
    node_cores: int
    node_memory_bytes: int
    gpus: float
    local: bool


@contextlib.contextmanager
def connect(address: str | None, cores: int) -> Iterator[Cluster]:
    """A local cluster, or the one at `address`, until the context ends.

    Raises:
        InputError: nothing answers at the address, or it refuses this user's token.
    """
    options: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "configure_logging": True,
    }
    if address is None:
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        _check_answers(address)
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, exceptions.RayError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        if address is None:
            raise ClusterError(reason) from error
        raise _no_cluster(address, reason) from None
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints of lost nodes where only results belong
        try:
            yield _describe(local=address is None)
        finally:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Whether anything listens at host:port: Ray itself would ask for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        if address != "auto":
            raise _no_cluster(address, "it is not HOST:PORT")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, reason: str) -> InputError:
    wanted = "--address is that of a Ray head, such as 10.0.0.1:6379, whose token this user has"
    return InputError(f"--address {address}", f"no Ray cluster answers ({reason})", wanted)


def run(cluster: Cluster, sweep: Sweep, blocks: Iterable[Block], listener: Listener, stop: Stop) -> None:
    """Runs blocks in the given order, few in flight, each until it is stored or given up.

    A lost process or machine is tried again, `ATTEMPTS` times in all; a Python exception is a defect of the
    block and is not. A store that cannot be written is neither: it ends the run, its blocks stay pending
    (`StorageError`). On `stop` nothing more is started and what runs is cancelled: a block half written has
    no status yet and stays pending.
    """
    flight = _Flight(cluster, ray.put(sweep), listener, iter(blocks))
    try:
        while flight.fill(stop) and not stop:
            ready, _ = ray.wait(list(flight.tasks), num_returns=1, timeout=WAIT_S)
            if ready:
                ready, _ = ray.wait(list(flight.tasks), num_returns=len(flight.tasks), timeout=0)
            for task in ready:
                flight.land(task)
    finally:
        for task in flight.tasks:
            ray.cancel(task, force=True)


@dataclass
class _Flight:
    """Tasks in flight, and blocks to start again."""

    cluster: Cluster
    sweep: Any
    listener: Listener
    blocks: Iterator[Block]
    tasks: dict[Any, tuple[Block, int]] = field(default_factory=dict)
    again: deque[tuple[Block, int]] = field(default_factory=deque)

    def fill(self, stop: Stop) -> bool:
        """Starts blocks until enough are in flight to keep every core fed; whether any is in flight."""
        while not stop and len(self.tasks) < 2 * self.cluster.cores + 4:
            block, attempt = self.again.popleft() if self.again else (next(self.blocks, None), 1)
            if block is None:
                break
            self.listener.started(block)
            task = _remote_execute.options(**_resources(self.cluster, block)).remote(self.sweep, block)
            self.tasks[task] = (block, attempt)
        return bool(self.tasks)

    def land(self, task: Any) -> None:
        """Takes a task that ended, well or not."""
        block, attempt = self.tasks.pop(task)
        try:
            self.listener.finished(block, ray.get(task))
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, StorageError):
                raise StorageError(error.cause.store, error.cause.reason) from None
            self.listener.failed(block, _reason(error))
        except LOST as error:
            reason = f"{type(error).__name__} in attempt {attempt}"
            if attempt < ATTEMPTS:
                self.listener.lost(block, reason)
                self.again.append((block, attempt + 1))
            else:
                self.listener.failed(block, f"{reason} of {ATTEMPTS}")


@ray.remote(max_retries=0)
def _remote_execute(sweep: Sweep, block: Block) -> Outcome:
    return execute(sweep, block)


def _resources(cluster: Cluster, block: Block) -> dict[str, Any]:
    """What Ray must set aside for a block, never more than the largest node has."""
    memory = min(block.memory_bytes, int(0.9 * cluster.node_memory_bytes))
    resources: dict[str, Any] = {"num_cpus": min(block.threads, cluster.node_cores), "memory": memory}
    if cluster.gpus and block.kind == "training":
        resources["num_gpus"] = _GPU_SHARE
    return resources


_GPU_SHARE = 0.25  # blocks that share a GPU: one alone leaves gaps between launches


def _describe(*, local: bool) -> Cluster:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    largest = max(nodes, key=lambda node: node.get("CPU", 0.0))
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(
        cores=max(1, int(total.get("CPU", 1))),
        node_cores=max(1, int(largest.get("CPU", 1))),
        node_memory_bytes=int(largest.get("memory", 2**30)),
        gpus=float(total.get("GPU", 0.0)),
        local=local,
    )


def _reason(error: exceptions.RayTaskError) -> str:
    """The exception that a block raised, in one line."""
    cause = error.cause if isinstance(error.cause, Exception) else error
    lines = [line for line in str(cause).splitlines() if line.strip()] or [""]
    return f"{type(cause).__name__}: {lines[-1] if cause is error else lines[0]}"[:500]
