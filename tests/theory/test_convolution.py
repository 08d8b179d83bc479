"""Convolutional kernels against fully connected ones, each other, and wide networks' explicit Jacobians."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from tests.theory.references import z_scores
from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.theory.activations import ERF, GELU, LINEAR, RELU, TANH, Activation, get
from widesweep.theory.convolution import image_pairs
from widesweep.theory.convolution.architecture import residual
from widesweep.theory.convolution.convolutional_kernels import (
    convolutional_kernels,
    everything,
    kernels_of,
)
from widesweep.theory.infinite_width.kernels import fully_connected_kernels
from widesweep.theory.infinite_width.resnet import resnet_kernels
from widesweep.workers.data import DataConfig, load

IMAGES = np.random.default_rng(5).standard_normal((3, 3, 4, 2)) / 2 + 0.3
OPTIONS = {"weight_variance": 1.7, "bias_variance": 0.2}


@pytest.mark.parametrize("activation", [RELU, ERF, GELU, LINEAR, TANH], ids=lambda a: a.name)
@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_one_pixel_is_a_fully_connected_network(activation: Activation, readout: str) -> None:
    """With a circular edge every filter sees the one pixel only; to 1e-12."""
    pixel = IMAGES[:, :1, :1]
    found = convolutional_kernels(pixel, 3, activation, **OPTIONS, padding="circular", readout=readout)
    gram = pixel[:, 0, 0] @ pixel[:, 0, 0].T
    expected = fully_connected_kernels(gram, 3, activation, **OPTIONS)
    assert np.allclose(found.nngp, expected.nngp, rtol=1e-12)
    assert np.allclose(found.ntk, expected.ntk(), rtol=1e-12)


@pytest.mark.parametrize("activation", [RELU, ERF, TANH], ids=lambda a: a.name)
@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_one_pixel_is_a_residual_network(activation: Activation, readout: str) -> None:
    """Du's convolutional residual network on one pixel is his residual network; to 1e-12."""
    pixel = IMAGES[:, :1, :1]
    architecture = residual(activation, 3, residual_scale=1.3, filter_size=1, readout=readout)
    nngp, (ntk,), _ = kernels_of(architecture, pixel, [everything(3)])
    expected = resnet_kernels(pixel[:, 0, 0] @ pixel[:, 0, 0].T, 3, activation, residual_scale=1.3)
    assert np.allclose(nngp, expected.nngp, rtol=1e-12)
    assert np.allclose(ntk, expected.ntk(), rtol=1e-12)


REFERENCE = json.loads(Path(__file__).with_name("neural_tangents_convolution.json").read_text())


