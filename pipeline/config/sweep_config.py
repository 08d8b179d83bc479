"""A sweep's config: the rooms' own sections put together, read from YAML, hashed."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from widesweep.pipeline.config import images, inheritance, messages, overrides, plug_ins, shipped
from widesweep.pipeline.config.axes import AXES
from widesweep.pipeline.config.axes.axis import Axis
from widesweep.pipeline.config.compute import ComputeConfig
from widesweep.pipeline.config.grid import GridConfig
from widesweep.pipeline.config.plug_ins import Named, PlugIn
from widesweep.pipeline.config.region import Requested
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import InputError
from widesweep.theory.registry import last_line
from widesweep.workers.data import DataConfig
from widesweep.workers.measurements import DEFAULT, MEASUREMENTS, named, needs
from widesweep.workers.networks import FullyConnected, Module, NetworkConfig
from widesweep.workers.networks.module import AVAILABLE
from widesweep.workers.networks.network import OWN
from widesweep.workers.optimizers import CustomOptimizer, Training, TrainingConfig
from widesweep.workers.optimizers.rate_scale import mup_scale
from widesweep.workers.random_networks import STATISTICS, InitializationConfig

NOT_IN_HASH = ("name", "store", "compute")
MAXIMUM_CELLS = 100_000_000  # a byte of each cell's status is held in memory
MAXIMUM_STORED = 1 << 24  # characters of a store's config

Point = tuple[float, ...]


class SweepConfig(BaseModel):
    """Everything that defines a sweep.

    `hash` covers what changes a number; name, store and compute do not.

    Attributes:
        name: of the sweep.
        store: where results go, a URL such as s3://… or a path; a relative one starts from the working
            folder, `~` and `$VARIABLE` are expanded.
        seed: of all that is drawn; a cell's own seed comes on top.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    network: NetworkConfig
    data: DataConfig | None = None
    grid: GridConfig
    training: TrainingConfig | None = None
    initialization: InitializationConfig | None = None
    compute: ComputeConfig = ComputeConfig()
    store: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)] = 0

    def json_text(self) -> str:
        """The resolved config, every default written out, as canonical JSON."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of all that changes numbers, hexadecimal."""
        content = self.model_dump(mode="json", exclude=set(NOT_IN_HASH))
        return hashlib.sha256(_canonical(content).encode()).hexdigest()

    @property
    def named(self) -> list[Named]:
        """Names that may be plug-ins'."""
        found = []
        if isinstance(self.network, Module):
            found.append(Named("network.factory", "network", self.network.factory))
        elif isinstance(self.network.activation, str):
            found.append(Named("network.activation", "activation", self.network.activation))
        if isinstance(self.training, CustomOptimizer):
            found.append(Named("training.optimizer", "optimizer", self.training.optimizer))
        if self.training is not None and isinstance(self.training.loss, str):
            found.append(Named("training.loss", "loss", self.training.loss))
        if self.training is not None:
            found += [Named("training.measure", "measurement", name) for name in self.training.measure]
        return found

    @property
    def cells(self) -> int:
        """Cells of the grid: every combination of its axes; pairs of width and depth without training."""
        pairs = len(self.grid.width) * len(self.grid.depth)
        if self.training is None:
            return pairs
        points = math.prod(len(axis.values(self)) for axis in self.axes)
        return pairs * points * len(self.grid.seeds) * len(self.grid.learning_rates)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The grid's axes beside width, depth, seed and learning rate, outermost first."""
        return tuple(axis for axis in AXES.values() if axis.values(self))

    @property
    def points(self) -> list[Point]:
        """Every combination of values along `axes`; one, which is empty, where there are none."""
        return list(itertools.product(*(axis.values(self) for axis in self.axes)))

    def at(self, point: Point) -> SweepConfig:
        """The same sweep at one of `points`, and so without these axes."""
        config = self
        for axis, value in zip(self.axes, point, strict=True):
            config = axis.at(config, value)
        return config


