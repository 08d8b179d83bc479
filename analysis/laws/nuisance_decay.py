"""The residual's nuisance part falls at most as fast as the mode at the cut-off."""

from __future__ import annotations

import numpy as np

from widesweep.analysis.laws.kinds.subspace_decay import SubspaceDecay

READS = ("training/residual_nuisance_norm", "training/ntk_max_eigenvalue")

LAW = SubspaceDecay("nuisance", (-np.inf, 1.0))
