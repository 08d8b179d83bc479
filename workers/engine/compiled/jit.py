"""What compiled loops share: how they are compiled, numbers at an address, cores that wait for each other."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def entry(make: Callable[[str], F]) -> F:
    """A loop that Python calls, from Numba's cache where this user has one; compiled at its first use.

    Args:
        make: gives the function, around a digest of this folder's sources. What it closes around is part of
            the cache's key, which else would know one file alone of all that is compiled.
    """
    return cast(F, _kept(functools.partial(numba.njit, nogil=True), make(_sources())))


def address(make: Callable[[str], Callable[..., None]], signature: Any) -> int:
    """Where the machine code of a function lies that other loops call: compiled once, not into each of them.

    Args:
        make: as for `entry`.
        signature: types of its result and arguments.
    """
    function = _kept(functools.partial(numba.cfunc, signature), make(_sources()))
    _called.append(function)
    return int(function.address)


def _kept(compiler: Callable[..., Callable[..., Any]], function: Callable[..., Any]) -> Any:
    try:
        return compiler(cache=True)(function)
    except RuntimeError:  # no folder to keep it in
        return compiler()(function)


@functools.cache
def _sources() -> str:
    """A digest of this folder's files."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def part(function: F) -> F:
    """A part of such a loop."""
    return cast(F, numba.njit(function, nogil=True))


def reordered(function: F) -> F:
    """A part whose sums may be added in any order, the same at every call, so that vectors take them."""
    return cast(F, numba.njit(function, nogil=True, fastmath={"reassoc", "contract", "nsz"}))


def _as_pointer(context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the type of an array."""

    def convert(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(address, like), convert


def _arrive(context: Any, address: Any) -> Any:
    """Adds 1 to the count at an address, whoever else does."""

    def add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), "seq_cst")

    return types.int64(address), add


def _arrived(context: Any, address: Any) -> Any:
    """The count at an address, as others have left it."""

    def read(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(address), read


_pointer, _count_one, _count = (intrinsic(f) for f in (_as_pointer, _arrive, _arrived))
_give_way = types.ExternalFunction("sched_yield", types.int32())
BOUNDARY = 64  # bytes of a line of the cache
_called: list[Any] = []  # they must live as long as their addresses are known
PATIENCE = 1000  # readings of the count before a core is given to others


@part
def numbers(address: int, count: int, like: np.ndarray) -> np.ndarray:
    """So many numbers at an address, of the type of an array."""
    return numba.carray(_pointer(address, like), (count,))  # type: ignore[no-any-return]  # untyped library


@part
def room(count: int, like: np.ndarray) -> tuple[np.ndarray, int]:
    """An array for `count` numbers, and the address in it from which they are aligned."""
    array = np.empty(count + BOUNDARY // like.itemsize, dtype=like.dtype)
    return array, -(-array.ctypes.data // BOUNDARY) * BOUNDARY


@part
def keep(*arrays: np.ndarray) -> None:
    """Holds arrays until here: compiled code frees what it does not name again, addresses or not."""


@part
def meet(place: int, awaited: int) -> None:
    """Adds one to the count at an address, and waits until the count is reached."""
    _count_one(place)
    readings = 0
    while _count(place) < awaited:
        readings += 1
        if readings > PATIENCE:
            _give_way()
