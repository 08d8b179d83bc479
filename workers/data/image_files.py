"""Sets of images in the files that their makers publish: MNIST's IDX, and CIFAR-10's binary batches."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from widesweep.workers.data.data_config import DataError

NUMBERS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CIFAR_IMAGE, CIFAR_BATCHES = (3, 32, 32), "data_batch_*.bin"
CIFAR_RECORD = 1 + math.prod(CIFAR_IMAGE)
WANTED = "MNIST's files as they are published, images and labels beside each other"


def is_image_file(path: Path) -> bool:
    """Whether a path is named as such files are.

    >>> is_image_file(Path("train-images-idx3-ubyte.gz")), is_image_file(Path("mine.npz"))
    (True, False)
    """
    return "idx3" in path.name or path.suffix == ".bin" or (path.is_dir() and bool(_batches(path)))


def files_of(path: Path) -> list[Path]:
    """The files that images and labels are read from.

    >>> [file.name for file in files_of(Path("t10k-images-idx3-ubyte"))]
    ['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']
    """
    if "idx3" in path.name:
        return [path, path.with_name(path.name.replace("idx3", "idx1").replace("images", "labels"))]
    return _batches(path) if path.is_dir() else [path]


def read_images(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, height, width) or (rows, height, width, channels), and a label for each.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        if "idx3" in path.name:
            x, y = (_idx(file) for file in files_of(path))
            if x.ndim != 3 or y.shape != x.shape[:1]:
                raise DataError("source", f"{path}: images {x.shape}, labels {y.shape}", WANTED)
            return x, y
        parts = [_cifar(file) for file in files_of(path)]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("source", f"{path} cannot be read ({error})", WANTED) from None
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _batches(folder: Path) -> list[Path]:
    return sorted(folder.glob(CIFAR_BATCHES))


def _bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is named .gz."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _idx(path: Path) -> np.ndarray:
    """An array in IDX: two zero bytes, its type, its number of dimensions, their sizes, its numbers."""
    content = _bytes(path)
    dtype, dims = (
        (NUMBERS.get(content[2]), content[3]) if content[:2] == b"\0\0" and len(content) > 3 else ("", 0)
    )
    first = 4 + 4 * dims
    if not dtype or not dims or len(content) < first:
        raise DataError("source", f"{path} is no IDX file", WANTED)
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dims, 4))
    if len(content) - first != math.prod(shape) * np.dtype(dtype).itemsize:
        raise DataError("source", f"{path} holds less or more than its shape {shape}", "an undamaged file")
    return np.frombuffer(content, dtype, offset=first).reshape(shape)


def _cifar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and 32 × 32 pixels of red, then of green, then of blue."""
    content = np.frombuffer(_bytes(path), np.uint8)
    if not content.size or content.size % CIFAR_RECORD:
        wanted = f"CIFAR-10's binary version, records of {CIFAR_RECORD:,} bytes"
        raise DataError("source", f"{path} has {content.size:,} bytes", wanted)
    records = content.reshape(-1, CIFAR_RECORD)
    images = records[:, 1:].reshape(-1, *CIFAR_IMAGE)
    return np.ascontiguousarray(np.moveaxis(images, 1, -1)), records[:, 0]
