"""What can go wrong, grouped by what the caller would do about it."""

from __future__ import annotations

import os
import signal
import unicodedata


AGAIN = 75  # exit code: the machine ended the run, the same command goes on
PREEMPTIBLE = "WIDESWEEP_PREEMPTIBLE"  # set to 1 where SIGTERM comes from a scheduler, as the launchers do


def interrupted_code(signal_number: int) -> int:
    """Exit code of a run that a signal stopped: 128 + its number; 75 for a scheduler's SIGTERM.

    >>> interrupted_code(2)
    130
    """
    scheduler = os.environ.get(PREEMPTIBLE) == "1" and signal_number == signal.SIGTERM
    return AGAIN if scheduler else 128 + signal_number


class WidesweepError(Exception):
    """Anything the command explains in a message instead of a traceback.

    ```
    WidesweepError
    ├── InputError     the user changes the input and tries again; exit 2, nothing was written
    │   └── MissingLibraryError  a library that this command needs is not installed; exit 2
    ├── ClusterError   Ray did not start; nothing was written; exit 2
    │   └── ClusterLostError  its head has gone while a sweep ran; what is stored is safe; exit 75
    ├── SourceError    a worker has another source of this package than the driver; exit 1
    ├── StorageError   the store cannot be read or written now; what is stored is safe; exit 1
    │   ├── AccessError      its credentials are refused; before anything is begun an InputError; exit 1
    │   └── PermitLostError  another run has taken the store over; this one wrote nothing since; exit 75
    ├── DamagedError   a chunk of the store is not what was written; `run --repair` recomputes it; exit 1
    └── Interrupted    the user (130), the system (143) or a scheduler (75) stopped a run; the same command
                       resumes it
    ```
    """

    exit_code = 1


class InputError(WidesweepError):
    """The user's input is wrong: where, what was found, what was wanted, and the next step.

    >>> print(InputError("wide.yaml, grid.width[2]", "0 is not a width", "widths are integers from 1"))
    wide.yaml, grid.width[2]: 0 is not a width; widths are integers from 1. Nothing was started.
    """

    exit_code = 2

    def __init__(self, where: str, found: str, wanted: str, next_step: str = "Nothing was started.") -> None:
        """Keeps the four parts; the message joins them."""
        parts = [printable(part) for part in (where, found, wanted, next_step)]
        self.where, self.found, self.wanted, self.next_step = parts
        super().__init__(*parts)

    def __str__(self) -> str:
        """One sentence, and the next step."""
        return f"{self.where}: {self.found}; {self.wanted}. {self.next_step}"


