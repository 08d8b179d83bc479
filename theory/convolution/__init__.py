"""Kernels of infinitely wide convolutional networks."""
