"""The optimisers that a config can name; a new one is a file here and a member of `TrainingConfig`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from widesweep.workers.optimizers.gd import GradientDescent
from widesweep.workers.optimizers.gradient_flow import GradientFlow
from widesweep.workers.optimizers.langevin import Langevin
from widesweep.workers.optimizers.nesterov import Nesterov
from widesweep.workers.optimizers.optimizer import Stepper, Training, recorded_steps
from widesweep.workers.optimizers.sgd import StochasticGradientDescent


def optimizer(section: Any) -> Any:
    """Which optimiser a section `training` names; gradient descent where it names none.

    >>> optimizer({"steps": 10})
    'gd'
    """
    found = (
        section.get("optimizer", "gd") if isinstance(section, dict) else getattr(section, "optimizer", "gd")
    )
    return found if isinstance(found, str) else str(found)


TrainingConfig = Annotated[
    Annotated[GradientDescent, Tag("gd")]
    | Annotated[StochasticGradientDescent, Tag("sgd")]
    | Annotated[Nesterov, Tag("nesterov")]
    | Annotated[Langevin, Tag("langevin")]
    | Annotated[GradientFlow, Tag("gradient_flow")],
    Discriminator(optimizer),
]

__all__ = [
    "GradientDescent",
    "GradientFlow",
    "Langevin",
    "Nesterov",
    "Stepper",
    "StochasticGradientDescent",
    "Training",
    "TrainingConfig",
    "recorded_steps",
]
