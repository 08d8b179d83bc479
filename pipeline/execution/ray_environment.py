"""What Ray reads from the environment as it is imported: its token, and what it may say and send."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from widesweep.pipeline.errors import InputError

LONGEST_PLACE = (
    20  # of the 107 characters of a path to a socket: our folder and the name of a session take the others
)
CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # Ray's name; 0 means one machine, on any system
_one_machine: list[bool] = []  # whether `prepare` said so


def prepare(*, local: bool) -> None:
    """Settings for this process and its children, before anything imports ray.

    A local cluster listens on the loopback address alone, and asks every client for a token; its file is made
    for its owner alone (Ray itself would let everybody on the machine read it). A cluster elsewhere decides
    by itself, and the user's own variables rule in both.

    Raises:
        InputError: a token is asked for and there is none; Ray itself would abort this process.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local and "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ.get("RAY_AUTH_MODE") == "token" and not os.environ.get("RAY_AUTH_TOKEN"):
        if local:
            keep_token_private(_token_path())
        token()
    if not local or "ray" in sys.modules:
        return
    if CLUSTERS not in os.environ:
        os.environ[CLUSTERS] = "0"
        _one_machine.append(True)


def after_import() -> None:
    """Takes back what Ray alone was to read: a later child may start a cluster of machines."""
    if _one_machine:
        os.environ.pop(CLUSTERS, None)
        _one_machine.clear()


@contextlib.contextmanager
def session_folder(*, local: bool) -> Iterator[str | None]:
    """Where a local cluster keeps its sockets and logs until the context ends; None: where Ray says.

    Ray itself would use one folder for all users (`/tmp/ray`), in which anybody may put files. This one is in
    a folder of the user's own, mode 0700, and takes along what a killed run has left. `RAY_TMPDIR` rules.
    """
    if not local or os.environ.get("RAY_TMPDIR"):
        yield None
        return
    own = _own_folder()
    with _locked(own, wait=True):
        # The folders of runs that were killed go: a process's end unlocks what it locked.
        for left in own.iterdir():
            with contextlib.suppress(OSError), _locked(left, wait=False):
                shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.TemporaryDirectory(dir=own, prefix="", ignore_cleanup_errors=True)
        used = contextlib.ExitStack()
        used.enter_context(_locked(Path(folder.name), wait=False))
    with used, folder as name:
        yield name


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _own_folder() -> Path:
    """A folder that nobody else can enter, in a place whose name leaves room for that of a socket."""
    places = [place for place in (tempfile.gettempdir(), "/tmp") if len(os.fsencode(place)) <= LONGEST_PLACE]
    for place in places:
        folder = Path(place) / f"ws-{os.getuid()}"
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                folder.chmod(0o700)
                return folder
    wanted = f"a folder of yours with a name of at most {LONGEST_PLACE} characters in RAY_TMPDIR"
    raise InputError(
        "Ray's folder", f"{' and '.join(places) or tempfile.gettempdir()} cannot be used", wanted
    )


def token() -> str:
    """The user's token, as Ray finds it; empty where the user's variables ask for none.

    Raises:
        InputError: they do, and there is none.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return ""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    path, reason = _token_path(), "it is empty"
    try:
        if found := path.read_text(errors="replace").strip():
            return found
    except OSError as error:
        reason = error.strerror or str(error)
    where = f"RAY_AUTH_TOKEN_PATH={path}" if os.environ.get("RAY_AUTH_TOKEN_PATH") else str(path)
    raise InputError(where, reason, "RAY_AUTH_MODE=token wants the cluster's token there")


def _token_path() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def keep_token_private(path: Path) -> None:
    """Makes a token file with mode 0600, or takes others' access from the one that is there."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o600)
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
