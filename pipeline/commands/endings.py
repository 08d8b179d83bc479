"""How every command ends: its exit code, its one message, its one JSON object."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import functools
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec

import typer

from widesweep.pipeline.errors import ClusterLostError, MissingLibraryError, WidesweepError, printable

P = ParamSpec("P")
INTERRUPTED = 130
ASCII = {
    "α": "alpha",
    "δ": "delta",
    "η": "eta",
    "κ": "kappa",
    "λ": "lambda",
    "σ": "sigma",
    "Θ": "Theta",
    "–": "-",
    "−": "-",
    "×": "x",
    "·": "*",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "½": "1/2",
    "²": "^2",
    "∞": "inf",
    "‖": "||",
    "√": "sqrt ",
    "Σ": "sum ",
    "ü": "ue",
    "ö": "oe",
    "’": "'",
}
_lost: list[ClusterLostError] = []  # what ended this process's command
_codes: list[int] = []  # with which it ends


def handle_errors(command: Callable[P, int | None]) -> Callable[P, None]:
    """Turns what a command returns or raises into its exit code, and an expected error into its message."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
        except ModuleNotFoundError as error:
            if (error.name or "widesweep").partition(".")[0] == "widesweep":
                raise
            fail(str(MissingLibraryError(error.name or "")), MissingLibraryError.exit_code)
        except (WidesweepError, ValueError) as error:  # every class of ours says how a command ends
            if not hasattr(error, "exit_code"):
                raise
            if isinstance(error, ClusterLostError):
                _lost.append(error)
            fail(str(error), int(error.exit_code))
        except KeyboardInterrupt:
            fail(
                "Interrupted; what was finished is stored. Run the same command again to resume.", INTERRUPTED
            )
        except BrokenPipeError:
            sys.stderr.close()
            code = 0
        if code:
            raise typer.Exit(code)

    return wrapped


def leave(error: SystemExit) -> NoReturn:
    """Ends the process as `error` says; at once where its cluster is lost, or Ray's threads would crash."""
    if isinstance(error.code, int | None):
        _codes.append(error.code or 0)
        if _lost:
            _end()
    raise error


def skip_teardown() -> None:
    """Lets the process end right after its exit functions: to take torch apart costs most of a second.

    To be called before anything else registers one, since the first that is registered runs last.
    """
    atexit.register(_end)


def _end() -> None:
    if _codes:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_codes[-1])


def report_defect(error: Exception) -> NoReturn:
    """Ends the process after an error that nobody foresaw: one line, and the traceback in a file."""
    lines = [f"widesweep {_version()}", f"command: {sys.argv}", *traceback.format_exception(error)]
    try:
        descriptor, log = tempfile.mkstemp(prefix="widesweep-", suffix=".log", text=True)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines))
        place = f"{log} holds the details"
    except OSError as refused:
        place = f"the details could not be kept ({refused.strerror or refused})"
    kind, first = type(error).__name__, (str(error).strip().splitlines() or ["no message"])[0][:200]
    found = "".join(c if c.isprintable() else " " for c in f"{kind}: {first}")
    print(f"This is a defect of widesweep ({found}); {place}: please report it.", file=sys.stderr, flush=True)
    raise SystemExit(1)


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("widesweep")


def print_anywhere() -> None:
    """Lets output reach a terminal that lacks our letters: λ becomes lambda, others an escape."""
    codecs.register_error("widesweep", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="widesweep")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return plain, error.end


def say(text: str, *, to_stderr: bool = False) -> None:
    """Prints lines for people; what a file, a store or a shell handed over cannot steer their terminal."""
    shown = "\n".join(map(printable, text.split("\n")))
    print(shown, file=sys.stderr if to_stderr else sys.stdout, flush=True)


def fail(message: str, code: int) -> NoReturn:
    """Ends a command with one message on standard error."""
    say(message, to_stderr=True)
    raise typer.Exit(code)


def print_json(content: dict[str, Any]) -> None:
    """Prints one JSON object on standard output; NaN and infinity become null."""
    print(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return (
        None
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))
        else value
    )
