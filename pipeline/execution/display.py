"""What a command says of itself while it works: on standard error, and in a log file beside the store.

On a terminal a stage is a line that moves; elsewhere it is a line of its own once it has lasted ten seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

PLAIN_LINE_S = 10.0  # elsewhere a stage that is over sooner is not worth a line


@dataclass
class Display:
    """How much is said, and where.

    Attributes:
        quiet: says nothing but errors; the log file has everything all the same.
        verbose: says how long each stage took.
    """

    quiet: bool = False
    verbose: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))
    _log: Path | None = None
    _early: list[str] = field(default_factory=list)  # what was said before there was a log

    @property
    def moves(self) -> bool:
        """Whether lines can be drawn over."""
        return self.console.is_terminal and not self.quiet

    def log_to(self, file: Path) -> None:
        """Keeps what was said, and all that will be, in a file that grows from run to run."""
        self._log, early = file, self._early
        self._early = []
        for line in early:
            self._write(line)

    def say(self, text: str) -> None:
        """A line for people and for the log."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)
        self.note(text)

    def note(self, text: str) -> None:
        """A line for the log alone."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._write(f"{now} {text}")

    @contextlib.contextmanager
    def stage(self, doing: str) -> Iterator[None]:
        """Says what is being done for as long as the context lasts.

        Args:
            doing: such as `starting Ray`.
        """
        began = time.monotonic()
        with self._shown(doing):
            yield
        took = f"{doing}: {time.monotonic() - began:.1f} s"
        if self.verbose and not self.quiet:
            print(took, file=sys.stderr, flush=True)
        self.note(took)

    @contextlib.contextmanager
    def _shown(self, doing: str) -> Iterator[None]:
        if self.quiet:
            yield
        elif self.moves:
            with self.console.status(f"{doing} …", spinner="dots"):
                yield
        else:
            line = threading.Timer(PLAIN_LINE_S, print, (f"{doing} …",), {"file": sys.stderr, "flush": True})
            line.daemon = True
            line.start()
            try:
                yield
            finally:
                line.cancel()

    def _write(self, line: str) -> None:
        if self._log is None:
            self._early.append(line)
            return
        with contextlib.suppress(OSError), self._log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