@pytest.mark.parametrize("case", REFERENCE, ids=lambda c: "-".join(list(c.values())[:3]))
def test_digits_have_the_kernels_of_neural_tangents(case: dict) -> None:
    """Three digits, depth 2, C_W = 1.7, C_b = 0.1, by neural-tangents 0.6.5 in float64: to 1e-6.

    `benchmarks/peers/neural_tangents_convolution.py` computed the numbers, above the diagonal row by row.
    """
    images = 8.0 * load(DataConfig(samples=3)).x.reshape(3, 8, 8)
    options = {"weight_variance": 1.7, "bias_variance": 0.1}
    found = convolutional_kernels(
        images, 2, get(case["activation"]), padding=case["padding"], readout=case["readout"], **options
    )
    upper = np.triu_indices(3)
    assert np.allclose(found.nngp[upper], case["nngp"], rtol=1e-6)
    assert np.allclose(found.ntk[upper], case["ntk"], rtol=1e-6)


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_neither_blocks_nor_cores_change_a_kernel(readout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of images one by one, on two cores: the same to rounding as in one block."""
    images = np.random.default_rng(2).standard_normal((5, 3, 4, 1))
    architecture = residual(ERF, 2, readout=readout)
    whole = kernels_of(architecture, images, [everything(2)])
    monkeypatch.setattr(image_pairs, "BLOCK_ENTRIES", 1)
    parts = kernels_of(architecture, images, [everything(2)], threads=2)
    assert np.allclose(parts[0], whole[0], rtol=1e-13)
    assert np.allclose(parts[1], whole[1], rtol=1e-13)


def test_filters_of_one_pixel_make_fully_connected_networks_of_pixels() -> None:
    """q = 1, flatten: the kernels are the means over pixels of the fully connected ones."""
    found = convolutional_kernels(IMAGES, 2, RELU, **OPTIONS, filter_size=1)
    pixels = IMAGES.reshape(3, 12, 2)
    each = [fully_connected_kernels(pixels[:, p] @ pixels[:, p].T, 2, RELU, **OPTIONS) for p in range(12)]
    assert np.allclose(found.ntk, np.mean([kernels.ntk() for kernels in each], axis=0), rtol=EXACT)


def network_kernels(padding: str, readout: str, channels: int, depth: int, seed: int) -> np.ndarray:
    """Tangent kernel (n, n) of one finite ReLU network, by explicit Jacobians through scipy's convolution."""
    rng = np.random.default_rng(seed)
    mode = {"boundary": "fill" if padding == "zero" else "wrap", "mode": "same"}
    weight, bias, q = OPTIONS["weight_variance"], OPTIONS["bias_variance"], 3
    features, layers = np.moveaxis(IMAGES, 3, 1), []
    for h in range(depth):
        factor = np.sqrt(weight / (1 if h == 0 else channels)) / q
        filters = rng.standard_normal((channels, features.shape[1], q, q))
        z = np.sqrt(bias) * rng.standard_normal((1, channels, 1, 1)) + factor * np.array(
            [[sum(scipy.signal.correlate2d(f, w, **mode) for f, w in zip(x, k, strict=True)) for k in filters]
             for x in features]
        )  # fmt: skip
        layers.append((features, filters, factor, z))
        features = np.maximum(z, 0.0)
    count = features.shape[2] * features.shape[3]
    read = features.reshape(3, -1) if readout == "flatten" else features.mean(axis=(2, 3))
    last = np.sqrt(weight / (channels * count if readout == "flatten" else channels))
    v = rng.standard_normal(read.shape[1])
    kernel = last**2 * read @ read.T + bias
    back = np.broadcast_to(
        (last * v).reshape(channels, *features.shape[2:]) if readout == "flatten"
        else (last * v / count)[:, None, None], features.shape[1:]
    )  # fmt: skip
    back = np.broadcast_to(back, features.shape)
    for inputs, filters, factor, z in reversed(layers):
        back = back * (z > 0.0)
        by_bias = np.sqrt(bias) * back.sum(axis=(2, 3))
        padded = np.pad(inputs, ((0, 0), (0, 0), (1, 1), (1, 1)), "constant" if padding == "zero" else "wrap")
        rows, columns = inputs.shape[2:]
        by_weight = factor * np.array(
            [[np.einsum("chw,ihw->ci", back[i], padded[i, :, a : a + rows, b : b + columns])
              for a in range(q) for b in range(q)] for i in range(3)]
        ).reshape(3, -1)  # fmt: skip
        kernel = kernel + by_weight @ by_weight.T + by_bias @ by_bias.T
        back = factor * np.array(
            [[sum(scipy.signal.convolve2d(b, w, **mode) for b, w in zip(x, filters[:, c], strict=True))
              for c in range(inputs.shape[1])] for x in back]
        )  # fmt: skip
    return kernel


CROSSED = [("zero", "pool"), ("circular", "flatten")]


@pytest.mark.parametrize(
    ("padding", "readout"),
    [("zero", "flatten"), ("circular", "pool"), *(pytest.param(*c, marks=pytest.mark.slow) for c in CROSSED)],
)
def test_wide_networks_have_these_kernels(padding: str, readout: str) -> None:
    """The mean tangent kernel of 100 networks of 24 channels: 5 standard errors and a bias of order 1/m."""
    samples = np.stack([network_kernels(padding, readout, 24, 2, seed) for seed in range(100)])
    expected = convolutional_kernels(IMAGES, 2, RELU, **OPTIONS, padding=padding, readout=readout).ntk
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - expected) < MONTE_CARLO_SE * error + 3 / 24 * 0.1 * expected)
    other = "pool" if readout == "flatten" else "flatten"
    wrong = convolutional_kernels(IMAGES, 2, RELU, **OPTIONS, padding=padding, readout=other).ntk
    assert np.abs(z_scores(samples, wrong)).max() > MONTE_CARLO_SE


@pytest.mark.parametrize(
    "options",
    [{"filter_size": 2}, {"padding": "mirror"}, {"readout": "mean"}, {"weight_variance": 0.0}, {"depth": 0}],
)
def test_wrong_arguments_are_refused(options: dict) -> None:
    """Each is refused with a message that names it."""
    arguments = {"depth": 1, **OPTIONS, **options}
    with pytest.raises(ValueError, match=r"\w"):
        convolutional_kernels(IMAGES, activation=RELU, **arguments)
