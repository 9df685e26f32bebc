"""What verdicts add up to."""

from __future__ import annotations

from irwright.verify.verdicts import FunctionVerdict, ObjectVerdict, VerdictKind, category


def verdict(name: str, kind: VerdictKind, reason: str = "") -> FunctionVerdict:
    counts = {"num_runs": 8, "num_conclusive": 8, "blocks": 2, "blocks_covered": 2}
    return FunctionVerdict(function=name, kind=kind, reason=reason, seed=None, **counts)


def test_reasons_are_counted_by_category() -> None:
    reasons = {
        "the original ends in fault: null pointer access": "no input that does not fault",
        "the original ends in fault: jump to null": "no input that does not fault",
        "over 50000 instructions without a call": "no input that ends",
        "over 100 calls": "too many calls, or too long",
        "over 10 s": "too many calls, or too long",
        "a static function: its callers may know more of its arguments": "static, and its callers are compared",
        "undefined behaviour: -O0 and the original differ": "undefined: -O0 code does something else",
        "undefined behaviour: -O0 code depends on addresses or unwritten memory": (
            "undefined: depends on addresses or what nothing wrote"
        ),
        "what an earlier call left on the stack is read": "undefined: reads what nothing wrote",
        "the emulator crashed (signal SIGSEGV)": "the emulator failed",
        "instruction 0f05 is not emulated": "not emulated",
        "something new": "other",
    }
    assert {reason: category(reason) for reason in reasons} == reasons
    functions = [verdict(f"f{number}", VerdictKind.INCONCLUSIVE, reason) for number, reason in enumerate(reasons)]
    found = ObjectVerdict(functions=(*functions, verdict("g", VerdictKind.EQUAL, "over 100 calls")))
    assert found.reasons()["no input that does not fault"] == 2
    assert found.reasons().total() == len(reasons)
