"""Guides of IR and assembly: what may be said next, and when an answer may end."""

from __future__ import annotations

from irwright.models.guides import AssemblyGuide, IRGuide, Span

CODE = "define i32 @f0(i32 %0) {\n  %2 = add i32 %0, 1\n  ret i32 %2\n}"


def test_ir_ends_with_its_sizes_or_without() -> None:
    plain, sized = IRGuide(), IRGuide(sizes=True)
    assert plain.may_end(CODE) and not sized.may_end(CODE)
    assert sized.may_end(f"{CODE}<|sizes|>2 57") and not sized.may_end(f"{CODE}<|sizes|>2")
    assert sized.fault(f"{CODE}<|sizes|>2 5") is None
    assert sized.fault(f"{CODE}<|sizes|>x") is not None
    assert plain.fault(f"{CODE}<|sizes|>") is not None
    assert not plain.may_end(CODE[:-2])
    assert sized.fault(CODE.replace("}", "<|sizes|>")) is not None


def test_ir_is_wrong_in_its_place() -> None:
    guide = IRGuide()
    assert guide.fault(CODE[: CODE.index("%0, 1") + 2]) is None
    wrong = CODE.replace("add i32 %0", "add i32 %7")
    place = wrong.index("7")
    assert guide.fault(wrong[: place + 1]) == Span(place, place + 1)
    assert guide.fault(wrong) == Span(place, place + 1)
    assert guide.fault(CODE) is None  # what was remembered of the wrong text is gone


def test_ir_hurries_when_it_is_long_enough() -> None:
    guide = IRGuide(enough=20)
    begun = CODE[: CODE.index("%2 = add")]
    assert guide.fault(f"{begun}%2") is not None
    assert guide.fault(f"{begun}ret i32 %0") is None


def test_lines_are_not_said_over_and_over() -> None:
    head = "define void @f0(ptr %0) {\n"
    store = "  store i32 1, ptr %0, align 4\n"
    guide = IRGuide()
    assert guide.fault(head + 4 * store + "  ret ") is None
    assert guide.fault(head + 4 * store + store[:20]) is not None


def test_assembly_is_watched_line_by_line() -> None:
    asked: list[str] = []

    def assembles(line: str) -> bool:
        asked.append(line)
        return "bad" not in line and "%xmm9, %rax" not in line

    guide = AssemblyGuide(assembles, sizes=True)
    code = "f0:\n\tje\t.LBB0_2\n\tretq\n.LBB0_2:\n\tretq"
    assert guide.may_end(f"{code}<|sizes|>3 12") and not guide.may_end(code)
    assert "\tje\tx" in asked
    assert guide.fault(f"{code}<|sizes|>3") is None
    assert guide.fault(code.replace("\n.LBB0_2:", "") + "<|sizes|>") is not None  # a label is missing
    assert guide.fault(code + "\n.LBB0_2:") is not None  # one too many
    wrong = "f0:\n\tmovq\t%xmm9, %rax\n"
    assert guide.fault(wrong) == Span(4, len(wrong))
    assert guide.fault("f0:\n\tmovq\t%rxx") is not None
    late = AssemblyGuide(assembles, enough=10)
    assert late.fault(code[: code.index("\tretq")] + "\tmov") is not None
    assert late.fault(code[: code.index("\tretq")] + ".LBB") is None
