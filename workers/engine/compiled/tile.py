"""A tile of a product in a core's registers, as LLVM code that compiled loops call.

C ← α Σ_k a(k) b(k)ᵀ + β C for up to `ROWS` rows and `VECTORS` vectors of columns, or `TALL` and `FLAT`: every
number of b is read once for all rows, every number of a for all columns, and nothing is copied beforehand. A
compiler does not find that by itself; here each sum has a register of its own, and each addition is a fused
one.

An entry of C is its own sum over k, in ascending order, whatever the tile and the vectors are: its bits
depend neither on them nor on where it lies.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

INDEX, LANE = ir.IntType(64), ir.IntType(32)


def _vector_bytes() -> int:
    """Bytes of the processor's vectors."""
    has = llvmlite.binding.get_host_cpu_features()
    return 64 if has.get("avx512f") else 32 if has.get("avx") else 16


VECTOR_BYTES = _vector_bytes()
ROWS, VECTORS = (4, 3) if VECTOR_BYTES == 32 else (6, 4)  # sums that 16 and 32 registers hold
TALL, FLAT = (6, 2) if VECTOR_BYTES == 32 else (12, 2)  # the same where there are few columns
AHEAD = 48  # steps of k after which a column of a comes from the last cache


class Tile:
    """One function of a module: a number of rows by a number of whole vectors, or the first lanes of one."""

    def __init__(self, module: Any, number: Any, size: int, rows: int, vectors: int) -> None:
        """Finds or writes it; `vectors` 0 is the first lanes of one."""
        self.rows, self.vectors, self.size = rows, max(1, vectors), size
        self.partial = vectors == 0
        self.number = number
        self.lanes = VECTOR_BYTES // size
        self.vector = ir.VectorType(number, self.lanes)
        self.module = module
        name = f"tile_{8 * size}_{rows}_{vectors}"
        if name in module.globals:
            self.function = module.globals[name]
            return
        self.function = ir.Function(module, self._type(number), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("optsize")  # two steps in one would need more registers than there are
        self._write()

    @staticmethod
    def _type(number: Any) -> Any:
        sizes, scales, strides = [INDEX] * 2, [number] * 2, [INDEX] * 7
        return ir.FunctionType(ir.VoidType(), [*sizes, *scales, *strides])

    def _write(self) -> None:
        inner, lanes, alpha, beta, a, a_row, a_step, b, b_step, c, c_row = self.function.args
        entry, loop, end = (self.function.append_basic_block(n) for n in ("entry", "loop", "end"))
        build = self.build = ir.IRBuilder(entry)
        pointer = self.number.as_pointer()
        a, b, c = (build.inttoptr(x, pointer) for x in (a, b, c))
        self.mask = self._mask(lanes)
        a_offsets = [build.mul(a_row, INDEX(r)) for r in range(self.rows)]
        c_rows = [build.gep(c, [build.mul(c_row, INDEX(r))]) for r in range(self.rows)]
        for row, v in product(c_rows, range(self.vectors)):
            self._prefetch(self._place(row, v), 1, 3)  # needed when the sums are done
        build.branch(loop)

        build.position_at_end(loop)
        k, at_a, at_b = (self._entering(x.type, x, entry) for x in (INDEX(0), a, b))
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        places = list(product(range(self.rows), range(self.vectors)))
        sums = {place: self._entering(self.vector, zero, entry) for place in places}
        columns = [self._load(at_b, v) for v in range(self.vectors)]
        found = {}
        for r, offset in enumerate(a_offsets):  # one after another: together they and the sums lack registers
            factor = self._splat(build.load(build.gep(at_a, [offset])))
            for v, column in enumerate(columns):
                found[r, v] = self._fma(factor, column, sums[r, v])
        if self.rows <= ROWS:  # what the next tile takes; taller ones have no load to spare
            beside = build.gep(at_a, [build.mul(a_row, INDEX(2 * self.rows - 1))])
            self._prefetch(beside, 0, 3)
        ahead = build.gep(at_a, [build.add(a_offsets[-1], build.mul(a_step, INDEX(AHEAD)))])
        self._prefetch(ahead, 0, 2)
        following = build.add(k, INDEX(1))
        for variable, value in (
            (k, following),
            (at_a, build.gep(at_a, [a_step])),
            (at_b, build.gep(at_b, [b_step])),
            *((sums[place], found[place]) for place in places),
        ):
            variable.add_incoming(value, loop)
        build.cbranch(build.icmp_signed("<", following, inner), loop, end)

        build.position_at_end(end)
        self._finish(found, alpha, beta, c_rows)

    def _finish(self, found: dict[tuple[int, int], Any], alpha: Any, beta: Any, rows: list[Any]) -> None:
        """Writes α sum, with β C added where β is not 0."""
        build, alphas, betas = self.build, self._splat(alpha), self._splat(beta)
        add, put = (self.function.append_basic_block(n) for n in ("add", "put"))
        build.cbranch(build.fcmp_unordered("!=", beta, self.number(0.0)), add, put)
        for block, adds in ((add, True), (put, False)):
            build.position_at_end(block)
            for (r, v), total in found.items():
                if adds:
                    value = self._fma(alphas, total, build.fmul(betas, self._load(rows[r], v)))
                else:
                    value = build.fmul(alphas, total)
                self._store(value, rows[r], v)
            build.ret_void()

    def _mask(self, lanes: Any) -> Any:
        if not self.partial:
            return None
        wide = ir.VectorType(INDEX, self.lanes)
        all_lanes = self.build.shuffle_vector(
            self.build.insert_element(ir.Constant(wide, ir.Undefined), lanes, LANE(0)),
            ir.Constant(wide, ir.Undefined),
            ir.Constant(ir.VectorType(LANE, self.lanes), [0] * self.lanes),
        )
        return self.build.icmp_signed("<", ir.Constant(wide, list(range(self.lanes))), all_lanes)

    def _entering(self, kind: Any, value: Any, block: Any) -> Any:
        variable = self.build.phi(kind)
        variable.add_incoming(value, block)
        return variable

    def _splat(self, number: Any) -> Any:
        none = ir.Constant(self.vector, ir.Undefined)
        first = self.build.insert_element(none, number, LANE(0))
        lanes = ir.Constant(ir.VectorType(LANE, self.lanes), [0] * self.lanes)
        return self.build.shuffle_vector(first, none, lanes)

    def _fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.build.call(self._intrinsic("fma", self.vector, [self.vector] * 3), [a, b, c])

    def _place(self, row: Any, v: int) -> Any:
        first = self.build.gep(row, [INDEX(v * self.lanes)])
        return self.build.bitcast(first, self.vector.as_pointer())

    def _load(self, row: Any, v: int) -> Any:
        place = self._place(row, v)
        if not self.partial:
            return self.build.load(place, align=self.size)
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        kinds = [place.type, LANE, self.mask.type, self.vector]
        masked = self._intrinsic("masked.load", self.vector, kinds, ".p0")
        return self.build.call(masked, [place, LANE(self.size), self.mask, zero])

    def _store(self, value: Any, row: Any, v: int) -> None:
        place = self._place(row, v)
        if not self.partial:
            self.build.store(value, place, align=self.size)
            return
        kinds = [self.vector, place.type, LANE, self.mask.type]
        masked = self._intrinsic("masked.store", ir.VoidType(), kinds, ".p0")
        self.build.call(masked, [value, place, LANE(self.size), self.mask])

    def _prefetch(self, place: Any, *hints: int) -> None:
        """Calls for a line: whether it is to be written (1), and how near (3: nearest)."""
        line, name = ir.IntType(8).as_pointer(), "llvm.prefetch.p0"
        kind = ir.FunctionType(ir.VoidType(), [line, LANE, LANE, LANE])
        prefetch = self.module.globals.get(name) or ir.Function(self.module, kind, name)
        self.build.call(prefetch, [self.build.bitcast(place, line), *(LANE(h) for h in hints), LANE(1)])

    def _intrinsic(self, name: str, result: Any, kinds: list[Any], suffix: str = "") -> Any:
        full = f"llvm.{name}.v{self.lanes}f{8 * self.size}{suffix}"
        known = self.module.globals.get(full)
        return known or ir.Function(self.module, ir.FunctionType(result, kinds), full)


def _tile(
    context: Any,
    rows: Any,
    vectors: Any,
    inner: Any,
    lanes: Any,
    alpha: Any,
    beta: Any,
    a: Any,
    a_row: Any,
    a_step: Any,
    b: Any,
    b_step: Any,
    c: Any,
    c_row: Any,
) -> Any:
    """The tile of these rows and vectors, 0 for the first lanes of one; distances in numbers."""
    number, index = alpha, types.int64
    signature = types.void(*[index] * 4, number, number, *[index] * 7)

    def choose(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        rows, vectors, *rest = arguments
        kind = context.get_value_type(number)
        after = build.append_basic_block("after")
        choice = build.add(build.mul(rows, INDEX(VECTORS + 1)), vectors)
        cases = build.switch(choice, after)
        heights = [*range(1, ROWS + 1), TALL]
        for r, v in product(heights, range(VECTORS + 1)):
            if r > ROWS and v > FLAT:
                continue
            block = build.append_basic_block(f"tile_{r}_{v}")
            cases.add_case(INDEX(r * (VECTORS + 1) + v), block)
            build.position_at_end(block)
            build.call(Tile(build.module, kind, number.bitwidth // 8, r, v).function, rest)
            build.branch(after)
        build.position_at_end(after)
        return context.get_dummy_value()

    return signature, choose


tile = intrinsic(_tile)
