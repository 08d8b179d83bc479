"""Ray: a cluster, blocks on it, and what to do when one is lost. The only module that imports ray."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import pickle
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import cloudpickle, exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from widesweep import source
from widesweep.pipeline.errors import ClusterError, ClusterLostError, InputError
from widesweep.pipeline.execution import cluster_address, ray_environment
from widesweep.pipeline.execution.head_watch import HeadWatch
from widesweep.pipeline.execution.scheduler import WAIT_S, Attempt, Attempts, Listener, Stop, run_ending
from widesweep.pipeline.execution.worker import Sweep
from widesweep.pipeline.plan import gpu_shares, resource_sizes
from widesweep.pipeline.plan.blocks import Block

EXECUTE = "widesweep.pipeline.execution.worker:execute"
GPU_MEMORY = "widesweep.workers.engine.device:gpu_memory_bytes"
PROBE_S = 60.0  # longest time until every node with GPUs has said what memory they have
MACHINE_LOST = (exceptions.NodeDiedError, exceptions.LocalRayletDiedError)
LOST = (
    *MACHINE_LOST,
    exceptions.WorkerCrashedError,
    exceptions.ObjectLostError,
    exceptions.RaySystemError,
    exceptions.TaskUnschedulableError,
    exceptions.RuntimeEnvSetupError,
)


@dataclass
class Cluster:
    """What Ray offers: a `Scheduler`.

    Attributes:
        cores: CPU cores in all.
        node_cores: cores of the largest node: no block can take more.
        node_memory_bytes: memory of that node which Ray lends to tasks.
        gpus: GPUs in all.
        local: whether this process started it.
        watch: whether its head still answers.
    """

    cores: int
    node_cores: int
    node_memory_bytes: int
    gpus: float
    local: bool
    watch: HeadWatch | None = None

    @property
    def lost(self) -> bool:
        """Whether its head has gone."""
        return self.watch is not None and self.watch.lost

    @property
    def cores_now(self) -> int:
        """CPU cores in all, of the nodes that are there now."""
        return self.watch.cores if self.watch is not None else self.cores

    def gpu_memory_bytes(self) -> int:
        """Memory of a GPU of the cluster, as its nodes say it."""
        return gpu_memory_bytes()

    def run(self, sweep: Sweep, blocks: Iterable[Block], listener: Listener, stop: Stop) -> None:
        """As every scheduler does it: `Scheduler.run`."""
        flight = _Flight(self, sweep, Attempts(map(Attempt, blocks), listener, sweep))
        try:
            while flight.fill(stop) and not stop:
                ready, _ = ray.wait(list(flight.tasks), num_returns=1, timeout=WAIT_S)
                if ready:
                    ready, _ = ray.wait(list(flight.tasks), num_returns=len(flight.tasks), timeout=0)
                for task in ready:
                    flight.land(task)
                if self.lost:
                    raise ClusterLostError(sweep.url)
            if stop:
                flight.put_down(stop.grace_s)
        finally:
            for task in flight.tasks if not self.lost else ():
                ray.cancel(task, force=True)


@contextlib.contextmanager
def connect(address: str | None, cores: int, modules: Sequence[str] = ()) -> Iterator[Cluster]:
    """A local cluster, or the one at `address`, until the context ends.

    Args:
        address: of the cluster; None: this machine's cores.
        cores: how many of them.
        modules: files and packages that every worker can import.

    Raises:
        InputError: nothing answers at the address, or it refuses this user's token.
        ClusterError: this machine's own did not start.
    """
    with ray_environment.session_folder(local=address is None) as folder:
        cluster = _start(address, cores, modules, folder)
        with contextlib.redirect_stdout(sys.stderr):  # Ray prints of lost nodes where only results belong
            try:
                yield cluster
            finally:
                _end(cluster)


def _start(address: str | None, cores: int, modules: Sequence[str], folder: str | None) -> Cluster:
    ray_environment.after_import()
    options: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "configure_logging": True,
    }
    if address is None:
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False, "_temp_dir": folder}
    else:
        cluster_address.check_answers(address)
        cluster_address.check_lets_in(address)
        options["address"] = address
    if modules:
        options["runtime_env"] = {"py_modules": list(modules)}
    try:
        ray.init(**options)
        return describe(local=address is None)
    except (Exception, SystemExit) as error:  # Ray raises bare exceptions where a part of it does not start
        with contextlib.suppress(Exception):
            ray.shutdown()
        if address is not None:
            raise cluster_address.refusal(address, error) from None
        raise ClusterError((str(error).splitlines() or [type(error).__name__])[0][:200]) from error


def _end(cluster: Cluster) -> None:
    if cluster.watch is not None:
        cluster.watch.stop()
    if cluster.lost:
        atexit.unregister(ray.shutdown)  # it would ask the head, and hang
    else:
        ray.shutdown()


@dataclass
class _Flight:
    """Tasks in flight."""

    cluster: Cluster
    sweep: Sweep
    attempts: Attempts
    tasks: dict[Any, Attempt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Puts what all tasks share where every node can read it."""
        self._source, self._shared = ray.put(source.here()), ray.put(pickle.dumps(self.sweep))

    def fill(self, stop: Stop) -> bool:
        """Starts blocks until enough are in flight to keep every core fed; whether any is in flight."""
        while not stop and len(self.tasks) < 2 * self.cluster.cores_now + 4:
            attempt = self.attempts.next()
            if attempt is None:
                break
            self.attempts.listener.started(attempt.block)
            block = pickle.dumps(attempt.start(self.sweep.permit))
            resources = _resources(self.cluster, attempt.block, self.sweep.gpu_memory_bytes)
            remote = _remote_call(once="num_gpus" in resources)
            measure = _with_resources(remote, tuple(resources.items()))
            self.tasks[measure.remote(self._source, EXECUTE, self._shared, block)] = attempt
        return bool(self.tasks)

    def land(self, task: Any) -> None:
        """Takes a task that ended, well or not."""
        attempt = self.tasks.pop(task)
        attempt.end()
        try:
            self.attempts.listener.finished(attempt.block, ray.get(task))
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, Exception):
                self.attempts.raised(attempt, error.cause)
            else:
                said = str(error).strip().splitlines()[-1]
                self.attempts.listener.failed(attempt.block, f"{type(error).__name__}: {said}"[:500])
        except exceptions.OutOfMemoryError:
            self.attempts.start_again(attempt, *attempt.after_shortage())
        except LOST as error:
            gone = isinstance(error, MACHINE_LOST)
            self.attempts.lost(attempt, type(error).__name__, machine=gone)

    def put_down(self, grace_s: float) -> None:
        """Interrupts what runs, and waits until it has flushed; a block that ends well meanwhile counts."""
        end = time.monotonic() + grace_s
        for task in self.tasks if grace_s else ():
            ray.cancel(task, force=False)
        while self.tasks and time.monotonic() < end:
            for task in ray.wait(list(self.tasks), num_returns=1, timeout=WAIT_S)[0]:
                attempt = self.tasks.pop(task)
                with contextlib.suppress(exceptions.RayError):
                    self.attempts.listener.finished(attempt.block, ray.get(task))


