"""Kernels, their recursions in depth, and criticality in the limit of infinite width."""
