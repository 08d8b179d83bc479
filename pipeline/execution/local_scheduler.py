"""Blocks in this process and a few of its own: all that a small sweep on one machine needs."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO

from widesweep import source
from widesweep.pipeline.execution import worker
from widesweep.pipeline.execution.scheduler import WAIT_S, Attempt, Attempts, Listener, Stop
from widesweep.pipeline.plan.blocks import Block

END_S = 5.0
_CODE = """
import json, runpy, sys
from multiprocessing.connection import Connection
source, pipe = json.loads(sys.argv[1]), Connection(int(sys.argv[2]))
sys.path[:] = source["path"]
try:
    runpy.run_path(source["file"])["pin"](source)
except ImportError as error:
    pipe.send(error)
else:
    from widesweep.pipeline.execution import local_worker
    local_worker.serve(pipe)
"""


@dataclass
class LocalScheduler:
    """Cores and memory of this machine.

    Attributes:
        cores: CPU cores.
        node_memory_bytes: what blocks may use together.
        processes: how many to start at most; 0: blocks run in this process, one after another.
    """

    cores: int
    node_memory_bytes: int
    processes: int
    gpus: float = 0.0
    local: bool = True

    @property
    def node_cores(self) -> int:
        """All of them: there is one machine."""
        return self.cores

    def gpu_memory_bytes(self) -> int:
        """None: a sweep on GPUs runs on Ray, which shares them out."""
        return 0

    def run(self, sweep: worker.Sweep, blocks: Iterable[Block], listener: Listener, stop: Stop) -> None:
        """As every scheduler does it: `Scheduler.run`."""
        attempts = Attempts(map(Attempt, blocks), listener, sweep)
        if not self.processes:
            _run_here(sweep, attempts, stop)
            return
        flight = _Flight(self, sweep, attempts, [_Process.start() for _ in range(self.processes)])
        try:
            while flight.fill(stop) and not stop:
                flight.land(WAIT_S)
            if stop:
                flight.put_down(stop.grace_s)
        finally:
            flight.end()


def _run_here(sweep: worker.Sweep, attempts: Attempts, stop: Stop) -> None:
    """One block after another in this process; a signal interrupts the block, which flushes."""
    while not stop and (attempt := attempts.next()) is not None:
        attempts.listener.started(attempt.block)
        try:
            with stop.interrupting():
                found = worker.execute(sweep, attempt.start(sweep.permit))
        except KeyboardInterrupt:
            if not stop:
                raise
            return
        except Exception as error:
            attempt.end()
            attempts.raised(attempt, error)
        else:
            attempt.end()
            attempts.listener.finished(attempt.block, found)


@dataclass
class _Process:
    """A worker process, the pipe to it, and what it wrote to standard error."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    errors: IO[bytes]
    attempt: Attempt | None = None
    knows: bool = False  # the sweep

    @classmethod
    def start(cls) -> _Process:
        """Begins one, in a group of its own: a terminal's Ctrl-C is the driver's to pass on."""
        ours, theirs = Pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  (`end` closes it)
        command = [sys.executable, "-P", "-c", _CODE, json.dumps(source.here()), str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        return cls(process, ours, errors)

    def take(self, sweep: worker.Sweep, attempt: Attempt) -> None:
        """Executes a block; that a process has gone already is found when it is listened to."""
        self.attempt, block = attempt, attempt.start(sweep.permit)
        with contextlib.suppress(OSError):
            if not self.knows:
                self.pipe.send(sweep)
            self.knows = True
            self.pipe.send(block)

    def why(self) -> str:
        """How a process ended, and the last line that it wrote."""
        code = self.process.wait(END_S)
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()[-1:]
        ended = f"killed by signal {-code}" if code < 0 else f"ended with {code}"
        return ": ".join([f"its process was {ended}" if code < 0 else f"its process {ended}", *lines])[:300]

    def end(self) -> None:
        """Lets it go: it ends once nobody can speak to it."""
        self.pipe.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


@dataclass
class _Flight:
    """Worker processes, and the blocks that they execute."""

    scheduler: LocalScheduler
    sweep: worker.Sweep
    attempts: Attempts
    workers: list[_Process]
    waiting: Attempt | None = None

    @property
    def busy(self) -> list[_Process]:
        """Those that execute a block."""
        return [each for each in self.workers if each.attempt is not None]

    def fill(self, stop: Stop) -> bool:
        """Gives blocks to workers while cores and memory last; whether any is under way."""
        while not stop and len(self.busy) < self.scheduler.processes:
            self.waiting = self.waiting or self.attempts.next()
            if self.waiting is None or not self._fits(self.waiting.block):
                break
            idle = next((each for each in self.workers if each.attempt is None), None) or self._another()
            self.attempts.listener.started(self.waiting.block)
            idle.take(self.sweep, self.waiting)
            self.waiting = None
        return bool(self.busy)

    def _fits(self, block: Block) -> bool:
        """Beside the blocks under way; alone every block fits."""
        together = [block, *(each.attempt.block for each in self.busy if each.attempt is not None)]
        memory = sum(each.memory_bytes * each.state.split for each in together)
        threads = sum(each.threads for each in together)
        within = threads <= self.scheduler.cores and memory <= self.scheduler.node_memory_bytes
        return within or len(together) == 1

    def _another(self) -> _Process:
        self.workers.append(_Process.start())
        return self.workers[-1]

    def land(self, timeout_s: float) -> None:
        """Takes blocks that ended within a time, well or not."""
        busy = self.busy
        ready = wait([one.pipe for one in busy], timeout_s)
        for one in (one for one in busy if one.pipe in ready):
            self._take(one)

    def _take(self, one: _Process) -> None:
        attempt = one.attempt
        assert attempt is not None
        try:
            found = one.pipe.recv()
        except (EOFError, OSError):
            self.workers.remove(one)
            reason = one.why()
            one.end()
            attempt.end()
            self.attempts.lost(attempt, reason)
            return
        one.attempt = None
        attempt.end()
        if isinstance(found, worker.Outcome):
            self.attempts.listener.finished(attempt.block, found)
        else:
            self.attempts.raised(attempt, found)

    def put_down(self, grace_s: float) -> None:
        """Interrupts what runs, and waits until it has flushed; a block that ends well meanwhile counts."""
        end = time.monotonic() + grace_s
        for one in self.busy if grace_s else ():
            one.process.send_signal(signal.SIGINT)
        while (busy := self.busy) and time.monotonic() < end:
            ready = wait([one.pipe for one in busy], WAIT_S)
            for one in (one for one in busy if one.pipe in ready):
                attempt, one.attempt = one.attempt, None
                with contextlib.suppress(EOFError, OSError):
                    found = one.pipe.recv()
                    if isinstance(found, worker.Outcome) and attempt is not None:
                        self.attempts.listener.finished(attempt.block, found)

    def end(self) -> None:
        """Ends all processes; those that execute a block at once."""
        for one in self.busy:
            one.process.kill()
        for one in self.workers:
            one.pipe.close()
        for one in self.workers:
            one.end()
