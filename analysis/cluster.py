"""Where an analysis computes: threads here, or a Dask cluster whose workers run the same source."""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cloudpickle
import dask

from widesweep import source
from widesweep.analysis.errors import NoScheduler, first_line

if TYPE_CHECKING:
    from distributed import Client, WorkerPlugin

SCHEDULER_TIMEOUT = "15s"
CONNECT_S = 5.0  # until something listens at a scheduler's address


@contextlib.contextmanager
def on(scheduler: str | None) -> Iterator[None]:
    """Threads of this process, or a cluster's scheduler for as long as the analysis lasts.

    Raises:
        NoScheduler: none answers, its cluster gives up, or a worker has another source of this package.
    """
    if scheduler is None:
        with dask.config.set(scheduler="threads"):
            yield
        return
    from distributed import Client, KilledWorker
    from distributed.client import FutureCancelledError

    try:
        _check_answers(scheduler)
        client = Client(scheduler, timeout=SCHEDULER_TIMEOUT)  # type: ignore[no-untyped-call]  # untyped library
    except (OSError, ValueError) as error:
        hint = "Start one with `dask scheduler`, or leave --scheduler out to use threads here."
        raise NoScheduler(f"{scheduler}: no Dask scheduler answers ({first_line(error)}). {hint}") from error
    with client, _same_source(client, scheduler):
        try:
            yield
        except (OSError, KilledWorker, FutureCancelledError) as error:
            hint = "Its workers need this environment, and the store at the same address."
            found = f"the Dask cluster did not end the analysis ({first_line(error)})"
            raise NoScheduler(f"{scheduler}: {found}. {hint}") from error


@contextlib.contextmanager
def _same_source(client: Client, scheduler: str) -> Iterator[None]:
    """While it lasts, every worker, one that joins later too, imports this process's package or refuses."""
    name = f"widesweep-{uuid.uuid4().hex}"
    try:
        client.register_plugin(_pin(), name)
        yield
    except ImportError as error:
        if error.name != "widesweep":
            raise
        hint = "Install this one there, or restart the workers if they have imported another."
        raise NoScheduler(f"{scheduler}: {error}. {hint}") from None
    finally:
        with contextlib.suppress(OSError, ImportError):
            client.unregister_worker_plugin(name)  # type: ignore[no-untyped-call]  # untyped library


def _pin() -> WorkerPlugin:
    """A plugin that travels by value, since a worker must import nothing of the package before it."""
    from distributed import WorkerPlugin

    here, pin = source.here(), source.pin

    class Pin(WorkerPlugin):
        def setup(self, worker: object) -> None:
            pin(here)

    cloudpickle.register_pickle_by_value(source)
    return Pin()


def _check_answers(scheduler: str) -> None:
    """Whether a scheduler listens there: Dask itself would ask for long, and wait for a web server."""
    address = urlsplit(scheduler)
    if not address.hostname or not address.port:
        return
    with socket.create_connection((address.hostname, address.port), timeout=CONNECT_S) as connection:
        if address.scheme == "tcp" and not connection.recv(1):  # a scheduler speaks first
            raise OSError("it hung up")
