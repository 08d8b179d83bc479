"""What is measured on random networks; a new measurement is a file here and a line in `STATISTICS`.

A config names those it wants in `initialization.measure`; what is not named is neither drawn nor stored.
Importing this loads no torch.
"""

from __future__ import annotations

from widesweep.workers.random_networks.statistics import (
    cumulants,
    hessian_norm,
    input_gradient,
    joint_cumulants,
    kernel_depth,
    ntk_diagonal,
    output_covariance,
)

_MODULES = (
    cumulants,
    output_covariance,
    joint_cumulants,
    input_gradient,
    ntk_diagonal,
    hessian_norm,
    kernel_depth,
)
STATISTICS = {module.__name__.rpartition(".")[2]: module.MEASUREMENT for module in _MODULES}
DEFAULT = ("cumulants",)
