"""Tiles in registers: what the compiler makes of them on this processor."""

from __future__ import annotations

import platform
import re

import pytest
from llvmlite import ir
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from widesweep.workers.engine.compiled.tile import FLAT, ROWS, TALL, VECTORS, Tile

DOUBLE, SINGLE = (ir.DoubleType(), 8), (ir.FloatType(), 4)
ON_THE_STACK = re.compile(r"\(%r[sb]p\).*%[xyz]mm|%[xyz]mm.*\(%r[sb]p\)")


def loop_of(number: tuple[ir.Type, int], rows: int, vectors: int) -> list[str]:
    """The instructions of a tile's loop over k, as Numba compiles it."""
    library = cpu_target.target_context.codegen().create_library("tile")
    module = library.create_ir_module("tile")
    Tile(module, *number, rows, vectors).function.linkage = "external"
    with global_compiler_lock:
        library.add_ir_module(module)
        library.finalize()
    lines, labels = [line.strip() for line in library.get_asm_str().splitlines()], {}
    for i, line in enumerate(lines):
        if line.endswith(":"):
            labels[line[:-1]] = i
        jump = re.match(r"j\w+\s+(\S+)$", line)
        if jump and jump[1] in labels:
            return lines[labels[jump[1]] + 1 : i + 1]
    raise AssertionError("no loop")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86 instructions")
@pytest.mark.parametrize("number", [DOUBLE, SINGLE], ids=["float64", "float32"])
@pytest.mark.parametrize(("rows", "vectors"), [(ROWS, VECTORS), (TALL, FLAT)])
def test_sums_stay_in_registers(rows: int, vectors: int, number: tuple[ir.Type, int]) -> None:
    """Where one goes over the stack a step costs a fifth more, if that lies across two pages.

    Negative control: twice as many sums as fit do go there.
    """
    loop = loop_of(number, rows, vectors)
    assert sum("fmadd" in line for line in loop) == rows * vectors
    assert not [line for line in loop if ON_THE_STACK.search(line)]
    assert [line for line in loop_of(number, 2 * rows, vectors) if ON_THE_STACK.search(line)]
