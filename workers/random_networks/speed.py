"""What a draw costs on one CPU core: stated constants, measured once with NumPy's own generators."""

from __future__ import annotations

from widesweep.workers.networks.network import Network

SCALE_INVARIANT_S = 110e-9  # a binomial and a gamma number: one layer of one draw, at any width
NEURON_S = {"tanh": 18e-9, "erf": 28e-9, "gelu": 50e-9}  # a normal number and σ of it
PIECEWISE_LINEAR_S, OWN_S = 15e-9, 50e-9  # one's own: as the slowest
FEW_DRAWS, MANY_DRAWS = 2**16, 2**22  # draws of a part: seconds of work, and few parts at 10⁹ draws


def neuron_s(network: Network) -> float:
    """Seconds of one neuron of one draw.

    >>> from widesweep.workers.networks import FullyConnected
    >>> neuron_s(FullyConnected(activation="tanh"))
    1.8e-08
    """
    other = PIECEWISE_LINEAR_S if network.activation_object().slopes is not None else OWN_S
    return NEURON_S.get(str(network.activation), other)
