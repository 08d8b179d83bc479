"""What theory cannot say of a config, found on two of its points before anything starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from widesweep.pipeline.config.sweep_config import SweepConfig, SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.plan.data import at, input_error
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.predict.limits import Limits
from widesweep.workers.data import Data, DataError

LEAST, LARGEST = 1e-150, 1e150  # kernels, and what training makes of them, are squared


def check(sweep: SweepFile, data: Data | None) -> list[str]:
    """Refuses a sweep whose kernels or learning rates leave float64; warns where networks must diverge.

    All inputs have unit norm, so that kernels of two points are of the size of those of all, and their
    λ_max is at most that of all: what diverges on them diverges.

    Args:
        sweep: the config and its file.
        data: its training points, or None.

    Returns:
        Warnings, one for each learning rate at which no wide network can converge.

    Raises:
        InputError: names the key, what theory says of it, and what would do.
    """
    network = sweep.config.network
    with refused_by_theory(sweep):
        if network.has_limit:
            network.layers(1, sweep.config.grid.depth[0], 2)  # whose variances may be critical ones
    if data is None:
        return []
    for point in sweep.config.points if sweep.config.training is not None else ():
        try:
            at(data, sweep.config, point)
        except DataError as error:
            raise input_error(error, sweep.file, "grid") from None
    if not network.has_limit:
        return []
    few = replace(data, x=data.x[:2], y=data.y[:2], index=data.index[:2])
    warnings = []
    for point in sweep.config.points:
        warnings += _check_variant(sweep, sweep.config.at(point), few)
    return list(dict.fromkeys(warnings))


@contextlib.contextmanager
def refused_by_theory(sweep: SweepFile) -> Iterator[None]:
    """What theory refuses while the context lasts, as an input error; numpy says nothing by itself."""
    try:
        with np.errstate(all="ignore"):
            yield
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        if hasattr(error, "exit_code"):
            raise
        found = f"theory cannot follow this network ({str(error).rstrip('.').partition('; ')[0]})"
        raise InputError(f"{sweep.file}, network", found, "wanted: scales nearer to 1") from None


def _check_variant(sweep: SweepFile, config: SweepConfig, few: Data) -> list[str]:
    with refused_by_theory(sweep):
        values = prediction.kernels(config, few, Limits(few.x))
    sizes = values["infinite_ntk"].max(axis=(1, 2))
    for depth, size in zip(config.grid.depth, sizes.tolist(), strict=True):
        if not LEAST <= size <= LARGEST:
            found = f"its tangent kernel at depth {depth} is {size:.3g}"
            wanted = f"kernels of {LEAST:g} to {LARGEST:g}; take scales nearer to 1, or less depth"
            raise InputError(f"{sweep.file}, network", found, wanted)
    return _check_rates(sweep, config, values["lambda_max"]) if config.training is not None else []


def _check_rates(sweep: SweepFile, config: SweepConfig, lambda_max: np.ndarray) -> list[str]:
    """Rates that are no number; and those that even λ_max of two points makes diverge at every depth."""
    assert config.training is not None
    with np.errstate(all="ignore"):
        rates = prediction.absolute_rates(config, lambda_max)
        effective = prediction.effective_rates(config, rates)[1]
        products = effective * lambda_max[:, None]
    warnings = []
    for k, rate in enumerate(config.grid.learning_rates):
        if not (np.isfinite(products[:, k]).all() and (products[:, k] > 0).all()):
            found = f"{rate:g} times the kernel is beyond float64"
            raise InputError(f"{sweep.file}, grid.learning_rate", found, "wanted: numbers nearer to 1")
        with np.errstate(all="ignore"):
            decays = [
                config.training.rate_per_step(np.array([largest]), float(eta))
                for largest, eta in zip(lambda_max, effective[:, k], strict=True)
            ]
        if max(decays) < 0.0 and not config.training.unpredicted:
            found = f"grid.learning_rate: {rate:g} makes wide networks diverge at every depth"
            warnings.append(f"{sweep.file}, {found}; η λ_max is {products[:, k].min():.3g} or more.")
    return warnings
