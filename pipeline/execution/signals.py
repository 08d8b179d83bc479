"""SIGINT, SIGTERM and SIGHUP as a flag that loops look at; a second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from widesweep.pipeline.errors import AGAIN, interrupted_code

GRACE_S = 20.0  # for flushes after the first signal; preemption commonly leaves 30 s
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopFlag:
    """False until a signal arrives; then true, with its number.

    As a context it listens, and puts back what listened before. After the first signal blocks flush what
    they have; what is written is whole at any moment, so the second one need not wait. SIGHUP, which comes
    when a terminal is closed, waits until `listen`: processes that are started before inherit that, and do
    not die of it. A run under `nohup` goes on.
    """

    grace_s = GRACE_S

    def __init__(self) -> None:
        """Not stopped."""
        self.signal_number = 0
        self._interrupts = False
        self._before: dict[signal.Signals, Any] = {}
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def __bool__(self) -> bool:
        """Whether a signal arrived."""
        return self.signal_number != 0

    def __enter__(self) -> StopFlag:
        """Listens."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.getsignal(each) for each in SIGNALS}
            if self._before[signal.SIGHUP] is signal.SIG_IGN:
                del self._before[signal.SIGHUP]
        self.listen()
        if self._before:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        return self

    def listen(self) -> None:
        """Listens (again): Ray installs its own handler for SIGTERM when it starts."""
        for each in self._before:
            signal.signal(each, self._arrived)
        if self._before:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Puts the handlers back."""
        if self._before:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While the context lasts, the first signal interrupts the main thread (KeyboardInterrupt)."""
        self._interrupts = True
        try:
            if self:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number and number == signal.SIGHUP:
            return  # a shell sends it, and so does the system once the shell has gone
        if self.signal_number and interrupted_code(number) == AGAIN:
            return  # a scheduler tells all processes, and its script tells this one; it kills those that stay
        if self.signal_number:
            os._exit(interrupted_code(number))
        self.signal_number = number
        self._leave_terminals()
        if self._interrupts:
            raise KeyboardInterrupt

    def _leave_terminals(self) -> None:
        """Drops what would be written to a terminal that has gone; it would be an error there."""
        gone = [descriptor for descriptor in self._terminals if not os.isatty(descriptor)]
        if gone:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in gone:
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
