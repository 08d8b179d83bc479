"""What can be said of a sweep before it runs: its size and time, and what theory predicts."""

from __future__ import annotations

from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Config, Json, Settings
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.errors import InputError


@handle_errors
def plan(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[
        int, typer.Option("--gpus", min=0, help="Also forecast wall time and idle share on so many GPUs.")
    ] = 0,
    json: Json = False,
) -> None:
    """Forecast cells, blocks, FLOPs, memory, bytes and wall time. Runs nothing."""
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.execution import callbacks
    from widesweep.pipeline.plan import data as data_source
    from widesweep.pipeline.plan import forecast
    from widesweep.pipeline.plan.blocks import check_memory
    from widesweep.pipeline.predict import check

    sweep = configs.load(config, settings or ())
    callbacks.classes(sweep.config.compute.callbacks, sweep.base, sweep.file)
    _warn(check.check(sweep, data_source.load_data(sweep)))
    compute = sweep.config.compute
    made = data_source.make_plan(sweep, compute.cores)
    check_memory(made, sweep.file, compute.memory_bytes)
    found = forecast.forecast(made, data_source.make_plan(sweep, compute.cores, gpus=gpus) if gpus else None)
    places = data_source.places(sweep)
    if json:
        print_json({**found, **places})
        return
    say(
        "\n".join(
            [forecast.lines(found), *(f"  {name + ' at':<12}{place}" for name, place in places.items())]
        )
    )


@handle_errors
def theory(config: Config, settings: Settings = None, json: Json = False) -> None:
    """Print what theory predicts for a config. Trains nothing."""
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.execution import callbacks
    from widesweep.pipeline.plan import data as data_source
    from widesweep.pipeline.predict import check, tables

    sweep = configs.load(config, settings or ())
    callbacks.classes(sweep.config.compute.callbacks, sweep.base, sweep.file)
    if not sweep.config.network.has_limit:
        reason, wanted = "a module has no kernel of infinite width", "theory speaks of the built-in kinds"
        raise InputError(f"{sweep.file}, network.kind", reason, wanted)
    data = data_source.load_data(sweep)
    _warn(check.check(sweep, data))
    with check.refused_by_theory(sweep):
        found = tables.predictions(sweep.config, data)
    print_json(found) if json else say(tables.text(sweep.config, found))


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        say(warning, to_stderr=True)
