"""Intrinsics that guided text may call, with their signatures: LLVM knows them and takes no other."""

from __future__ import annotations

from irwright.grammar.types import I1, I8, I64, PTR, VOID, Type, integer, structure

FLAG = Type("i1", "flag")
"""an argument that must be a constant"""
VARIABLE = Type("ptr", "variable")
"""an alloca"""
THREAD_LOCAL = Type("ptr", "thread local")
"""a thread-local variable"""

_FLOATS = {"f32": Type("float", "float"), "f64": Type("double", "float")}
_OF_TWO = ("smax", "smin", "umax", "umin", "usub.sat", "uadd.sat", "sadd.sat", "ssub.sat", "expect")
_OF_ONE = ("bswap", "ctpop", "bitreverse")
_WITH_FLAG = ("abs", "ctlz", "cttz")
_OVERFLOW = ("umul", "smul", "uadd", "sadd", "usub", "ssub")
_FLOAT_OF_ONE = ("fabs", "floor", "ceil", "sqrt", "trunc", "round", "rint", "exp2", "exp", "log", "sin", "cos")
_FLOAT_OF_TWO = ("maxnum", "minnum", "copysign", "pow")


def _signatures() -> dict[str, tuple[Type, tuple[Type, ...]]]:
    found: dict[str, tuple[Type, tuple[Type, ...]]] = {
        "lifetime.start.p0": (VOID, (VARIABLE,)),
        "lifetime.end.p0": (VOID, (VARIABLE,)),
        "memset.p0.i64": (VOID, (PTR, I8, I64, FLAG)),
        "memcpy.p0.p0.i64": (VOID, (PTR, PTR, I64, FLAG)),
        "memmove.p0.p0.i64": (VOID, (PTR, PTR, I64, FLAG)),
        "va_start.p0": (VOID, (PTR,)),
        "va_end.p0": (VOID, (PTR,)),
        "va_copy.p0": (VOID, (PTR, PTR)),
        "assume": (VOID, (I1,)),
        "trap": (VOID, ()),
        "threadlocal.address.p0": (PTR, (THREAD_LOCAL,)),
        "load.relative.i64": (PTR, (PTR, I64)),
    }
    for bits in (8, 16, 32, 64, 128):
        kind, name = integer(bits), f"i{bits}"
        found |= {f"{one}.{name}": (kind, (kind, kind)) for one in _OF_TWO}
        found |= {f"{one}.{name}": (kind, (kind,)) for one in _OF_ONE if (one, bits) != ("bswap", 8)}
        found |= {f"{one}.{name}": (kind, (kind, FLAG)) for one in _WITH_FLAG}
        found |= {f"{one}.{name}": (kind, (kind, kind, kind)) for one in ("fshl", "fshr")}
        found |= {f"{one}.with.overflow.{name}": (structure(kind, I1), (kind, kind)) for one in _OVERFLOW}
        for result in (8, 32):
            found |= {f"{one}.i{result}.{name}": (integer(result), (kind, kind)) for one in ("ucmp", "scmp")}
    for name, kind in _FLOATS.items():
        found |= {f"{one}.{name}": (kind, (kind,)) for one in _FLOAT_OF_ONE}
        found |= {f"{one}.{name}": (kind, (kind, kind)) for one in _FLOAT_OF_TWO}
        found |= {f"{one}.{name}": (kind, (kind, kind, kind)) for one in ("fmuladd", "fma")}
    return found


SIGNATURES = _signatures()
"""name without `llvm.`: result and arguments"""
