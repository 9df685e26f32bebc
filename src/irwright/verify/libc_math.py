"""Functions of the math library, computed by this machine's own: float, double and long double forms of each."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import math
import struct
from typing import Any

from irwright.verify.calls import Call
from irwright.verify.libc_strings import MODELS

ONE_ARGUMENT = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2"),
    *("expm1", "fabs", "floor", "log", "log10", "log1p", "log2", "logb", "nearbyint", "rint", "round", "sin"),
    *("sinh", "sqrt", "tan", "tanh", "tgamma", "trunc", "exp10", "lgamma", "roundeven", "j0", "j1", "y0", "y1"),
)
TWO_ARGUMENTS = (
    *("atan2", "copysign", "fdim", "fmax", "fmin", "fmod", "hypot", "nextafter", "pow", "remainder", "drem"),
)
TO_INTEGER = ("lrint", "llrint", "lround", "llround", "ilogb")


@functools.cache
def _libm() -> Any:
    return ctypes.CDLL(ctypes.util.find_library("m") or None)


@functools.cache
def _function(name: str, num_arguments: int) -> Any:
    function = getattr(_libm(), name)
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double] * num_arguments
    return function


def _take(call: Call, suffix: str) -> float:
    if suffix == "f":
        return call.float()
    return call.long_double() if suffix == "l" else call.double()


def _give(call: Call, suffix: str, value: float) -> None:
    if suffix == "f":
        call.give_float(value)
    elif suffix == "l":
        call.give_long_double(value)
    else:
        call.give_double(value)


def _apply(call: Call, name: str, suffix: str, num_arguments: int) -> None:
    # A float's function is its double's, rounded: what a compiler shrinks (or not) must come out the same.
    arguments = [_take(call, suffix) for _ in range(num_arguments)]
    _give(call, suffix, _function(name, num_arguments)(*arguments))


def _to_integer(call: Call, name: str, suffix: str) -> None:
    value = _take(call, suffix)
    if not math.isfinite(value) or abs(value) >= 2.0**63:
        call.give(0x7FFFFFFF if name == "ilogb" else 1 << 63)
    elif name == "ilogb":
        call.give((math.frexp(value)[1] - 1 if value else -0x80000000) & 0xFFFFFFFF)
    elif "round" in name:
        call.give(math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1))
    else:
        call.give(round(value))


def _scale(call: Call, suffix: str, bits: int) -> None:
    value = _take(call, suffix)
    exponent = call.integer(bits)
    try:
        _give(call, suffix, math.ldexp(value, exponent))
    except OverflowError:
        _give(call, suffix, math.copysign(math.inf, value))


def _split(call: Call, name: str, suffix: str) -> None:
    """frexp and modf: one part is the result, one goes to memory."""
    value, place = _take(call, suffix), call.pointer()
    if name == "frexp":
        fraction, exponent = math.frexp(value)
        call.memory.write(place, struct.pack("<i", exponent))
    else:
        fraction, whole = math.modf(value)
        call.memory.write(place, struct.pack("<f" if suffix == "f" else "<d", whole))
    _give(call, suffix, fraction)


def _sincos(call: Call, suffix: str) -> None:
    value, sine, cosine = _take(call, suffix), call.pointer(), call.pointer()
    layout = "<f" if suffix == "f" else "<d"
    for place, name in ((sine, "sin"), (cosine, "cos")):
        call.memory.write(place, struct.pack(layout, _function(name, 1)(value)))


def _fma(call: Call, suffix: str) -> None:
    x, y, z = (_take(call, suffix) for _ in range(3))
    _give(call, suffix, _function("fma", 3)(x, y, z))


def _classify(call: Call, suffix: str, name: str) -> None:
    value = _take(call, suffix)
    tests = {"isnan": math.isnan, "isinf": math.isinf, "finite": math.isfinite}
    call.give(int(tests[name](value)))


for _suffix in ("", "f", "l"):
    for _name in ONE_ARGUMENT:
        MODELS[_name + _suffix] = functools.partial(_apply, name=_name, suffix=_suffix, num_arguments=1)
    for _name in TWO_ARGUMENTS:
        MODELS[_name + _suffix] = functools.partial(_apply, name=_name, suffix=_suffix, num_arguments=2)
    for _name in TO_INTEGER:
        MODELS[_name + _suffix] = functools.partial(_to_integer, name=_name, suffix=_suffix)
    for _name in ("frexp", "modf"):
        if _suffix != "l":
            MODELS[_name + _suffix] = functools.partial(_split, name=_name, suffix=_suffix)
    for _name in ("isnan", "isinf", "finite"):
        MODELS[_name + _suffix] = functools.partial(_classify, name=_name, suffix=_suffix)
        MODELS[f"__{_name}{_suffix}"] = MODELS[_name + _suffix]
    MODELS["ldexp" + _suffix] = MODELS["scalbn" + _suffix] = functools.partial(_scale, suffix=_suffix, bits=32)
    MODELS["scalbln" + _suffix] = functools.partial(_scale, suffix=_suffix, bits=64)
    MODELS["fma" + _suffix] = functools.partial(_fma, suffix=_suffix)
    if _suffix != "l":
        MODELS["sincos" + _suffix] = functools.partial(_sincos, suffix=_suffix)
