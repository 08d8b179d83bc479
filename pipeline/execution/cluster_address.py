"""The address of a Ray cluster: whether a head answers there, and what to say where none does."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from widesweep.pipeline.errors import InputError

ANSWER_S = 5.0
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty settings
SETTINGS = 4  # type of the frame with which every HTTP/2 server begins
WANTED = "wanted: the address of a Ray head, such as 10.0.0.1:6379, or auto, or local"


def check_answers(address: str) -> None:
    """Whether a Ray head listens at host:port: Ray itself would ask for minutes.

    Raises:
        InputError: nothing does, or something else.
    """
    if "://" in address and not address.startswith("ray://"):
        raise no_cluster(address, "an http address is that of a dashboard, which takes jobs")
    found = _of_this_machine(address) if address == "auto" else address
    host, colon, port = found.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise no_cluster(address, "it is not HOST:PORT")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                connection.sendall(HELLO)
                frame = connection.recv(9)
                if len(frame) < 4 or frame[3] != SETTINGS:
                    raise OSError("what listens there is no Ray head")
    except (OSError, OverflowError) as error:
        raise no_cluster(address, str(error)) from None


def check_lets_in(address: str) -> None:
    """Whether the head takes this user's token: `ray.init` itself would ask for up to a minute.

    Raises:
        InputError: it does not.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # made in Cython
    from ray.exceptions import AuthenticationError

    if address.startswith("ray://"):
        return  # its port speaks another protocol, and answers at once
    found = _of_this_machine(address) if address == "auto" else address
    try:
        with _silent():
            GcsClient(address=found).internal_kv_get(b"widesweep", None, ANSWER_S)
    except AuthenticationError as error:
        raise refusal(address, error) from None
    except Exception as error:
        raise no_cluster(address, _first_line(error)) from None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps what Ray's C++ writes off the terminal: its refusals are told once, by us."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _of_this_machine(address: str) -> str:
    """The cluster that `auto` means."""
    from ray._private import services

    try:
        return str(services.get_ray_address_from_environment(address, None))
    except (OSError, RuntimeError) as error:
        raise no_cluster(address, "none runs on this machine") from error


def no_cluster(address: str, reason: str) -> InputError:
    """The refusal of an address, under the name of where it was set."""
    return InputError(option(address), f"no Ray cluster answers ({reason})", WANTED)


def option(address: str) -> str:
    """Where an address was set: `--address`, or the variable that stands for it."""
    return f"RAY_ADDRESS={address}" if os.environ.get("RAY_ADDRESS") == address else f"--address {address}"


def refusal(address: str, error: BaseException) -> InputError:
    """What to say of a head that answers and yet does not let this user in."""
    found = f"what answers there does not let this user in ({_first_line(error)})"
    mode = "" if os.environ.get("RAY_AUTH_MODE") == "token" else "with RAY_AUTH_MODE=token, "
    wanted = f"wanted: the cluster's token, {mode}in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, and its Ray"
    return InputError(option(address), found, wanted)


def _first_line(error: BaseException) -> str:
    """Its first sentence: Ray's messages go on with advice on every way to set a token."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.partition(". ")[0].rstrip(".")[:200]
