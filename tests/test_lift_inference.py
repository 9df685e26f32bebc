"""What is known of registers at calls and returns, where calls do not come back or own callees give nothing."""

from __future__ import annotations

from irwright.lift.inference import first_calls, kept_narrow, unread_at_end, ways
from irwright.lift.lifter import FileLifter
from irwright.lift.signatures import Signature
from irwright.lift.webs import Analysis
from lifted_text import lifted as as_likely
from lifted_text import soundly_lifted as lifted


def params(lifter: FileLifter, name: str) -> list[str]:
    return [unit for unit, _ in lifter.externals[name].params]


GUARDED = "pushq %rax\ntestl %esi, %esi\nje .L1\ncallq fail@PLT\n.L1:\nmovl $2, %esi\npopq %rax\njmp g@PLT"


def test_what_stands_behind_a_call_that_may_not_return_takes_no_argument_away() -> None:
    assert params(lifted(f=GUARDED), "g")[:2] == ["rdi", "rsi"]


def test_what_only_such_a_call_leads_to_is_reached() -> None:
    lifter = lifted(f="pushq %rbx\nmovl %edi, %ebx\ncallq g@PLT\n.L1:\ndecl %ebx\njne .L1\npopq %rbx\nretq")
    flow = lifter.functions["f"].flow
    assert flow is not None
    assert ways(flow, lambda _call: True) == [[1], [1, 2], []]
    assert lifter.functions["f"].problem == ""


def test_functions_that_never_return_are_found() -> None:
    lifter = lifted(
        die="pushq %rax\ntestl %edi, %edi\nje .L2\ncallq die\n.L2:\ncallq exit@PLT",
        f=GUARDED.replace("fail@PLT", "die").replace(".L1", ".L3"),
    )
    assert lifter.noreturn == {"die"}
    flow = lifter.functions["f"].flow
    assert flow is not None
    assert [block.successors for block in flow.blocks] == [[2, 1], [], []]


def test_own_callees_are_not_asked_for_results_that_they_can_not_give() -> None:
    lifter = lifted(
        h="pushq %rax\ncallq strlen@PLT\npopq %rcx\nretq",
        f="pushq %rbx\nmovq %rdi, %rbx\ncallq h\nmovq %rbx, %rdi\npopq %rbx\njmp g@PLT",
        k="addsd %xmm0, %xmm0\nretq",
    )
    assert [one.problem for one in lifter.functions.values()] == ["", "", ""]
    assert [unit for unit, _ in lifter.functions["h"].signature.returns] == ["rax"]
    assert params(lifter, "g") == ["rdi"]


def test_places_of_code_are_no_results() -> None:
    table = ".section .rodata\n.p2align 2\n.LT:\n.long .L1-.LT\n.long .L2-.LT\n.text"
    jump = "leaq .LT(%rip), %rcx\nmovslq (%rcx,%rax,4), %rax\naddq %rcx, %rax\njmpq *%rax"
    body = f"movl (%rdi), %eax\ncmpl $1, %eax\nja .L3\n{jump}\n.L1:\nmovl $7, 4(%rdi)\nretq\n.L2:\nmovl $9, 4(%rdi)\n"
    lifter = lifted(f=f"{body}.L3:\nretq\n{table}")
    assert lifter.functions["f"].problem == ""
    assert lifter.functions["f"].signature.returns == []


def test_results_are_no_wider_than_what_is_there_on_every_path() -> None:
    body = (
        "pushq %rbx\nmovq %rdi, %rbx\ncallq close@PLT\ntestl %eax, %eax\njs .L1\nmovq %rbx, %rax\n.L1:\npopq %rbx\nretq"
    )
    assert lifted(f=body).functions["f"].signature.returns == [("rax", "i32")]
    assert lifted(f=body.replace("close", "own")).functions["f"].signature.returns == [("rax", "i64")]


