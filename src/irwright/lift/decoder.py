"""Instructions of functions, as capstone reads them, in our form and with their relocations resolved.

What capstone makes of hostile bytes becomes a function's problem.
"""

from __future__ import annotations

from typing import Any

from irwright.lift.expressions import Ref
from irwright.lift.objects import place
from irwright.lift.program import Code, Imm, Instruction, Mem, Operand, Program, Reg, Relocation, Section

MAX_FUNCTION_BYTES = 256 << 10
"""larger functions are not lifted"""


class Decoder:
    """Decodes functions of a program; one capstone handle for all."""

    def __init__(self, program: Program) -> None:
        import capstone  # pyright: ignore[reportMissingTypeStubs]

        self.program = program
        self.capstone: Any = capstone
        self.engine: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self.engine.detail = True
        self.names: dict[int, Reg] = {}

    def decode_all(self) -> None:
        """Every function that is not decoded yet."""
        for code in self.program.functions:
            if not code.instructions and not code.problem:
                self.decode(code)

    def decode(self, code: Code) -> None:
        """Fill in the instructions of a function, or its problem."""
        if sum(end - start for _, start, end in code.pieces) > MAX_FUNCTION_BYTES:
            code.problem = f"has more than {MAX_FUNCTION_BYTES} bytes of code"
            return
        for index, start, end in code.pieces:
            section = self.program.sections[index]
            data = section.data[start:end]
            position = start
            for raw in self.engine.disasm(data, start):
                try:
                    code.instructions.append(self.instruction(raw, section))
                except (ValueError, KeyError) as error:
                    code.problem = f"{raw.mnemonic} {raw.op_str}: {error}"
                    return
                position = raw.address + raw.size
            if position < end and any(byte not in (0, 0x90, 0xCC) for byte in section.data[position:end]):
                code.problem = f"bytes that are no instruction at {section.name}+{position:#x}"
                return
        if not code.instructions:
            code.problem = "has no code"

    def instruction(self, raw: Any, section: Section) -> Instruction:
        """Capstone's instruction in our form, relocations resolved."""
        refs: dict[int, Ref] = {}
        kinds: dict[int, str] = {}
        for offset in range(raw.address, raw.address + raw.size):
            relocation = section.relocations.get(offset)
            if relocation is not None:
                refs[offset - raw.address] = self.resolve(relocation, section, raw.address + raw.size)
                kinds[offset - raw.address] = relocation.kind
        encoding = raw.encoding
        operands: list[Operand] = []
        used: set[int] = set()
        x86 = self.capstone.x86
        for op in raw.operands:
            if op.type == x86.X86_OP_REG:
                operands.append(self.register(raw, op.reg))
            elif op.type == x86.X86_OP_IMM:
                ref = refs.get(encoding.imm_offset) if encoding.imm_offset else None
                if ref is not None:
                    used.add(encoding.imm_offset)
                operands.append(Imm(value=op.imm, width=op.size * 8, ref=ref))
            else:
                operands.append(self._memory(raw, op, refs, used, section))
        if len(used) < len(refs):
            raise ValueError("a relocation at no operand")
        words: list[str] = raw.mnemonic.split()
        prefix = ""
        while len(words) > 1:
            word: str = words.pop(0)
            if word != "notrack":
                prefix = {"repe": "rep", "repz": "rep", "repnz": "repne"}.get(word, word)
        return Instruction(
            address=raw.address,
            size=raw.size,
            mnemonic=words[0],
            operands=tuple(operands),
            prefix=prefix,
            section=section.index,
            text=f"{raw.mnemonic} {raw.op_str}".strip(),
            is_spill=(section.index, raw.address) in self.program.spills,
        )

    def register(self, raw: Any, number: int) -> Reg:
        known = self.names.get(number)
        if known is None:
            known = self.names[number] = register_by_name(raw.reg_name(number))
        return known

    def _memory(self, raw: Any, op: Any, refs: dict[int, Ref], used: set[int], section: Section) -> Mem:
        mem = op.mem
        base = raw.reg_name(mem.base) if mem.base else ""
        index = raw.reg_name(mem.index) if mem.index else ""
        segment = raw.reg_name(mem.segment) if mem.segment else ""
        if index.startswith("e") or (base.startswith("e") and base != "es"):
            raise ValueError("an address of 32 bits")
        ref = refs.get(raw.encoding.disp_offset) if raw.encoding.disp_offset else None
        disp = int(mem.disp)
        if ref is not None:
            used.add(raw.encoding.disp_offset)
            disp = 0
        elif base == "rip":
            ref, disp = Ref(None, section.index, raw.address + raw.size + disp), 0
        return Mem(
            base="" if base == "rip" else base,
            index=index if index not in ("riz", "eiz") else "",
            scale=int(mem.scale),
            disp=disp,
            width=int(op.size) * 8,
            segment=segment if segment in ("fs", "gs") else "",
            ref=ref,
        )

    def resolve(self, relocation: Relocation, section: Section, end: int) -> Ref:
        """What a relocation in an instruction that ends at `end` makes the operand mean."""
        kind = relocation.kind
        addend = relocation.addend
        if kind in ("PC32", "PLT32", "GOTPCREL", "GOTPCRELX", "REX_GOTPCRELX", "GOTTPOFF", "PC8", "TLSGD", "TLSLD"):
            addend += end - relocation.offset
        names = {"GOTPCREL": "got", "GOTPCRELX": "got", "REX_GOTPCRELX": "got", "TPOFF32": "tpoff"}
        names |= {"GOTTPOFF": "gottpoff", "TLSGD": "tlsgd", "TLSLD": "tlsld", "DTPOFF32": "dtpoff"}
        if kind not in names and kind not in ("PC32", "PLT32", "32", "32S", "64", "PC8", "8", "16"):
            raise ValueError(f"relocation {kind}")
        return place(self.program, relocation.symbol, addend, names.get(kind, "direct"))


_LOW = {"a": "rax", "b": "rbx", "c": "rcx", "d": "rdx"}
_WORDS = {"ax": "rax", "bx": "rbx", "cx": "rcx", "dx": "rdx", "si": "rsi", "di": "rdi", "bp": "rbp", "sp": "rsp"}


def register_by_name(name: str) -> Reg:
    """`eax` as the low 32 bits of `rax`; ValueError for registers that are not lifted."""
    if name in _WORDS:
        return Reg(_WORDS[name], 16)
    if name[1:] in _WORDS and name[0] in "er":
        return Reg(f"r{name[1:]}", 64 if name[0] == "r" else 32)
    if len(name) == 2 and name[0] in _LOW and name[1] in "lh":
        return Reg(_LOW[name[0]], 8, name[1] == "h")
    if name[-1] == "l" and name[:-1] in _WORDS:
        return Reg(_WORDS[name[:-1]], 8)
    if name[0] == "r" and name.rstrip("bwd")[1:].isdigit():
        return Reg(name.rstrip("bwd"), {"b": 8, "w": 16, "d": 32}.get(name[-1], 64))
    if name.startswith("xmm"):
        return Reg(name, 128)
    if name.startswith("st"):
        return Reg(f"st{name[3:4] or '0'}", 80)
    raise ValueError(f"register {name}")
