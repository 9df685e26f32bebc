"""Jump tables: found by the code before a jump, read from the data.

Jump tables become a unit `jt.ADDRESS`, set where the table is read, and a `switch` on it at the jump.
"""

from __future__ import annotations

from irwright.lift.blocks import Table
from irwright.lift.expressions import Ref
from irwright.lift.objects import place
from irwright.lift.places import Places
from irwright.lift.program import Code, Imm, Instruction, Mem, Program, Reg, Section


class JumpTables(Places):
    """Finds the jump tables of one function."""

    def __init__(self, program: Program, code: Code) -> None:
        super().__init__(program, code)
        self.tables: list[Table] = []
        self.table_reads: dict[tuple[int, int], tuple[str, str, int]] = {}
        self.table_jumps: dict[tuple[int, int], tuple[str, list[tuple[int, int]]]] = {}

    def _find_tables(self) -> None:
        for number, insn in enumerate(self.code.instructions):
            if insn.mnemonic != "jmp" or isinstance(insn.operands[0], Imm):
                continue
            op = insn.operands[0]
            if isinstance(op, Mem):
                if op.ref is not None and not op.base and op.index and op.scale == 8:
                    self._absolute_table(number, insn, op.index, op.ref)
                elif op.base and op.index and op.scale == 8 and not op.disp:
                    base = self._table_base(number, op.base)
                    if base is not None:
                        self._absolute_table(number, insn, op.index, base[0])
                continue
            assert isinstance(op, Reg)
            self._relative_table(number, insn, op.name)

    def _previous_write(self, number: int, name: str, limit: int = 64) -> int | None:
        """The nearest instruction before that writes a register, in text order."""
        for at in range(number - 1, max(-1, number - limit), -1):
            insn = self.code.instructions[at]
            first = insn.operands[0] if insn.operands else None
            if isinstance(first, Reg) and first.name == name and insn.mnemonic not in ("cmp", "test", "push", "bt"):
                return at
        return None

    def _table_base(self, number: int, name: str) -> tuple[Ref, int] | None:
        """`lea name, [rip + table]`: the nearest before, or the only place that is ever loaded into the register."""
        at = self._previous_write(number, name, 10_000)
        nearest = self._loaded_place(at, name) if at is not None else None
        if at is not None and nearest is not None:
            return nearest, at
        loads = [(ref, n) for n in range(len(self.code.instructions)) if (ref := self._loaded_place(n, name))]
        return loads[0] if len({(ref.section, self._offset(ref)) for ref, _ in loads}) == 1 else None

    def _loaded_place(self, number: int, name: str) -> Ref | None:
        """What `lea name, [rip + place]` names."""
        insn = self.code.instructions[number]
        if insn.mnemonic != "lea" or not isinstance(insn.operands[0], Reg) or insn.operands[0].name != name:
            return None
        op = insn.operands[1]
        return op.ref if isinstance(op, Mem) and op.ref is not None and not op.base and not op.index else None

    def _relative_table(self, number: int, insn: Instruction, name: str) -> None:
        insns = self.code.instructions
        add = self._previous_write(number, name, 12)
        if add is None:
            return
        if insns[add].mnemonic == "mov":
            # gcc without PIC: mov r, [table + index*8]; jmp r
            op = insns[add].operands[1]
            if isinstance(op, Mem) and op.ref is not None and not op.base and op.index and op.scale == 8:
                self._absolute_table(add, insn, op.index, op.ref)
            return
        if insns[add].mnemonic != "add":
            return
        other = insns[add].operands[1]
        if not isinstance(other, Reg):
            return
        # One of the two is the table, the other what was read from it; gcc has notrack jumps the same way.
        for offset_name, base_name in ((name, other.name), (other.name, name)):
            load = self._previous_write(add, offset_name, 16)
            if load is None or insns[load].mnemonic != "movsxd":
                continue
            op = insns[load].operands[1]
            if not isinstance(op, Mem) or op.scale != 4 or op.disp or not op.base or not op.index:
                continue
            for table_name, index_name in ((op.base, op.index),):
                if table_name != base_name and not self._copies(add, base_name, table_name):
                    continue
                base = self._table_base(load, table_name)
                if base is not None:
                    self._read_table(insn, insns[load], index_name, base[0], 4)
                    return

    def _copies(self, _number: int, _a: str, _b: str) -> bool:
        return False

    def _absolute_table(self, number: int, insn: Instruction, index: str, ref: Ref) -> None:
        self._read_table(insn, self.code.instructions[number], index, ref, 8)

    def _read_table(self, jump: Instruction, load: Instruction, index: str, ref: Ref, entry: int) -> None:
        section_index, start = ref.section, self._offset(ref)
        if section_index < 0:
            return
        section = self.program.sections[section_index]
        limit = self._bound(load, index)
        end = section.size
        if self.program.exact_places:
            later = [at for (where, at) in self.program.labels if where == section_index and at > start]
            end = min([end, *later])
        for table in self.program.tables:
            if table.section == section_index and table.start == start and table.entry_bytes == 4:
                end = table.end
        targets: list[tuple[int, int]] = []
        position = start
        while position < end and len(targets) < (limit if limit is not None else 4096):
            target = self._entry(section, start, position, entry)
            if target is None and targets and self._is_behind(section, start, position, entry):
                target = targets[0]  # for a value that the index never has, any will do
            if target is None:
                break
            targets.append(target)
            position += entry
        if not targets or (limit is not None and len(targets) < limit):
            return
        unit = f"jt.{jump.section}.{jump.address}"
        self.table_reads[load.section, load.address] = (unit, index, len(targets))
        self.table_jumps[jump.section, jump.address] = (unit, targets)
        self.tables.append(Table([t[1] for t in targets], (section_index, start), len(targets) * entry))

    def _entry(self, section: Section, start: int, position: int, entry: int) -> tuple[int, int] | None:
        relocation = section.relocations.get(position)
        if relocation is not None:
            if relocation.kind not in ("PC32", "64", "32", "32S"):
                return None
            ref = place(self.program, relocation.symbol, relocation.addend)
            offset = self._offset(ref) - (position - start if relocation.kind == "PC32" else 0)
            target = (ref.section, offset)
        else:
            if entry != 4 or section.index != self.code.pieces[0][0]:
                return None
            value = int.from_bytes(section.data[position : position + 4], "little", signed=True)
            target = (section.index, start + value)
        return target if target in self.by_place else None

    def _is_behind(self, section: Section, start: int, position: int, entry: int) -> bool:
        """An entry that means the end of this function, where no code is."""
        relocation = section.relocations.get(position)
        if relocation is None or relocation.kind != "PC32" or entry != 4:
            return False
        ref = place(self.program, relocation.symbol, relocation.addend)
        end = (ref.section, self._offset(ref) - (position - start))
        return any((index, high) == end for index, _, high in self.code.pieces)

    def _bound(self, load: Instruction, index: str) -> int | None:
        """Entries of a table by the comparison before it: `cmp index, N; ja`."""
        number = self.positions[load.section, load.address]
        insns = self.code.instructions
        names = {index}
        for at in range(number - 1, max(-1, number - 24), -1):
            insn = insns[at]
            ops = insn.operands
            if insn.mnemonic in ("jmp", "ret", "ud2"):
                return None  # what stands before does not lead here
            if insn.mnemonic == "cmp" and isinstance(ops[0], Reg) and ops[0].name in names and isinstance(ops[1], Imm):
                for after in insns[at + 1 : at + 4]:
                    if after.mnemonic in ("ja", "jnbe"):
                        return ops[1].value + 1
                    if after.mnemonic in ("jae", "jnb"):
                        return ops[1].value
                return None
            if insn.mnemonic in ("mov", "movzx") and isinstance(ops[0], Reg) and ops[0].name in names:
                if isinstance(ops[1], Reg):
                    names.add(ops[1].name)
                elif isinstance(ops[1], Mem):
                    return None
        return None
