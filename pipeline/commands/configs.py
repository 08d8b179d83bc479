"""Configs to begin with, and what one of them resolves to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Config, Json, Settings
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.errors import InputError


@handle_errors
def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A config that ships with widesweep.", show_default=False),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the configs that ship, and write none.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="The file to write; default: NAME.yaml, or sweep.yaml."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a commented config to start from, or a copy of one that ships."""
    from widesweep.pipeline.config import shipped

    if listed:
        found = shipped.names()
        print_json(found) if json else say("\n".join(f"{key:<20} {found[key]}" for key in found))
        return
    text = shipped.starter() if name is None else shipped.example(name).read_text(encoding="utf-8")
    target = output or Path(f"{name or 'sweep'}.yaml")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        wanted = "choose another name with --output"
        raise InputError(str(target), "it is there already", wanted, "Nothing was written.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(str(target), reason, "init needs a place to write", "Nothing was written.") from None
    print_json({"config": str(target)}) if json else print(f"{target}\nnext: widesweep plan {target}")


@handle_errors
def config(config: Config, settings: Settings = None, json: Json = False) -> None:
    """Print the resolved config: bases merged, values replaced, defaults filled in."""
    import yaml

    from widesweep.pipeline.config import sweep_config as configs

    sweep = configs.load(config, settings or ())
    content = sweep.config.model_dump(mode="json", exclude_none=True)
    if json:
        print_json(content)
        return
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    print(f"# {sweep.file}, resolved; hash {sweep.config.hash}\n{text}", end="")