def test_what_the_first_block_keeps_of_an_argument_is_narrow() -> None:
    body = "pushq %rbx\nmovl %edi, %ebx\nmovq %rsi, %r8\nmovl $1, %edx\nmovl %edx, %r9d\ncallq g@PLT\nmovl %ecx, %ebx"
    flow = lifted(f=f"{body}\npopq %rbx\nretq").functions["f"].flow
    assert flow is not None
    assert kept_narrow(flow) == {"rdi"}  # rsi is kept whole, rdx was written before, rcx is read behind the call


def test_what_blocks_leave_for_a_call_behind_them_alone() -> None:
    body = "movl $3, %edx\ntestl %edi, %edi\nje .L1\nmovl $5, %esi\njmp .L2\n.L1:\nmovl $6, %esi\n.L2:\n"
    lifter = lifted(f=f"{body}jmp g@PLT", h=f"{body}movl %edx, (%rdi)\njmp g@PLT".replace(".L", ".LH"))
    found: dict[str, list[tuple[int, str]]] = {}
    for name, one in lifter.functions.items():
        assert one.flow is not None
        analysis = Analysis(one.flow, {call.index: Signature() for call in one.flow.calls}, (), set())
        analysis.demands()
        found[name] = unread_at_end(one.flow, analysis)
        calls = [[call.name for call in first_calls(one.flow, *where)] for where in found[name]]
        assert calls == [["g"]] * len(found[name])
    assert found == {"f": [(0, "rdx"), (1, "rsi"), (2, "rsi")], "h": [(1, "rsi"), (2, "rsi")]}


def test_a_register_that_is_set_again_leads_to_no_call() -> None:
    body = "movl $3, %edx\ntestl %edi, %edi\nje .L1\nmovl $5, %edx\n.L1:\ncallq g@PLT\nmovl $1, %edx\njmp h@PLT"
    flow = lifted(f=f"pushq %rax\n{body}".replace("jmp h@PLT", "popq %rax\njmp h@PLT")).functions["f"].flow
    assert flow is not None
    assert [call.name for call in first_calls(flow, 0, "rdx")] == ["g"]
    assert [call.name for call in first_calls(flow, 0, "rsi")] == ["g"]


def test_parameters_that_are_taken_backwards_were_not_made_wider() -> None:
    taken = "movl %edx, %ecx\nmovl %esi, %edx\nmovq %rdi, %rsi\nxorl %edi, %edi\njmp g@PLT"
    assert as_likely(taken).externals["g"].params[2:] == [("rdx", "i32"), ("rcx", "i32")]
    later = as_likely(f"xorl %eax, %eax\n{taken}").externals["g"].params  # behind other code it is no such copy
    assert later[2:] == [("rdx", "i64"), ("rcx", "i64")]


def test_what_reads_lost_registers_behind_a_call_shows_that_it_does_not_come_back() -> None:
    check = "pushq %rax\ntestl %edi, %edi\njne .L1\ncallq fail@PLT\n.L1:\nleal 5(%rsi), %eax\npopq %rcx\nretq"
    assert lifted(f=check).ending() == {"fail"}
    assert lifted(f=check.replace("fail@PLT", "fail@PLT\nmovl $3, %esi")).ending() == set()
    assert lifted(f=check.replace("5(%rsi)", "5(%rdx)")).ending() == set()  # that may be a result
    assert lifted(f=check.replace("fail", "mcount")).ending() == set()
    assert lifted(f=check.replace("leal 5(%rsi), %eax", "callq g@PLT")).ending() == set()


def test_a_byte_set_in_what_a_call_left_is_a_result_of_a_byte() -> None:
    end = "testl %eax, %eax\nsete %al\npopq %rcx\nretq"
    assert as_likely(f"pushq %rax\ncallq g@PLT\n{end}").functions["f"].signature.returns == [("rax", "i8")]
    zeroed = f"pushq %rax\ncallq g@PLT\nmovl %eax, %ecx\nxorl %eax, %eax\n{end.replace('eax', 'ecx')}"
    assert as_likely(zeroed).functions["f"].signature.returns == [("rax", "i32")]