@functools.cache
def _remote_call(*, once: bool) -> Any:
    """`source.call` on a worker, which imports nothing of the package before it.

    Args:
        once: in a process that ends with it: CUDA keeps its memory, and the GPU that it began with.
    """
    cloudpickle.register_pickle_by_value(source)  # type: ignore[no-untyped-call]  # untyped library
    return ray.remote(max_retries=0, max_calls=int(once))(source.call)


@functools.lru_cache(maxsize=64)
def _with_resources(remote: Any, resources: tuple[tuple[str, Any], ...]) -> Any:
    """A remote function with these resources; Ray makes a class of each, so that a pair's blocks share it."""
    return remote.options(name="block", **dict(resources))


def _resources(cluster: Cluster, block: Block, gpu_memory_bytes: int) -> dict[str, Any]:
    """What Ray must set aside for a block, never more than the largest node has."""
    memory = resource_sizes.memory_bytes(block.memory_bytes * block.state.split)
    memory = min(memory, int(0.9 * cluster.node_memory_bytes))
    resources: dict[str, Any] = {"num_cpus": min(block.threads, cluster.node_cores), "memory": memory}
    if gpu_memory_bytes and block.kind == "training":
        resources["num_gpus"] = gpu_shares.share(block, gpu_memory_bytes)
    return resources


def gpu_memory_bytes() -> int:
    """Memory of a GPU of the cluster: one on each node with GPUs is asked, the smallest counts.

    0: torch sees no CUDA on any of them, as under a CPU build, or where Ray was told of GPUs that are not
    there.

    Raises:
        InputError: not every node has answered within a minute.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]  # type: ignore[no-untyped-call]  # untyped library
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    probe = functools.partial(_remote_call(once=True).options, num_cpus=0, num_gpus=0.0001)
    requested = [probe(scheduling_strategy=each).remote(source.here(), GPU_MEMORY) for each in there]
    try:
        return min((found for found in ray.get(requested, timeout=PROBE_S) if found), default=0)
    except exceptions.RayError as error:
        for task in requested:
            ray.cancel(task, force=True)
        if (ending := run_ending(getattr(error, "cause", None), "--address")) is not None:
            raise ending from None
        found = f"not every GPU node said its GPU's memory within {PROBE_S:.0f} s ({type(error).__name__})"
        wanted = "a size, such as compute.gpu_memory=16GB, or compute.device=cpu"
        raise InputError("compute.gpu_memory", found, wanted) from None


def describe(*, local: bool) -> Cluster:
    """The cluster that this process is connected to, as its live nodes say."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # untyped library
    largest = max(nodes, key=lambda node: node.get("CPU", 0.0))
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]  # untyped library
    return Cluster(
        cores=max(1, int(total.get("CPU", 1))),
        node_cores=max(1, int(largest.get("CPU", 1))),
        node_memory_bytes=int(largest.get("memory", 2**30)),
        gpus=float(total.get("GPU", 0.0)),
        local=local,
        watch=HeadWatch(ray.get_runtime_context().gcs_address, _cores),
    )


def _cores() -> int:
    """Cores of the cluster now: nodes come and go."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]  # untyped library
