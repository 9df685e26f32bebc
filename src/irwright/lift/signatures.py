"""Function signatures in terms of the registers that carry them (System V ABI, x86-64)."""

from __future__ import annotations

from dataclasses import dataclass, field

from irwright.lift.expressions import bits

INTEGER_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLOAT_ARGUMENTS = tuple(f"xmm{n}" for n in range(8))
RESULTS = ("rax", "rdx", "xmm0", "xmm1")


@dataclass(slots=True)
class Signature:
    """What a function takes and gives back."""

    name: str = ""
    params: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(unit, LLVM type) in the order of the IR; `stack.N` is N bytes above the last register argument"""
    returns: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(unit, LLVM type); two make a struct"""
    is_variadic: bool = False
    num_fixed: int = 0
    """of a variadic function: parameters before the dots"""
    is_known: bool = False
    """from a prototype: nothing is inferred"""
    is_noreturn: bool = False
    is_capped: bool = False
    """above the bits of its integer result lies what nobody has set"""
    returns_twice: bool = False
    """setjmp and its like"""
    attributes: dict[int, str] = field(default_factory=dict[int, str])
    """parameter attributes by position, -1 the result"""

    def want_result(self, unit: str, width: int) -> None:
        """Note that a caller reads a result; known signatures don't grow."""
        if self.is_known or unit not in RESULTS or any(ty == "x86_fp80" for _, ty in self.returns):
            return
        for number, (known, ty) in enumerate(self.returns):
            if known == unit:
                if bits(ty) < width:
                    self.returns[number] = (unit, result_type(unit, width))
                return
        self.returns.append((unit, result_type(unit, width)))
        self.returns.sort(key=lambda item: RESULTS.index(item[0]))
        units = [unit for unit, _ in self.returns]
        if "rdx" in units and "rax" not in units:
            self.returns.insert(0, ("rax", "i64"))
        if "xmm1" in units and "xmm0" not in units:
            self.returns.insert(units.index("xmm1"), ("xmm0", "double"))

    def result_text(self) -> str:
        """The LLVM type of the result."""
        if not self.returns:
            return "void"
        if len(self.returns) == 1:
            return self.returns[0][1]
        return "{ " + ", ".join(ty for _, ty in self.returns) + " }"

    def type_text(self) -> str:
        """The LLVM function type."""
        params = [ty for _, ty in self.params]
        if self.is_variadic:
            params = [*params[: self.num_fixed], "..."]
        return f"{self.result_text()} ({', '.join(params)})"


def result_type(unit: str, width: int) -> str:
    """The type of a result of which so many bits are read."""
    if unit.startswith("xmm"):
        return "float" if width <= 32 else "double" if width <= 64 else "<2 x double>"
    return "i8" if width <= 8 else "i16" if width <= 16 else "i32" if width <= 32 else "i64"


def parameter_type(unit: str, width: int) -> str:
    """The type of a parameter of which so many bits are read; narrow ones are extended by callers."""
    if unit.startswith("xmm"):
        return "float" if width <= 32 else "double" if width <= 64 else "<2 x double>"
    return "i32" if width <= 32 else "i64"
