"""MNIST and CIFAR-10 are read from the files that their makers publish."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from widesweep.workers.data import DataConfig, DataError, dimensions, image_shape, load

RANDOM = np.random.default_rng(0)
DIGITS = RANDOM.integers(0, 256, (7, 5, 4), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.uint8)
COLOURS = RANDOM.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def mnist(folder: Path, *, packed: bool) -> str:
    """Writes images and labels as MNIST has them; the images' path."""
    for name, array in (("train-images-idx3-ubyte", DIGITS), ("train-labels-idx1-ubyte", LABELS)):
        content = gzip.compress(idx(array)) if packed else idx(array)
        (folder / (name + ".gz" * packed)).write_bytes(content)
    return str(folder / ("train-images-idx3-ubyte" + ".gz" * packed))


def cifar(folder: Path) -> None:
    """Writes two batches of three as CIFAR-10's binary version has them."""
    for k in (0, 1):
        part = slice(3 * k, 3 * k + 3)
        pixels = np.moveaxis(COLOURS[part], -1, 1).reshape(3, -1)
        records = np.concatenate([LABELS[part, None], pixels], axis=1)
        (folder / f"data_batch_{k + 1}.bin").write_bytes(records.tobytes())


def unit(images: np.ndarray) -> np.ndarray:
    rows = images.reshape(len(images), -1).astype(float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_images_to_networks_that_take_them_and_rows_to_others(tmp_path: Path, packed: bool) -> None:
    """The same numbers either way, packed or not; labels lie in the file beside."""
    config = DataConfig(source=mnist(tmp_path, packed=packed), samples=5, normalize="unit")
    assert image_shape(config) == (5, 4)
    for images in (False, True):
        assert dimensions(config, images=images).inputs == 20
        data = load(config, images=images)
        np.testing.assert_allclose(data.x, unit(DIGITS)[data.index])
        np.testing.assert_array_equal(data.y, LABELS[data.index])


def test_cifar_is_read_as_a_folder_or_a_file_channels_last(tmp_path: Path) -> None:
    """All batches of a folder in their order; a single batch is a source too."""
    cifar(tmp_path)
    config = DataConfig(source=str(tmp_path), samples=6, normalize="unit", labels="class")
    assert image_shape(config) == (32, 32, 3)
    assert dimensions(config, images=True).outputs == len(set(LABELS[:6].tolist()))
    data = load(config, images=True)
    np.testing.assert_allclose(data.x, unit(COLOURS)[data.index])
    one = load(DataConfig(source=str(tmp_path / "data_batch_2.bin"), samples=3, normalize="unit"))
    np.testing.assert_allclose(one.x, unit(COLOURS[3:])[one.index])


def test_damaged_and_missing_files_are_told(tmp_path: Path) -> None:
    """Labels that are not there, a file cut short, a batch of another size, a file of something else."""
    path = Path(mnist(tmp_path, packed=False))
    config = DataConfig(source=str(path), samples=2)
    path.write_bytes(idx(DIGITS)[:-1])
    with pytest.raises(DataError, match="less or more"):
        load(config)
    path.write_bytes(b"no digits")
    with pytest.raises(DataError, match="no IDX"):
        load(config)
    path.write_bytes(idx(DIGITS))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load(config)
    (tmp_path / "test_batch.bin").write_bytes(b"0" * 100)
    with pytest.raises(DataError, match="3,073"):
        load(DataConfig(source=str(tmp_path / "test_batch.bin"), samples=2))
