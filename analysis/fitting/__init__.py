"""Estimates with uncertainty: power laws, decay rates, extrapolation to infinite width."""
