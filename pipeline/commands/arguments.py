"""Arguments and options that several commands share, so that one word means the same in each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="A sweep's config: a YAML file, or the name of one that ships.",
        show_default=False,
    ),
]
StoreUrl = Annotated[
    str,
    typer.Argument(metavar="STORE", help="A sweep's store: a path or a URL.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value, such as grid.seed=4, or all those in a file: @FILE. Repeatable.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="RAY",
        envvar="RAY_ADDRESS",
        callback=lambda address: None if address == "local" else address,
        help="A Ray cluster; default: this machine, which `local` means too.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say how long each stage took.")]
OwnLaws = Annotated[
    list[str] | None,
    typer.Option(
        "--law", metavar="MODULE:NAME", help="A law of your own, of a module here or installed. Repeatable."
    ),
]
