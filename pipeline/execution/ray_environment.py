"""What Ray reads from the environment as it is imported: its token, and what it may say and send."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # Ray's name; 0 means one machine, on any system
_one_machine: list[bool] = []  # whether `prepare` said so


def prepare(*, local: bool) -> None:
    """Settings for this process and its children, before anything imports ray.

    A local cluster listens on the loopback address alone, and asks every client for a token; its file is made
    for its owner alone (Ray itself would let everybody on the machine read it). A cluster elsewhere decides
    by itself, and the user's own variables rule in both.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not local or "ray" in sys.modules:
        return
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and not os.environ.get("RAY_AUTH_TOKEN"):
        keep_token_private(Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"))
    if CLUSTERS not in os.environ:
        os.environ[CLUSTERS] = "0"
        _one_machine.append(True)


def after_import() -> None:
    """Takes back what Ray alone was to read: a later child may start a cluster of machines."""
    if _one_machine:
        os.environ.pop(CLUSTERS, None)
        _one_machine.clear()


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
