"""One driver on a store: a claim that one process holds, on a local disk and in an object store alike."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

import psutil

from widesweep.pipeline.errors import InputError, PermitLostError, StorageError
from widesweep.pipeline.store import objects
from widesweep.pipeline.store.permit import CLAIMS, Permit, claim_numbers

BEAT_S = 3.0
SHORT_S = 30.0  # how long a run waits for an analysis that is writing
RUN, ANALYSIS = "run", "analysis"
STALE_S = 30.0  # a claim of another host whose heartbeat is older than this is nobody's


@dataclass(frozen=True)
class Holder:
    """Who claims a store.

    Attributes:
        host: its host's name.
        pid: its process there.
        born: when that process began, as its host says: a number used again is another process.
        heartbeat: unix time of its last sign of life.
        released: whether it has given the store back.
        token: tells two claims of one process apart.
        role: what it does: a run, or the short write of an analysis, for which others wait.
    """

    host: str
    pid: int
    born: float
    heartbeat: float
    released: bool = False
    token: str = ""
    role: str = RUN

    @property
    def lives(self) -> bool:
        """Whether it still works: its process on this host, a heartbeat within `STALE_S` elsewhere."""
        if self.released:
            return False
        if self.host == socket.gethostname() and self.pid == os.getpid():
            return self.token in _HELD  # a full disk may have kept an earlier one from being given back
        if self.host == socket.gethostname():
            return abs(_born(self.pid) - self.born) < 5.0  # a host's clock may be set meanwhile
        return time.time() - self.heartbeat <= STALE_S

    @property
    def works(self) -> bool:
        """Whether it lives and is not stopped (SIGSTOP, Ctrl-Z), as far as this host can see."""
        here = self.host == socket.gethostname()
        return self.lives and not (here and _is_stopped(self.pid))


_HELD: set[str] = set()  # tokens of this process


class Claim:
    """The right to write to a store, held from `take` until the context ends.

    Claims are numbered files that are never used again. To take a store over, its driver creates the next
    number, which only one can (`put_new`), and then looks whether it is still the highest: a process that
    slept between looking and creating finds a higher one and gives way. Only then it ends the permits of
    earlier claims, so that nothing their workers still hold can be put, and begins. Hosts' clocks must agree
    to 20 s, else a claim that lives is taken over: that loses the earlier run's unfinished blocks, no more.

    Attributes:
        permit: what every write of its run goes through.
        lost: whether another run has taken the store over.
        beside: what else is written at each beat.
    """

    def __init__(self, permit: Permit, holder: Holder) -> None:
        """Keeps who holds what; `take` makes one."""
        self.permit, self._holder = permit, holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim", daemon=True)
        self.lost = False
        self.beside: Callable[[], None] = lambda: None
        _HELD.add(holder.token)

    def __enter__(self) -> Claim:
        """Shows signs of life from now on."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the store back; if that cannot be written, the end of this process says the same."""
        self._stop.set()
        self._thread.join()
        self._write(released=True)
        _HELD.discard(self._holder.token)
        self.permit.end()

    def _beat(self) -> None:
        """A heartbeat, which fails once another host has taken this process for dead."""
        while not self.lost and not self._stop.wait(BEAT_S):
            self._write()
            self._kept(self.beside)

    def _write(self, *, released: bool = False) -> None:
        holder = replace(self._holder, heartbeat=time.time(), released=released)
        self._kept(lambda: self.permit.put({_key(self.permit.claim): text(holder)}, patience_s=0.0))

    def _kept(self, write: Callable[[], None]) -> None:
        try:
            write()
        except PermitLostError:
            self.lost = True
        except StorageError:
            return  # a full disk or a lost server: the next beat tries again


@contextlib.contextmanager
def brief(url: str) -> Iterator[bool]:
    """Keeps runs off a store for a short write of an analysis; False where that is not possible.

    It takes over nothing: where a run lives, or may live on another host, it does without.
    """
    number = max(_numbers(url), default=0)
    last = _read(url, number) if number else None
    elsewhere = last is not None and not last.released and last.host != socket.gethostname()
    if elsewhere or (last is not None and last.lives and last.role == RUN):
        yield False
        return
    try:
        mine = take(url, ANALYSIS)
    except (InputError, StorageError):
        yield False
        return
    with mine:
        yield True


def take(url: str, role: str = RUN) -> Claim:
    """Claims a store for this process.

    Raises:
        InputError: another driver lives; names its host and process.
    """
    names = objects.names(url, CLAIMS)
    highest = max(claim_numbers(names), default=0)
    _refuse_if_alive(url, highest)
    mine, holder = highest + 1, _myself(role)
    permit = Permit(url, mine, holder.token)
    permit.grant()
    if not objects.put_new(url, _key(mine), text(holder)):
        permit.end()
        _refuse_if_alive(url, mine)
        return take(url, role)
    later = max(_numbers(url))
    if later > mine:
        permit.end()
        objects.delete(url, [_key(mine)])
        _refuse_if_alive(url, later)
        return take(url, role)
    permit.end_earlier()
    objects.delete(url, [f"{CLAIMS}/{name}" for name in names if name.partition(".")[0] < f"{mine:06d}"])
    return Claim(permit, holder)


def text(holder: Holder) -> bytes:
    """What a claim's object holds."""
    return json.dumps(asdict(holder)).encode()


def refuse_second(url: str) -> None:
    """Refuses at once, before a cluster starts, where another driver lives.

    Raises:
        InputError: names its host and process.
    """
    _refuse_if_alive(url, max(_numbers(url), default=0))


def is_held(url: str) -> bool:
    """Whether a driver lives and works."""
    number = max(_numbers(url), default=0)
    holder = _read(url, number) if number else None
    return holder is not None and holder.role == RUN and holder.works


def _refuse_if_alive(url: str, number: int) -> None:
    if (holder := _living(url, number)) is not None:
        found = f"a run on {holder.host} (process {holder.pid}) is writing to it"
        next_step = f"Follow it by `widesweep status {url} --watch`, or stop it first. Nothing was started."
        raise InputError(url, found, "a store has one run at a time", next_step)


def _myself(role: str) -> Holder:
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, _born(pid), time.time(), token=uuid.uuid4().hex, role=role)


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except (psutil.Error, ValueError):
        return False


def _born(pid: int) -> float:
    """When a process of this host began; -1 where there is none."""
    try:
        process = psutil.Process(pid)
        return -1.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.Error, ValueError):
        return -1.0


def _key(number: int) -> str:
    return f"{CLAIMS}/{number:06d}.json"


def _numbers(url: str) -> list[int]:
    return claim_numbers(objects.names(url, CLAIMS))


def _living(url: str, number: int) -> Holder | None:
    """The holder of a claim, if there is one and it lives; that of an analysis is waited for."""
    holder, end = _read(url, number) if number else None, time.monotonic() + SHORT_S
    while holder is not None and holder.role != RUN and holder.lives and time.monotonic() < end:
        time.sleep(0.05)
        holder = _read(url, number)
    return holder if holder is not None and holder.lives else None


def _read(url: str, number: int) -> Holder | None:
    content = objects.get(url, _key(number))
    try:
        values: dict[str, Any] = json.loads(content or b"")
        return Holder(**values)
    except (ValueError, TypeError):
        return None
