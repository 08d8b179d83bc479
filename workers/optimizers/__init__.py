"""The optimisers that a config can name; a new one is a file here and a member of `TrainingConfig`."""

from workers.optimizers.base import Training, recorded_steps
from workers.optimizers.gd import GradientDescent

TrainingConfig = GradientDescent

__all__ = ["GradientDescent", "Training", "TrainingConfig", "recorded_steps"]
