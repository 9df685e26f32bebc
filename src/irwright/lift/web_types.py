"""Types of webs, pointers found by propagation."""

from __future__ import annotations

from irwright.lift.blocks import Call, Flow
from irwright.lift.expressions import E, Effect, bits, is_table_entry, walk
from irwright.lift.signatures import Signature
from irwright.lift.variadic import AREA, OVERFLOW
from irwright.lift.webs import Analysis, Web


class Typing:
    """Types of webs, pointers found by propagation."""

    def __init__(self, flow: Flow, analysis: Analysis, webs: dict[int, Web], signature: Signature) -> None:
        self.flow = flow
        self.analysis = analysis
        self.webs = webs
        self.signature = signature
        self.edges: list[tuple[Web, Web]] = []
        self.links: dict[int, list[Web]] = {}
        self.pairs: list[tuple[Web, Web]] = []
        """base and index of addresses in which either could be the pointer"""
        self.guesses = False

    def solve(self) -> None:
        """Give every web its type."""
        self._from_signature()
        for index in self.flow.order:
            for number, step in enumerate(self.flow.blocks[index].steps):
                for effect in step.effects:
                    self._effect(index, number, effect)
        self._spread()
        for web in self.webs.values():
            web.ty = self._type(web)

    def _from_signature(self) -> None:
        units = {
            unit if not unit.startswith("stack.") else f"s{8 + int(unit[6:])}": ty for unit, ty in self.signature.params
        }
        for node, unit in self.analysis.entry_nodes.items():
            ty = units.get(unit)
            if ty is not None:
                web = self.webs[self.analysis.find(node)]
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True

    def _read(self, index: int, number: int, unit: str) -> Web | None:
        node = self.analysis.read_nodes.get((index, number, unit))
        return None if node is None else self.webs[self.analysis.find(node)]

    def _written(self, index: int, number: int, unit: str) -> Web | None:
        node = self.analysis.write_nodes.get((index, number, unit))
        return None if node is None else self.webs[self.analysis.find(node)]

    def _effect(self, index: int, number: int, effect: Effect) -> None:
        if effect.kind == "call":
            self._call(index, number, effect)
            return
        if effect.kind == "ret":
            for unit, ty in self.signature.returns:
                web = self._read(index, number, unit)
                if web is not None:
                    web.votes[ty] += 1
                    if ty == "ptr":
                        web.is_pointer = True
            return
        target: Web | None = None
        if effect.kind == "set":
            target = self._written(index, number, effect.unit)
            if target is None:
                return
        elif effect.kind == "store" and effect.addr is not None and (slot := self.analysis.slot(effect.addr)):
            target = self._written(index, number, slot)
            if target is None:
                return
        if target is not None and effect.value is not None:
            self._definition(index, number, target, effect.value)
        roots = [effect.value, effect.addr]
        if effect.kind == "cmpxchg":
            roots.append(effect.aux)
        elif effect.kind == "string":
            roots.append(effect.aux[2])
        for root in roots:
            for node in walk(root):
                self._node(index, number, node)

    def _plain(self, index: int, number: int, e: E | None) -> Web | None:
        """The web of a register or slot that an expression merely reads."""
        if e is None:
            return None
        if e.op == "reg":
            return self._read(index, number, e.aux)
        if e.op == "load" and e.args[0] is not None and (slot := self.analysis.slot(e.args[0])):
            return self._read(index, number, slot)
        return None

    def _definition(self, index: int, number: int, target: Web, value: E) -> None:
        plain = self._plain(index, number, value)
        if plain is not None:
            if bits(value.ty) == target.width or value.ty[0] != "i":
                self._link(target, plain)
                self._link(plain, target)
        elif value.op in ("frame", "sym") or (value.op == "fixed" and value.aux in (AREA, OVERFLOW)):
            target.is_pointer = True
        elif value.op == "addr" and value.ty == "i64":
            base, other = value.args
            how = value.aux
            if how.ref is not None or (base is not None and base.op == "frame"):
                target.is_pointer = True
            else:
                for node, scale in ((base, 1), (other, how.scale)):
                    web = self._plain(index, number, node)
                    if web is not None and scale == 1:
                        self._link(web, target)
                        if other is None:
                            self._link(target, web)
        elif value.op in ("add", "sub") and value.ty == "i64":
            a, b = value.args
            assert a is not None and b is not None
            for node, partner in ((a, b), (b, a)) if value.op == "add" else ((a, b),):
                web = self._plain(index, number, node)
                if web is not None:
                    other_web = self._plain(index, number, partner)
                    if True:
                        self._link(web, target, unless=other_web if value.op == "sub" else None)
                    if partner.op == "const":
                        self._link(target, web)
                if node.op in ("frame", "sym"):
                    target.is_pointer = True
        elif value.op == "load" and value.args[0] is not None and value.args[0].op == "addr":
            how = value.args[0].aux
            if how.ref is not None and how.ref.kind == "got":
                target.is_pointer = True
        if value.op != "const":
            target.votes[value.ty] += 1
        elif isinstance(value.aux, tuple):
            target.votes["<zero>"] += 0

    def _link(self, a: Web, b: Web, unless: Web | None = None) -> None:
        """If `a` is a pointer, so is `b`."""
        if unless is None:
            self.links.setdefault(id(a), []).append(b)

    def _node(self, index: int, number: int, node: E) -> None:
        if node.op == "addr":
            base, other = node.args
            how = node.aux
            if how.segment or node.ty != "ptr":
                return
            if how.ref is None and base is not None:
                web = self._plain(index, number, base)
                if web is not None and (other is None or how.scale != 1):
                    web.is_pointer = True
                elif web is not None and other is not None:
                    second = self._plain(index, number, other)
                    if second is not None:
                        self.pairs.append((web, second))
                    elif other.op != "frame":
                        web.is_pointer = True
        elif node.op == "load" and node.args[0] is not None:
            web = self._plain(index, number, node.args[0])
            if web is not None:
                web.is_pointer = True
        elif node.op == "reg":
            web = self._read(index, number, node.aux)
            if web is not None:
                web.votes[node.ty] += 1
        elif node.op.startswith("icmp") and self.guesses:
            first, second = (self._plain(index, number, arg) for arg in node.args)
            if first is not None and second is not None:  # pointers are compared with pointers
                self._link(first, second)
                self._link(second, first)
            elif any(is_table_entry(arg) or (arg is not None and arg.op == "sym") for arg in node.args):
                for web in (first, second):
                    if web is not None:
                        web.is_pointer = True
        elif node.op in ("mul", "shl", "lshr", "ashr", "and", "or", "xor", "sdiv", "udiv"):
            for arg in node.args:
                web = self._plain(index, number, arg)
                if web is not None:
                    web.is_integer = True

    def _call(self, index: int, number: int, effect: Effect) -> None:
        call: Call = effect.aux
        signature = self.analysis.signatures[call.index]
        for unit, ty in signature.params:
            web = self._read(index, number, self.analysis.stack_unit(unit, call))
            if web is not None:
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True
        for unit, ty in signature.returns:
            web = self._written(index, number, unit)
            if web is not None:
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True
        if call.pointer is not None:
            web = self._plain(index, number, call.pointer)
            if web is not None:
                web.is_pointer = True
            for node in walk(call.pointer):
                self._node(index, number, node)

    def _spread(self) -> None:
        todo = [web for web in self.webs.values() if web.is_pointer]
        while True:
            while todo:
                web = todo.pop()
                for other in self.links.get(id(web), []):
                    if not other.is_pointer and other.width == 64 and not other.is_integer:
                        other.is_pointer = True
                        todo.append(other)
            # base + index with nothing known of either: a guess, or an address computed as an integer. A pointer
            # that is derived from the wrong one of the two may not point where it points.
            left = [a for a, b in self.pairs if not (a.is_pointer or b.is_pointer or a.is_integer) and a.width == 64]
            if not left or not self.guesses:
                return
            left[0].is_pointer = True
            todo = [left[0]]

    def _type(self, web: Web) -> str:
        unit, width = web.unit, web.width
        if unit.startswith("cc."):
            return "i1"
        if unit.startswith("xmm"):
            return self._vector_type(web)
        if unit[0] == "f" or web.width == 80:
            return "x86_fp80"
        width = 8 if width <= 8 else 16 if width <= 16 else 32 if width <= 32 else 64 if width <= 64 else 128
        if unit.startswith("s") and unit[1:].lstrip("-").isdigit() and width >= 32:
            return self._slot_type(web, width)
        if width == 64 and web.is_pointer:
            return "ptr"
        return f"i{width}"

    def _slot_type(self, web: Web, width: int) -> str:
        if width == 128:
            return self._vector_type(web)
        if width == 64 and web.is_pointer:
            return "ptr"
        floats = {32: "float", 64: "double"}[width]
        return floats if web.votes[floats] else f"i{width}"

    def _vector_type(self, web: Web) -> str:
        width = 32 if web.width <= 32 else 64 if web.width <= 64 else 128
        fitting = {
            ty: n
            for ty, n in web.votes.items()
            if ty not in ("base", "<zero>", "ptr") and bits(ty) == width and ty != "i128"
        }
        if fitting:
            return max(fitting.items(), key=lambda item: (item[1], item[0] in ("float", "double")))[0]
        narrower = {ty for ty in web.votes if ty in ("float", "double")}
        if width == 64:
            return "<2 x float>" if narrower == {"float"} else "double"
        if width == 32:
            return "float"
        return "<4 x float>" if narrower == {"float"} else "<2 x i64>"
