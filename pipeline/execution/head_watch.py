"""Whether a cluster's head still answers: looked at by a thread, as every question to a dead one hangs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

LOOK_S = 5.0  # time between looks
CONNECT_S = 5.0
GONE_S = (
    30.0  # a head that has not answered for so long is gone; Ray itself would end this process after 60 s
)


class HeadWatch:
    """Looks at a cluster's head until it is stopped.

    Attributes:
        lost: whether the head has not answered for `GONE_S`.
        cores: what `count` last said.
    """

    def __init__(self, address: str, count: Callable[[], int]) -> None:
        """Begins to look.

        Args:
            address: HOST:PORT of the head.
            count: asks the head how many cores its cluster has now; may hang.
        """
        self.lost = False
        self.cores = count()
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._count = count
        self._end = threading.Event()
        threading.Thread(target=self._look, name="head", daemon=True).start()

    def stop(self) -> None:
        """Ends the looks."""
        self._end.set()

    def _look(self) -> None:
        answered, counting = time.monotonic(), threading.Thread()
        while not self._end.wait(LOOK_S):
            if answers(*self._place):
                answered = time.monotonic()
                if not counting.is_alive():
                    counting = threading.Thread(target=self._recount, daemon=True)
                    counting.start()
            self.lost = time.monotonic() - answered > GONE_S

    def _recount(self) -> None:
        try:
            self.cores = self._count()
        except Exception:  # the head went away meanwhile, in one of many ways
            return


def answers(host: str, port: int) -> bool:
    """Whether anything listens there.

    >>> answers("127.0.0.1", 1)
    False
    """
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except (OSError, OverflowError):
        return False
    return True
