"""Predictions for wide networks: arrays in, arrays out; imports nothing else of the project.

Conventions of every module: loss ½ Σ_i (f(x_i) − y_i)², summed and never averaged; tangent kernels summed
over parameters and divided by nothing; inputs of unit norm unless a function says otherwise; float64.
"""