@dataclass(frozen=True)
class SweepFile:
    """A config and where it came from.

    Attributes:
        config: the checked config.
        file: the file's name, for messages.
        base: the folder that relative data paths start from.
        requested: which cells of the grid are, once the sweep has been refined; None: all.
        plug_ins: what the config names that is not built in.
    """

    config: SweepConfig
    file: str
    base: Path
    requested: Requested | None = None
    plug_ins: tuple[PlugIn, ...] = ()

    def with_plug_ins(self) -> SweepFile:
        """The same with its plug-ins imported, as whatever computes needs them.

        Raises:
            InputError: one cannot be imported or breaks its interface, or has no critical C_W by itself.
        """
        found = plug_ins.load(self.config.named, self.base, self.file)
        network, training = self.config.network, self.config.training
        if isinstance(training, CustomOptimizer):
            try:
                _ = training.rule
            except Exception as error:
                where, wanted = f"{self.file}, training.options", "they are arguments of the optimiser"
                raise InputError(where, last_line(error), wanted) from None
        config = self.config
        if found:
            try:
                resolved = network.resolved()
            except ValueError as error:
                reason, wanted = str(error).rstrip(".").split("; ")
                raise InputError(f"{self.file}, network.weight_variance", reason, wanted) from None
            config = config.model_copy(update={"network": resolved})
        return replace(self, config=config, plug_ins=found)


def load(path: Path, assignments: Sequence[str] = ()) -> SweepFile:
    """Reads a config file or a shipped one and its bases, applies `--set` assignments, and checks the result.

    Raises:
        InputError: with the file, the key, what was found, what was wanted, and the next step.
    """
    path = shipped.file_of(path)
    raw, origins = inheritance.read(path)
    return _checked(raw, assignments, str(path), path.resolve().parent, path.stem, origins)


def of_sections(raw: dict[str, Any], assignments: Sequence[str] = ()) -> SweepFile:
    """The same of a config that is no file; its paths and modules start from the working folder."""
    return _checked(raw, assignments, "the config", Path.cwd(), "sweep")


def _checked(
    raw: dict[str, Any],
    assignments: Sequence[str],
    file: str,
    base: Path,
    name: str,
    origins: Mapping[str, str] | None = None,
) -> SweepFile:
    origins = {**overrides.apply(raw, assignments), **(origins or {})}
    raw.setdefault("name", name)
    if isinstance(raw["name"], str):
        raw.setdefault("store", f"results/{raw['name']}.zarr")
    config = _validated(raw, file, origins)
    config = config.model_copy(update={"store": expanded(config.store)})
    config = config.model_copy(update={"network": images.of_data(config.network, config.data, file, base)})
    sweep = SweepFile(config, file, base).with_plug_ins()
    _check_together(sweep.config, file)
    return sweep


def of_store(text: Any, url: str) -> SweepConfig:
    """The config that a store keeps, held to the rules of one that its user wrote: it may be a stranger's.

    Args:
        text: JSON, as the store's root has it.
        url: the store's address, for messages.

    Raises:
        InputError: it is no config, or one that no sweep can have.
    """
    where, model = f"{url}, its config", _model()
    if not isinstance(text, str) or len(text) > MAXIMUM_STORED:
        found = f"it has {len(text):,} characters" if isinstance(text, str) else "it is no text"
        raise InputError(where, found, "the config that `widesweep run` stored")
    try:
        config = model.model_validate_json(text)
    except ValidationError as error:
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raw = {}
        raise messages.translate(error, raw if isinstance(raw, dict) else {}, model, where, {}) from None
    _check_together(_of_built_ins(config), where)
    return config


def _of_built_ins(config: SweepConfig) -> SweepConfig:
    """The same with what is built in instead of its author's code, which reading a store never imports."""
    training, network = config.training, config.network
    if training is not None and any(map(is_a_reference, training.measure)):
        known = [name for name in training.measure if not is_a_reference(name)]
        training = training.model_copy(update={"measure": tuple(known) or DEFAULT})
    if is_a_reference(getattr(network, "activation", "")):
        network = network.model_copy(update={"activation": "relu"})
    return config.model_copy(update={"training": training, "network": network})


