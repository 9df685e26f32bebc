"""What one function's registers and stack slots hold while it is written as IR: the variables of its webs.

`Variables` is the state that emission of a function shares: webs and their values in the block at hand, counters, the
frame. Names of what lies outside the function come from the module (`Names`).
"""

from __future__ import annotations

from typing import Protocol

from irwright.errors import LiftError
from irwright.lift.blocks import Flow
from irwright.lift.builder import Builder, literal
from irwright.lift.counters import Counter, counted
from irwright.lift.expressions import E, Ref, bits, is_table_entry
from irwright.lift.frames import Frame
from irwright.lift.options import Options
from irwright.lift.signatures import Signature
from irwright.lift.webs import Analysis, Web


class Names(Protocol):
    """What emission asks of the module: names of places, declarations on the way."""

    def place(self, ref: Ref) -> tuple[str, int]:
        """Symbol text (`@x`) and offset of a place."""
        ...

    def thread_local(self, ref: Ref) -> tuple[str, int]:
        """The same for a thread-local variable."""
        ...

    def literal(self, ref: Ref, ty: str) -> str | None:
        """The constant an instruction loads, where nobody can change it."""
        ...

    def callee(self, name: str, signature: Signature) -> str:
        """Symbol text of a called function, declared."""
        ...

    def intrinsic(self, name: str, declaration: str) -> None:
        """Declare an intrinsic."""
        ...

    def got(self, ref: Ref) -> str:
        """Symbol text of what a global offset table entry points at."""
        ...


class Variables(Builder):
    """Variables of one function, as lines of text."""

    def __init__(
        self,
        flow: Flow,
        analysis: Analysis,
        webs: dict[int, Web],
        signature: Signature,
        names: Names,
        options: Options,
        frame: Frame,
    ) -> None:
        super().__init__()
        self.flow = flow
        self.analysis = analysis
        self.webs = webs
        self.signature = signature
        self.names = names
        self.options = options
        self.current: dict[int, str] = {}
        """what a web (by identity) holds, where this block has read or written it"""
        self.counters = (
            counted(flow, analysis, webs, everywhere=options.counted == "all")
            if options.counted
            else dict[int, Counter]()
        )
        self.counted_ahead = {id(webs[c.ahead]): webs[c.root] for c in self.counters.values() if c.ahead is not None}
        """webs (by identity) that hold the next value of a counter, until it steps"""
        self.loaded: dict[int, tuple[str, str]] = {}
        """type and value of loads (by identity) that were made before their instruction"""
        self.memo: dict[tuple[int, str], str] = {}
        self.fixed: dict[str, tuple[str, str]] = {}
        self.at: tuple[int, int] = (0, 0)
        self.skipped: set[int] = set()
        self.moved: set[int] = set()
        """blocks that stand behind what they lead to, loops aside"""
        self.is_dynamic = False
        """the stack pointer is set back to what it was before blocks of unknown size"""
        self.is_likely = False
        """numbers that are converted are in range, as C wants it"""
        self.adds_to_pointers = False
        """numbers of 64 bits were added to pointers: either may have been the pointer"""
        self.one_return = False
        """several blocks return: they lead to one at the end"""
        self.has_own_list = False
        """a va_list that the code does not have is filled at entry"""
        self.frame_use = frame
        self.used_objects: set[int] = set()
        self.labels: dict[tuple[int, int], int] = {}
        self.demand: dict[str, int] = {}

    def read_web(self, unit: str) -> Web:
        node = self.analysis.read_nodes.get((*self.at, unit))
        if node is None:
            raise LiftError(f"{unit} is read where its value is not known")
        return self.webs[self.analysis.find(node)]

    def write_web(self, unit: str) -> Web | None:
        node = self.analysis.write_nodes.get((*self.at, unit))
        return None if node is None else self.webs[self.analysis.find(node)]

    def load_web(self, unit: str) -> tuple[str, str]:
        """Value and type of a unit read here."""
        web = self.read_web(unit)
        value = self.current.get(id(web))
        if value is None:
            value = self.current[id(web)] = self.kept(web)
        return value, web.ty

    def kept(self, web: Web) -> str:
        """What the variable of a web holds."""
        counter = self.counters.get(id(web))
        if counter is None:
            return self.new(f"load {web.ty}, ptr %{web.name}")
        ty = "i64" if web.ty == "ptr" else web.ty
        total = self.new(f"load {ty}, ptr %{web.name}.count")
        if counter.step != 1:
            total = self.new(f"mul nsw {ty} {total}, {counter.step}")
        start = self.new(f"load {web.ty}, ptr %{web.name}") if counter.start is None else literal(counter.start, ty)
        if web.ty == "ptr" and counter.start is None:
            return self.new(f"getelementptr i8, ptr {start}, i64 {total}")
        total = self.new(f"add {ty} {total}, {start}") if start != "0" else total
        return self.coerce(total, ty, web.ty)

    def store_web(self, web: Web, value: str, *, starts: bool = False) -> None:
        """A web's new value."""
        counter = self.counters.get(id(web))
        if counter is None:
            self.line(f"store {web.ty} {value}, ptr %{web.name}")
        else:
            ty, count = "i64" if web.ty == "ptr" else web.ty, "0"
            if is_step := self.at in counter.places and not starts:
                count = self.new(f"add {ty} {self.new(f'load {ty}, ptr %{web.name}.count')}, 1")
            if counter.start is None and not is_step:
                self.line(f"store {web.ty} {value}, ptr %{web.name}")
            self.line(f"store {ty} {count}, ptr %{web.name}.count")
        self.current[id(web)] = value

    def natural(self, e: E) -> str:
        """The type in which a value comes without conversion."""
        if e.op == "reg":
            web = self.read_web(e.aux)
            return web.ty if bits(web.ty) == bits(e.ty) else e.ty
        if e.op == "addr" and bits(e.ty) == 64:
            return "ptr" if self.is_pointer(e) else "i64"
        if e.op in ("frame", "sym") and bits(e.ty) == 64:
            return "ptr"
        if e.op in ("add", "sub") and e.ty == "i64" and self.pointer_side(e) is not None:
            return "ptr"
        if e.op == "load" and e.args[0] is not None and (slot := self.analysis.slot(e.args[0])):
            web = self.read_web(slot)
            return web.ty if bits(web.ty) == bits(e.ty) else e.ty
        if e.op == "fixed" and e.aux in self.fixed:
            return self.fixed[e.aux][1] if bits(self.fixed[e.aux][1]) == bits(e.ty) else e.ty
        return e.ty

    def pointer_side(self, e: E) -> int | None:
        """Which operand of an addition is the pointer, where exactly one is."""
        sides = [n for n, node in enumerate(e.args) if node is not None and self.is_pointer(node)]
        if len(sides) == 1 and (e.op == "add" or sides[0] == 0):
            return sides[0]
        return None

    def is_pointer(self, e: E) -> bool:
        """A value that is an address by its type."""
        if e.op == "reg" and e.ty == "i64":
            return self.read_web(e.aux).ty == "ptr"
        if e.op == "load" and e.args[0] is not None:
            slot = self.analysis.slot(e.args[0])
            return self.read_web(slot).ty == "ptr" if slot else is_table_entry(e)
        if e.op == "addr":
            base, index = e.args
            if e.aux.ref is not None or e.aux.segment or (base is not None and self.is_pointer(base)):
                return True
            return index is not None and e.aux.scale == 1 and self.is_pointer(index)
        return e.op in ("frame", "sym")
