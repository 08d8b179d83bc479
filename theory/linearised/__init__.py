"""Training in the linearised model: trajectories, optimisers, predictions on new points."""
