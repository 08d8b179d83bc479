"""The residual's information part falls at least as fast as the mode at the cut-off."""

from __future__ import annotations

import numpy as np

from widesweep.analysis.laws.kinds.subspace_decay import SubspaceDecay

READS = ("training/residual_information_norm", "training/ntk_max_eigenvalue")

LAW = SubspaceDecay("information", (1.0, np.inf))
