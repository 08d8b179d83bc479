"""How every command ends: its exit code, its one message, its one JSON object."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec

import typer

from widesweep.pipeline.errors import ClusterLostError, WidesweepError

P = ParamSpec("P")
INTERRUPTED = 130
_lost: list[ClusterLostError] = []  # what ended this process's command


def handle_errors(command: Callable[P, int | None]) -> Callable[P, None]:
    """Turns what a command returns or raises into its exit code, and an expected error into its message."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or 0
        except WidesweepError as error:
            if isinstance(error, ClusterLostError):
                _lost.append(error)
            fail(str(error), error.exit_code)
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


def leave_lost_cluster(error: SystemExit) -> NoReturn:
    """Ends the process as `error` says; at once where its cluster is lost, or Ray's threads would crash."""
    if _lost:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code if isinstance(error.code, int) else 1)
    raise error


def fail(message: str, code: int) -> NoReturn:
    """Ends a command with one message on standard error."""
    print(message, file=sys.stderr, flush=True)
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
