"""What `import widesweep as ws` offers: run, plan, open, analyze, report, refine, register, and a `Sweep`.

Errors are those that the command prints, as exceptions.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widesweep.pipeline.config import plug_ins
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


NAMED_KINDS = ("activation", "network", "loss", "measurement")


class Sweep:
    """A store, finished or under way: its groups as xarray, opened lazily, and its laws.

    Attributes:
        url: the store's address.
    """

    def __init__(self, url: str | Path, laws: Iterable[Any] = ()) -> None:
        """Opens nothing yet.

        Args:
            url: the store.
            laws: laws of one's own, as `analyze` takes them.
        """
        self.url = expanded(str(url))
        self._own_laws = tuple(laws)

    @property
    def tree(self) -> xr.DataTree:
        """All groups.

        Raises:
            NotASweep: there is no store.
        """
        from widesweep import analysis

        return analysis.open_sweep(self.url)

    def __getattr__(self, group: str) -> xr.Dataset:
        """A group: training, initialization, theory, fits."""
        if group.startswith("_") or group not in (tree := self.tree).children:
            raise AttributeError(f"{type(self).__name__} has no group {group!r}")
        return tree[group].to_dataset()

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config."""
        found: dict[str, Any] = json.loads(self.tree.attrs["config"])
        return found

    @property
    def laws(self) -> pd.DataFrame:
        """A row for each law: slope, its 95 % interval, what theory allows, and the verdict."""
        import pandas as pd

        from widesweep import analysis

        found = analysis.examine(self.url, laws=self._own_laws).laws
        return pd.DataFrame.from_dict(found, orient="index").rename_axis("law")

    def __repr__(self) -> str:
        """Its address."""
        return f"Sweep({self.url!r})"

    def _repr_html_(self) -> str:
        """The table of verdicts, and each law's figure."""
        from widesweep import analysis
        from widesweep.analysis.report import figures

        found = analysis.examine(self.url, laws=self._own_laws)
        pictures = [
            f'<img alt="{html.escape(law.title)}" src="data:image/png;base64,{picture}">'
            for law in found.law_results
            if (picture := _png(figures.draw(law)))
        ]
        return self.laws.drop(columns=["note", "regime"]).to_html() + "".join(pictures)


def _png(figure: Any) -> str:
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def run(
    config: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    address: str | None = None,
    scheduler: str | None = None,
    **sections: Any,
) -> Sweep:
    """Run a sweep, or resume it: the same call again computes what is missing.

    Args:
        config: a YAML file; or give its sections by name, such as `network={…}, grid={…}, training={…}`.
        set: values to replace, by key, such as `{"grid.seed": 4}`.
        store: where results go; default: the config's.
        address: a Ray cluster's; default: this machine.
        scheduler: `ray`, or `local`; default: by the forecast.
        sections: a config without a file. Modules of one's own are looked for in the working folder.

    Returns:
        The sweep.

    Raises:
        InputError: the config, the data or the store is not what it must be; nothing was written.
        Interrupted: a signal stopped the run; what was finished is stored.
    """
    from widesweep.pipeline.execution.driver import run as run_sweep
    from widesweep.pipeline.plan import scheduling

    sweep = _loaded(config, set, sections)
    url = expanded(str(store)) if store is not None else sweep.config.store
    run_sweep(sweep, url, address, scheduler=scheduling.named(scheduler))
    return Sweep(url)


def plan(
    config: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    **sections: Any,
) -> dict[str, Any]:
    """Forecast of a sweep, as `widesweep plan --json` prints it. Runs nothing.

    Args:
        config: as for `run`.
        set: as for `run`.
        sections: as for `run`.

    Raises:
        InputError: the config or the data is not what it must be.
    """
    from widesweep.pipeline.plan import forecast
    from widesweep.pipeline.plan.data import make_plan

    sweep = _loaded(config, set, sections)
    return forecast.forecast(make_plan(sweep, sweep.config.compute.cores), None)


def open(store: str | Path) -> Sweep:
    """A store that is there already; works while a run fills it.

    Args:
        store: its path or address.

    Raises:
        NotASweep: there is none.
    """
    sweep = Sweep(store)
    _ = sweep.tree
    return sweep


