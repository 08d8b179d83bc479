"""SIGINT and SIGTERM as a flag that loops look at; a second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

GRACE_S = 20.0  # for flushes after the first signal; preemption commonly leaves 30 s
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """False until a signal arrives; then true, with its number.

    As a context it listens, and puts back what listened before. After the first signal blocks flush what
    they have; what is written is whole at any moment, so the second one need not wait.
    """

    grace_s = GRACE_S

    def __init__(self) -> None:
        """Not stopped."""
        self.signal_number = 0
        self._interrupts = False
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        """Whether a signal arrived."""
        return self.signal_number != 0

    def __enter__(self) -> StopFlag:
        """Listens."""
        self._before = {each: signal.getsignal(each) for each in SIGNALS} if _in_main_thread() else {}
        self.listen()
        return self

    def listen(self) -> None:
        """Listens (again): Ray installs its own handler for SIGTERM when it starts."""
        if _in_main_thread():
            for each in SIGNALS:
                signal.signal(each, self._arrived)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Puts the handlers back."""
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
        if self.signal_number:
            os._exit(128 + number)
        self.signal_number = number
        if self._interrupts:
            raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
