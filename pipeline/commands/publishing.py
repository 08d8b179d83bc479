"""Published results, regenerated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Json
from widesweep.pipeline.commands.endings import handle_errors, print_json


@handle_errors
def gallery(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The result to regenerate.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Regenerate every result.")] = False,
    small: Annotated[bool, typer.Option("--small", help="Smaller sweeps, for a quick look.")] = False,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder of the stores and the pages.")
    ] = Path("results/gallery"),
    json: Json = False,
) -> int:
    """Regenerate a published result with its interval, its figure and its failing control, or list them."""
    from widesweep.pipeline.gallery.catalogue import entries, named

    if name is None and not everything:
        listed = {entry.name: entry.title for entry in entries()}
        print_json(listed) if json else print(*(f"{key:<22} {listed[key]}" for key in listed), sep="\n")
        return 0
    from widesweep.pipeline.gallery import page
    from widesweep.pipeline.gallery.reproduction import reproduce

    found = []
    for entry in entries() if name is None else [named(name)]:
        found.append(reproduce(entry, output, entry.small if small else ()))
        if not json:
            print(found[-1].text(), flush=True)
    path = page.write(found, output)
    print_json({one.entry.name: one.json_object() for one in found}) if json else print(path)
    return int(not all(one.as_published for one in found))
