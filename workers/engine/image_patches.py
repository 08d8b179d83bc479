"""Patches of images as rows of a product, and their gradients brought back to the pixels.

Images lie with their samples innermost, (B, channels, height, width, n): a shift by a pixel moves long runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from widesweep.theory.convolution.pixels import filter_pieces


@dataclass(frozen=True)
class ImagePatches:
    """The q × q patches of images of one size.

    Attributes:
        height: pixels of an image along its first axis.
        width: along its second.
        size: q, odd.
        padding: `zero` or `circular`.
    """

    height: int
    width: int
    size: int
    padding: str

    @property
    def pixels(self) -> int:
        """P."""
        return self.height * self.width

    @cached_property
    def _pieces(self) -> list[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
        return list(filter_pieces(self.height, self.width, self.size, self.padding))

    def images(self, rows: Tensor) -> Tensor:
        """Rows (B, P·n, c), pixel by pixel, columns contiguous, as images (B, c, height, width, n)."""
        cells, count, channels = rows.shape
        return rows.mT.view(cells, channels, self.height, self.width, count // self.pixels)

    def gather(self, images: Tensor, rows: Tensor) -> None:
        """Writes the patch around each pixel; what is beyond a zero edge stays as it is.

        Args:
            images: shape (B, c, height, width, n).
            rows: shape (B, P·n, q²·c), offset by offset, columns contiguous, zeros at first.
        """
        cells, channels, *_, samples = images.shape
        patches = rows.mT.view(cells, self.size**2, channels, self.height, self.width, samples)
        for offset, to, (y, x) in self._pieces:
            patches[:, offset][:, :, to[0], to[1]] = images[:, :, y, x]

    def fold(self, rows: Tensor, images: Tensor) -> None:
        """Writes to each pixel the sum over the patches that it is part of: the transpose of `gather`.

        Args:
            rows: shape (B, P·n, q²·c), as `gather` has them.
            images: shape (B, c, height, width, n).
        """
        cells, channels, *_, samples = images.shape
        patches = rows.mT.view(cells, self.size**2, channels, self.height, self.width, samples)
        images.zero_()
        for offset, to, (y, x) in self._pieces:
            images[:, :, y, x] += patches[:, offset][:, :, to[0], to[1]]