def analyze(sweep: str | Path | Sweep, laws: Iterable[Any] = ()) -> Sweep:
    """Fit the laws and write them into the store.

    Args:
        sweep: the sweep or its store.
        laws: laws of one's own: objects or functions, or `package.module:Name`.

    Returns:
        The sweep, whose `laws` have yours among them.

    Raises:
        NotASweep: there is no store.
        PlugInError: a law of one's own cannot be imported, or raises.
    """
    from widesweep import analysis
    from widesweep.pipeline.store import claim

    own, url = _own(laws), _url(sweep)
    found = analysis.examine(url, laws=own)
    with claim.brief(url) as alone:
        analysis.write(url, found, consolidate=alone)
    return Sweep(_url(sweep), own)


def report(sweep: str | Path | Sweep, output: str | Path | None = None, laws: Iterable[Any] = ()) -> Path:
    """Write one HTML page about a sweep, and each figure as PNG and PDF.

    Args:
        sweep: the sweep or its store; one that `analyze` gave has the laws that it was given.
        output: folder; default: beside the store.
        laws: laws of one's own, as for `analyze`.

    Returns:
        The page.
    """
    from widesweep.analysis.report import page

    own = _own(laws) or (sweep._own_laws if isinstance(sweep, Sweep) else ())  # noqa: SLF001  (its own room)
    return page.write(_url(sweep), None if output is None else Path(output), laws=own)


def refine(
    sweep: str | Path | Sweep,
    *,
    laws: Iterable[str] = (),
    interval: float | None = None,
    budget: str | None = None,
    address: str | None = None,
) -> Sweep:
    """Add the cells that narrow a law's interval fastest, as `widesweep refine` does.

    Args:
        sweep: the sweep or its store.
        laws: names of laws to tighten; default: all that can be.
        interval: length wanted of each 95 % interval.
        budget: core time to spend, such as `30m`.
        address: a Ray cluster's; default: this machine.
    """
    from widesweep.pipeline import refine as refining
    from widesweep.pipeline.refine import goal

    refining.refine(
        _url(sweep), goal.parse(list(laws) or None, interval, budget, dry_run=False), address, dry_run=False
    )
    return Sweep(_url(sweep))


def register(kind: str, name: str, thing: Any) -> Any:
    """Give a thing of one's own a name that configs can use in this process.

    Args:
        kind: `activation`, `network`, `loss` or `measurement`.
        name: as configs will give it.
        thing: `package.module:Name`, or a function of a module, which workers can import as well.

    Returns:
        The thing.

    Raises:
        InputError: the kind is none, the name is built in, or workers could not import the thing.
    """
    if kind not in NAMED_KINDS:
        found = "it is no kind of which configs know short names"
        raise InputError(f"register {kind}", found, f"such a kind is {', '.join(NAMED_KINDS)}")
    reference = thing if isinstance(thing, str) else _reference(thing)
    try:
        plug_ins.REGISTRIES[kind].register(name, reference)
    except ValueError as error:
        raise InputError(f"register {kind} {name}", *str(error).split("; ")) from None
    return thing


def _reference(thing: Any) -> str:
    module, name = getattr(thing, "__module__", "__main__"), getattr(thing, "__qualname__", "")
    if module == "__main__" or not name or "<" in name:
        found = f"{thing!r} is of no module that workers could import"
        raise InputError("register", found, "write it in a file and give its name, such as my_lab:make")
    return f"{module}:{name}"


def _loaded(
    config: str | Path | None, changes: Mapping[str, Any] | None, sections: Mapping[str, Any]
) -> configs.SweepFile:
    assignments = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]
    if config is not None and sections:
        raise InputError(str(config), f"{', '.join(sections)} beside it", "give a file, or sections")
    if config is not None:
        return configs.load(Path(config), assignments)
    return configs.of_sections(json.loads(json.dumps(dict(sections))), assignments)


def _own(laws: Iterable[Any]) -> tuple[Any, ...]:
    """Laws, those given by name imported, from the working folder first."""
    from widesweep.analysis.laws import OWN_LAWS

    return tuple(
        plug_ins.imported(OWN_LAWS, law, Path.cwd()) if isinstance(law, str) else law for law in laws
    )


def _url(sweep: str | Path | Sweep) -> str:
    return sweep.url if isinstance(sweep, Sweep) else expanded(str(sweep))