def is_a_reference(name: object) -> bool:
    """Whether a name is that of somebody's code, `package.module:Name`.

    >>> is_a_reference("my_lab:softplus"), is_a_reference("relu")
    (True, False)
    """
    return isinstance(name, str) and ":" in name


def _model() -> type[SweepConfig]:
    """The config with a key of `grid` for each axis that brings one."""
    keys: dict[str, Any] = {name: axis.key for name, axis in AXES.items() if axis.key is not None}
    if not keys:
        return SweepConfig
    grid = create_model("GridConfig", __base__=GridConfig, **keys)
    return create_model("SweepConfig", __base__=SweepConfig, grid=(grid, ...))


def differences(ours: SweepConfig, theirs_json: str) -> list[str]:
    """Key paths in which two configs differ, of those that the hash covers.

    >>> _differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}, "")
    ['a.b: 1, there 3']
    """
    try:
        theirs = json.loads(theirs_json)
    except ValueError:
        return []
    mine = ours.model_dump(mode="json")
    for key in NOT_IN_HASH:
        mine.pop(key, None)
        theirs.pop(key, None)
    return _differences(mine, theirs, "")


def _differences(ours: Any, theirs: Any, path: str) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [*ours, *(key for key in theirs if key not in ours)]
        return [
            line
            for key in keys
            for line in _differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if ours == theirs else [f"{path}: {_short(ours)}, there {_short(theirs)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _validated(raw: dict[str, Any], file: str, origins: dict[str, str]) -> SweepConfig:
    """Strict JSON rules for every section: a text is not a number, true is not 1, 8.0 is not a count."""
    model = _model()
    try:
        return model.model_validate_json(json.dumps(raw), strict=True, context={OWN: True})
    except ValidationError as error:
        raise messages.translate(error, raw, model, file, origins) from None


def _check_together(config: SweepConfig, file: str) -> None:
    """What no section can see alone."""
    if config.training is None and config.initialization is None:
        wanted = "a sweep trains, or samples networks at initialization, or both"
        raise InputError(file, "it has neither `training` nor `initialization`", wanted)
    if (cells := _cells(config)) > MAXIMUM_CELLS:
        wanted = f"a sweep has at most {MAXIMUM_CELLS:,}"
        raise InputError(f"{file}, grid", f"{cells:,} cells", wanted)
    if config.training is None and config.network.output_scales is not None:
        wanted = "an axis of α is one of training; give one number"
        raise InputError(f"{file}, network.output_scale", "it is a list and nothing trains", wanted)
    if config.grid.corrupted_fraction is not None:
        _check_fractions(config, f"{file}, grid.corrupted_fraction")
    if config.training is not None:
        for key, value in (
            ("data", config.data),
            ("grid.seed", config.grid.seed),
            ("grid.learning_rate", config.grid.learning_rate),
        ):
            if value is None:
                raise InputError(f"{file}, {key}", "it is missing", "training needs it")
    if config.initialization is not None and not config.network.samples_output:
        found = f"random networks of kind {config.network.kind}"
        raise InputError(f"{file}, initialization", found, "it samples fully connected kinds; leave it out")
    _check_initialization(config, file)
    if config.training is not None:
        _check_own_measurements(config.training, file)
        _check_layer_rates(config, file)
    if isinstance(config.network, Module) and config.training is not None:
        _check_module(config.training, file)
    if config.training is not None and config.data is not None:
        size = getattr(config.training, "batch_size", 1)
        if size > config.data.samples:
            found = f"{size} points in a batch"
            raise InputError(
                f"{file}, training.batch_size", found, f"at most data.samples, {config.data.samples}"
            )
        if not config.data.test_samples and "test_outputs" in needs(config.training.measure):
            raise InputError(f"{file}, data.test_samples", "found 0", "test points to measure on")
    depths = config.network.allowed_depths()
    for depth in config.grid.depth:
        if depths is not None and depth not in depths:
            allowed = " or ".join(str(each) for each in depths)
            found = f"{depth} is not a depth of {config.network.kind}"
            raise InputError(f"{file}, grid.depth", found, f"its depth is {allowed}")


def _check_own_measurements(training: Training, file: str) -> None:
    """What measurements of one's own need of the training, and names that are others'."""
    if wrong := training.meaningless(training.measure):
        found = f"{', '.join(wrong)} of a training in which {training.unpredicted}"
        raise InputError(f"{file}, training.measure", found, "leave it out")
    counted = Counter(["learning_rate_absolute", *(variable.name for variable in training.variables)])
    twice = [name for name, count in counted.items() if count > 1]
    if twice:
        found = f"{', '.join(twice)} would be the variable of two measurements"
        raise InputError(f"{file}, training.measure", found, "choose another name for your own")


def _check_layer_rates(config: SweepConfig, file: str) -> None:
    """Rates of single layers, of networks whose layers are known."""
    scale = getattr(config.training, "learning_rate_scale", None)
    where = f"{file}, training.learning_rate_scale"
    if scale is not None and isinstance(config.network, Module):
        raise InputError(where, "it is there, and a module's layers are its own", "leave it out")
    if scale == "mup":
        if config.training is None or config.training.optimizer not in ("adam", "adamw"):
            raise InputError(where, "mup, which is a table of Adam's", "take adam or adamw, or numbers")
        try:
            mup_scale(config.network)
        except ValueError as error:
            raise InputError(where, str(error), "give first, hidden and output") from None


def _cells(config: SweepConfig) -> int:
    """Cells of the grid; without training, pairs of width and depth."""
    grid = config.grid
    pairs = len(grid.width) * len(grid.depth)
    if config.training is None:
        return pairs
    further = math.prod(len(axis.values(config)) for axis in config.axes)
    return pairs * further * max(1, len(grid.seeds)) * max(1, len(grid.learning_rates))


def _check_module(training: Training, file: str) -> None:
    """What training needs of theory, or of layers, a module has not."""
    if training.learning_rate_unit != "absolute":
        found = (
            f"{training.learning_rate_unit}, and a module has no kernel of infinite width to be relative to"
        )
        raise InputError(f"{file}, training.learning_rate_unit", found, "write absolute")
    lacks = [name for name in training.measure if not set(named(name).needs) <= AVAILABLE]
    if lacks:
        has = [name for name, each in MEASUREMENTS.items() if set(each.needs) <= AVAILABLE]
        found = f"{', '.join(lacks)} on a module, whose layers are its own"
        raise InputError(f"{file}, training.measure", found, f"a module has {', '.join(has)}")


def _check_fractions(config: SweepConfig, where: str) -> None:
    """Labels are what trains; one section says how many are corrupted; one axis beside the usual four."""
    if config.training is None:
        raise InputError(where, "it is there and nothing trains", "an axis of labels is one of training")
    if config.data is not None and config.data.corrupted_fraction:
        found = f"data.corrupted_fraction is {config.data.corrupted_fraction:g} beside it"
        raise InputError(where, found, "give one of the two")
    if config.network.output_scales is not None:
        found = "network.output_scale is a list beside it"
        raise InputError(where, found, "one of the two is an axis of the grid; the other is one number")


def _check_initialization(config: SweepConfig, file: str) -> None:
    """What the measurements on random networks need of network and data."""
    settings = config.initialization
    for name in settings.measure if settings is not None else ():
        measurement, where = STATISTICS[name], f"{file}, initialization.measure"
        if not measurement.any_network and not isinstance(config.network.sampled_as, FullyConnected):
            found = f"{name} on a network of kind {config.network.kind}"
            raise InputError(where, found, "it is measured on fully connected networks alone")
        if measurement.needs_points and config.data is None:
            raise InputError(
                where, f"{name} without data", "its inputs are those of `data`; add that section"
            )
        if name == "joint_cumulants" and config.data is not None and settings is not None:
            last = max(settings.points)
            if last >= config.data.samples:
                found = f"point {last} of {config.data.samples} training points"
                raise InputError(f"{file}, initialization.points", found, "points are counted from 0")
