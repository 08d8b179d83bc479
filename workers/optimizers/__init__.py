"""The optimisers that a config can name; a new one is a file here and a member of `TrainingConfig`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from widesweep.workers.optimizers.adam import Adam, AdamW
from widesweep.workers.optimizers.custom_optimizer import CustomOptimizer
from widesweep.workers.optimizers.gd import GradientDescent
from widesweep.workers.optimizers.gradient_flow import GradientFlow
from widesweep.workers.optimizers.langevin import Langevin
from widesweep.workers.optimizers.momentum import Momentum
from widesweep.workers.optimizers.nesterov import Nesterov
from widesweep.workers.optimizers.optimizer import Training, recorded_steps
from widesweep.workers.optimizers.sgd import StochasticGradientDescent
from widesweep.workers.optimizers.stepper import Stepper

OWN = "package.module:Name"


def optimizer(section: Any) -> Any:
    """Which optimiser a section `training` names; gradient descent where it names none.

    >>> optimizer({"steps": 10})
    'gd'
    """
    found = (
        section.get("optimizer", "gd") if isinstance(section, dict) else getattr(section, "optimizer", "gd")
    )
    return OWN if ":" in str(found) else str(found)


TrainingConfig = Annotated[
    Annotated[GradientDescent, Tag("gd")]
    | Annotated[StochasticGradientDescent, Tag("sgd")]
    | Annotated[Nesterov, Tag("nesterov")]
    | Annotated[Langevin, Tag("langevin")]
    | Annotated[GradientFlow, Tag("gradient_flow")]
    | Annotated[Momentum, Tag("momentum")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[CustomOptimizer, Tag(OWN)],
    Discriminator(optimizer),
]

__all__ = [
    "Adam",
    "AdamW",
    "CustomOptimizer",
    "GradientDescent",
    "GradientFlow",
    "Langevin",
    "Momentum",
    "Nesterov",
    "Stepper",
    "StochasticGradientDescent",
    "Training",
    "TrainingConfig",
    "recorded_steps",
]