def test_what_a_callee_may_have_written_over_is_no_result() -> None:
    body = (
        "subq $8, %rsp\nmovl (%rsi), %eax\npushq %rax\npushq %rdi\ncallq g@PLT\npopq {}\npopq %rdx\naddq $8, %rsp\nretq"
    )
    assert lifted(f=body.format("%rax")).functions["f"].signature.returns == []
    assert lifted(f=body.format("%rcx")).functions["f"].signature.returns == [("rax", "i64")]
    kept = "pushq %rdi\nmovq (%rdi), %rax\npopq %rax\nretq"
    assert lifted(f=kept).functions["f"].signature.returns == [("rax", "i64")]


def test_above_bytes_that_are_set_lies_nothing() -> None:
    byte = "testq %rsi, %rsi\nsete %al\ntestq %rdx, %rdx\nsete %dl\norb %dl, %al\njne .L1\n"
    found = lifted(
        f=f"pushq %rbx\n{byte}movq %rdi, %rbx\ncallq g@PLT\n.L1:\npopq %rbx\nretq",
        h="movl 24(%rdx), %eax\ntestl %eax, %eax\nje .L2\njmp f\n.L2:\nretq",
    )
    assert [one.signature.returns for one in found.functions.values()] == [[("rax", "i8")]] * 2


def test_what_gives_back_room_is_no_argument() -> None:
    body = "pushq %rcx\ncallq h@PLT\nmovl $5, %edi\npopq {}\njmp g@PLT"
    assert lifted(f=body.format("%rdx")).needed["g"] == 1
    assert lifted(f=body.format("%rcx").replace("popq", "movq (%rsp), %rsi\npopq")).needed["g"] == 2


def test_results_settle_however_long_the_chain_is() -> None:
    chain = {f"f{number}": f"jmp f{number - 1}" for number in range(1, 8)}
    found = lifted(f0="movl %edi, (%rsi)\nretq", **chain)
    assert [one.signature.returns for one in found.functions.values()] == [[]] * 8


def test_callees_whose_calls_set_different_numbers_of_arguments() -> None:
    one = "pushq %rbx\nmovl %edi, %ebx\nxorl %eax, %eax\ncallq g@PLT\nmovl $2, %esi\nmovl %ebx, %edi\n{}\ncallq g@PLT\n"
    assert lifted(f=one.format("xorl %eax, %eax") + "popq %rbx\nretq").fewest() == {"g": 2}
    assert lifted(f=one.format("").replace("xorl %eax, %eax\n", "") + "popq %rbx\nretq").fewest() == {}


def test_parameters_of_which_32_bits_are_read_are_handed_on_with_32() -> None:
    body = "movq p(%rip), %rax\ntestq %rax, %rax\nje .L1\nmovq %rdx, %rsi\njmpq *%rax\n.L1:\n{}\nretq"
    for read, wanted in (("movl %edi, (%rsi)", "i32"), ("movl %edi, (%rsi)\nmovq %rdi, 8(%rsi)", "i64")):
        found = as_likely(body.format(read)).functions["f"].signature.params
        assert dict(found)["rdi"] == wanted


def test_callers_know_what_a_callee_gives_no_more_of() -> None:
    body = "testl %edi, %edi\nje .L{0}\njmp {1}\n.L{0}:\njmp g@PLT"
    found = lifted(f=body.format(1, "close@PLT"), h=body.format(2, "f"))
    assert [one.signature.returns for one in found.functions.values()] == [[("rax", "i32")]] * 2
    found = lifted(f="movl (%rdi), %eax\nretq", h=body.format(2, "f"))
    assert found.functions["h"].signature.returns == [("rax", "i64")]
