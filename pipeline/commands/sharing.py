"""Stores among others: written in other formats, listed, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import StoreUrl
from widesweep.pipeline.commands.checked_store import check_store, damage_told
from widesweep.pipeline.commands.endings import handle_errors
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import InputError


@handle_errors
def export(
    store: StoreUrl,
    to: Annotated[
        str,
        typer.Option("--to", metavar="csv|netcdf|parquet", help="The format.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="Folder of the tables, or NetCDF file; default: beside the store.",
        ),
    ] = None,
) -> None:
    """Write a store as tables (csv, parquet) or as one file of all groups (netcdf).

    Examples:

      widesweep export results/demo.zarr --to csv

      widesweep export s3://bucket/demo.zarr --to netcdf --output demo.nc
    """
    from widesweep.analysis.export import FORMATS

    if to not in FORMATS:
        raise InputError(
            f"--to {to}", "it is no format", f"it is {', '.join(FORMATS)}", "Nothing was written."
        )
    store = expanded(store)
    check_store(store)
    try:
        with damage_told(store):
            print(*FORMATS[to](store, output), sep="\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--output {error.filename}", reason, "export needs a place to write") from None
