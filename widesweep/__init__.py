"""Trains grids of wide neural networks and says whether the laws of wide networks hold on them."""