def printable(text: str) -> str:
    """What a file or a shell handed over may hold line breaks and control characters; a message does not."""
    return "".join(
        c if _is_shown(c) else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces of every width


class CollectedInputError(InputError):
    """Several wrong inputs of one file, told in one message of at most five lines."""

    def __init__(self, errors: list[InputError]) -> None:
        """Keeps all; the message shows the first four."""
        self.errors = errors
        super().__init__(errors[0].where, errors[0].found, errors[0].wanted, errors[0].next_step)

    def __str__(self) -> str:
        """A line for each of the first errors, and one for the next step."""
        shown = self.errors if len(self.errors) <= 4 else self.errors[:3]
        lines = [f"{error.where}: {error.found}; {error.wanted}." for error in shown]
        if len(shown) < len(self.errors):
            lines.append(f"… and {len(self.errors) - len(shown)} more.")
        return "\n".join([*lines, self.next_step])


EXTRAS = {  # of the distribution, by library
    **dict.fromkeys(("ray", "torch", "numba", "llvmlite", "safetensors", "distributed"), "run"),
    **dict.fromkeys(("h5netcdf", "h5py", "pyarrow"), "export"),
    "s3fs": "s3",
}


class MissingLibraryError(InputError):
    """A command needs a library that is not there.

    >>> print(MissingLibraryError("torch"))
    torch: it is not installed; this command needs it. `pip install "widesweep[run]"` brings it.
    """

    def __init__(self, name: str) -> None:
        """Ray has a substitute, which the next step names."""
        self.name = name.partition(".")[0]
        extra = EXTRAS.get(self.name)
        package = f'"widesweep[{extra}]"' if extra else self.name
        wanted, next_step = "this command needs it", f"`pip install {package}` brings it."
        if self.name == "ray":
            wanted = "clusters and long sweeps need it"
            next_step = f"{next_step[:-1]}; `--scheduler local` does without. Nothing was started."
        super().__init__(self.name, "it is not installed", wanted, next_step)


class ClusterError(WidesweepError):
    """Ray could not start a cluster on this machine; nothing was written."""

    exit_code = 2

    def __str__(self) -> str:
        """What Ray said, and what usually helps."""
        return (
            f"Ray did not start on this machine: {self.args[0]}. Nothing was started.\n"
            "A full /tmp or /dev/shm, or a loaded machine, is the usual reason; --scheduler local needs none."
        )


class ClusterLostError(ClusterError):
    """The cluster's head does not answer any more; its exit code is not that of a start that failed.

    >>> print(ClusterLostError("wide.zarr"))
    wide.zarr: the Ray cluster that worked on it does not answer any more. What was finished is stored.
    Run the same command again, with the --address of a cluster that answers.
    """

    exit_code = AGAIN

    def __str__(self) -> str:
        """What was found, and the next step."""
        found = "the Ray cluster that worked on it does not answer any more. What was finished is stored."
        help_ = "Run the same command again, with the --address of a cluster that answers."
        return f"{self.args[0]}: {found}\n{help_}"


class SourceError(WidesweepError):
    """A worker cannot import the source that the driver runs.

    >>> print(SourceError("wide.zarr", "a worker on n1 has widesweep 0.1.0, source 0a1b2c3d"))
    wide.zarr: a worker on n1 has widesweep 0.1.0, source 0a1b2c3d. What was finished is stored.
    Install the driver's package there, or leave its files alone; then run the same command again.
    """

    def __init__(self, store: str, reason: str) -> None:
        """Keeps both."""
        self.store, self.reason = store, printable(reason)[:500]
        super().__init__(store, reason)

    def __str__(self) -> str:
        """What was found, and the next step."""
        help_ = (
            "Install the driver's package there, or leave its files alone; then run the same command again."
        )
        return f"{self.store}: {self.reason}. What was finished is stored.\n{help_}"


class StorageError(WidesweepError):
    """The store cannot be read or written now: a full disk, a server that is gone, a right that is missing.

    >>> print(StorageError("wide.zarr", "No space left on device"))
    wide.zarr: No space left on device. What was finished is stored.
    Put that right (free space, a server that answers, access), then run the same command again.
    """

    def __init__(self, store: str, reason: str) -> None:
        """Keeps both; they pass between processes."""
        self.store, self.reason = store, printable(reason)[:300]
        super().__init__(store, reason)

    def __str__(self) -> str:
        """What was found, and the next step."""
        help_ = "Put that right (free space, a server that answers, access), then run the same command again."
        return f"{self.store}: {self.reason}. What was finished is stored.\n{help_}"


class AccessError(StorageError):
    """An object store refuses what the credentials ask for."""


class PermitLostError(StorageError):
    """The store is another run's since this one gave no sign of life, or is not where it was any more.

    >>> print(PermitLostError("wide.zarr", "this run may not write to it any more"))
    wide.zarr: this run may not write to it any more.
    Another run took it over while this one gave no sign of life, or it was moved or deleted.
    `widesweep status wide.zarr` shows what is there; the same command again goes on.
    """

    exit_code = AGAIN

    def __str__(self) -> str:
        """What was found, why, and the next step."""
        why = "Another run took it over while this one gave no sign of life, or it was moved or deleted."
        help_ = f"`widesweep status {self.store}` shows what is there; the same command again goes on."
        return f"{self.store}: {self.reason}.\n{why}\n{help_}"


class DamagedError(WidesweepError):
    """Chunks whose bytes are not those that were written.

    >>> print(DamagedError("wide.zarr", ["training/loss/c/0/0/0/0/0"]))
    wide.zarr: training/loss/c/0/0/0/0/0 is damaged: it does not fit its checksum.
    `widesweep run CONFIG --repair` computes its block again; the rest of the store stays.
    """

    def __init__(self, store: str, keys: list[str], found: str = "does not fit its checksum") -> None:
        """Keeps the store's address and the damaged chunks, and what is wrong with the first of them."""
        self.store, self.keys, self.found = store, keys, found
        super().__init__(store, keys, found)

    def __str__(self) -> str:
        """Names the first, counts the others."""
        more = f"; {len(self.keys) - 1} more are damaged" if len(self.keys) > 1 else ""
        help_ = "`widesweep run CONFIG --repair` computes its block again; the rest of the store stays."
        return f"{self.store}: {self.keys[0]} is damaged: it {self.found}{more}.\n{help_}"


class Interrupted(WidesweepError):  # noqa: N818  (nothing is wrong, it is no error)
    """A signal stopped the run; what was finished is stored.

    >>> Interrupted("wide.zarr", signal_number=2).exit_code
    130
    """

    def __init__(self, store: str, signal_number: int) -> None:
        """Keeps the store's address for the message and the signal for the exit code."""
        self.store, self.signal_number = store, signal_number
        self.exit_code = interrupted_code(signal_number)
        super().__init__(store, signal_number)

    def __str__(self) -> str:
        """How to resume."""
        return f"{self.store}: interrupted; finished blocks are stored. Run the same command again to resume."
