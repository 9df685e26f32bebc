"""Ownership, parsing and its errors, and the same IR as opt."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from conftest import SEEDS, Seeds, named_llvms, output_of, tool
from irwright.errors import ClosedError, IRError, LLVMError
from irwright.llvm import clang, toolchain
from irwright.llvm.codegen import CodegenLevel, TargetMachines
from irwright.llvm.library import Library
from irwright.llvm.module import Context, Linkage
from irwright.passes import PassList

TWO = b"""
define i32 @first(i32 %a) {
  %b = add i32 %a, 1
  %c = sub i32 %b, 1
  ret i32 %c
}

define internal i32 @"second \\22f\\22"(i32 %a) {
  %b = call i32 @first(i32 %a)
  ret i32 %b
}

declare void @elsewhere()
"""


def body(text: str) -> str:
    """IR text without the names of module and file."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("; ModuleID", "source_filename")))


# ---- ownership


def test_close_is_idempotent_and_use_after_it_an_error(library: Library) -> None:
    context = Context(library)
    module = context.parse(TWO, name="two.ll")
    module.close()
    module.close()
    with pytest.raises(ClosedError, match=r"module 'two.ll' is closed; parse or clone it again"):
        module.text()
    context.close()
    context.close()
    with pytest.raises(ClosedError, match="this LLVM context is closed; open a new one"):
        context.parse(TWO)


def test_context_closes_its_modules(library: Library) -> None:
    with Context(library) as context:
        module = context.parse(TWO)
        clone = module.clone()
    for closed in (module, clone):
        with pytest.raises(ClosedError):
            closed.bitcode()
        closed.close()


@pytest.mark.parametrize("use", ["text", "bitcode", "functions", "clone", "verify", "state_hash", "function_hashes"])
def test_every_use_after_close_is_an_error(context: Context, use: str) -> None:
    module = context.parse(TWO)
    module.close()
    with pytest.raises(ClosedError):
        getattr(module, use)()


def test_a_clone_is_independent(context: Context) -> None:
    with context.parse(TWO) as module:
        before = module.text()
        with module.clone() as clone:
            clone.run_passes("function(instcombine<no-verify-fixpoint>)")
            assert clone.text() != before
        assert module.text() == before


def test_linking_consumes_the_other(context: Context) -> None:
    module, other = context.parse(TWO), context.parse(b"define void @third() {\n  ret void\n}\n")
    module.link(other)
    assert "third" in module.functions()
    with pytest.raises(ClosedError):
        other.text()
    with pytest.raises(LLVMError, match=r"modules do not link: .*symbol multiply defined"):
        module.link(context.parse(b"define void @third() {\n  ret void\n}\n"))


# ---- reading


def test_functions_and_linkage(context: Context) -> None:
    module = context.parse(TWO)
    assert module.functions() == ["first", 'second "f"']
    assert [module.linkage(ref) for _, ref in module.definitions()] == [Linkage.EXTERNAL, Linkage.INTERNAL]
    assert [name for name, _ in module.function_refs()] == ["first", 'second "f"', "elsewhere"]
    assert module.num_instructions() == 5
    assert module.instructions_by_function() == {"first": 3, 'second "f"': 2}


@pytest.mark.parametrize("name", SEEDS)
def test_parse_print_parse(library: Library, seeds: Seeds, name: str) -> None:
    # Contexts of their own: a second type of the same name in one context is renamed.
    with Context(library) as one, Context(library) as two:
        module = one.parse(seeds.bitcode(name))
        again = two.parse(module.text().encode())
        assert body(again.text()) == body(module.text())
        assert again.state_hash() == module.state_hash()
        assert again.verify() is None


def test_names_are_dropped_unless_asked_for(library: Library, context: Context) -> None:
    assert "%b = add" not in context.parse(TWO).text()
    with Context(library, keep_names=True) as keeping:
        assert "%b = add" in keeping.parse(TWO).text()


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (b"define i32 @f() {\n  ret i32 oops\n}\n", 2, 11, "expected value token"),
        (b"define i32 @f() {\n  ret i64 0\n}\n", 2, 7, "value doesn't match function result type 'i32'"),
        (b"int main(void) { return 0; }\n", 1, 1, "expected top-level entity"),
        (b"define i32 @f() {\n", 2, 1, "found end of file when expecting more instructions"),
    ],
)
def test_text_errors_name_line_and_column(context: Context, text: bytes, line: int, column: int, message: str) -> None:
    with pytest.raises(IRError) as caught:
        context.parse(text, name="x.ll")
    assert str(caught.value) == f"x.ll:{line}:{column}: not valid LLVM IR: {message}"
    assert (caught.value.line, caught.value.column, caught.value.path) == (line, column, "x.ll")


@pytest.mark.parametrize("data", [b"", b"  \n\t\n"])
def test_empty_file(context: Context, data: bytes) -> None:
    with pytest.raises(IRError, match=r"^x: the file is empty, not LLVM IR$"):
        context.parse(data, name="x")


def test_neither_bitcode_nor_text(context: Context) -> None:
    with pytest.raises(IRError, match=r"^x: neither LLVM bitcode nor textual IR$"):
        context.parse(b"\x7fELF\2\1\1\0\0\0", name="x")


def test_truncated_bitcode(context: Context, seeds: Seeds) -> None:
    data = seeds.bitcode("checksum")
    for size in (4, 8, len(data) // 2, len(data) - 4):
        with pytest.raises(IRError, match=r"^cut\.bc: broken bitcode \(.+\); compile the file again$"):
            context.parse(data[:size], name="cut.bc")


def test_bitcode_of_a_newer_llvm(context: Context, library: Library, seeds: Seeds) -> None:
    newer = [found for name in named_llvms() if (found := toolchain.find(llvm=name)).major > library.major]
    if not newer:
        pytest.skip("IRWRIGHT_TEST_LLVMS names no newer LLVM")
    data = clang.seed_bitcode(newer[0].need_clang(), seeds.source("machine"), [])
    try:
        module = context.parse(data, name="new.bc")
    except IRError as error:
        assert f"bitcode of LLVM {newer[0].major}, which LLVM {library.major} can't read" in str(error)
    else:
        assert module.verify() is None  # nothing in it that the older one does not know


# ---- passes: the same as opt


OZ = "default<Oz>"
PIPELINES = (
    OZ,
    "default<O3>",
    "function(sroa,instcombine<no-verify-fixpoint>,simplifycfg)",
    "cgscc(inline),globaldce,function(gvn-hoist,newgvn)",
    "function(loop-mssa(licm),loop(loop-rotate)),iroutliner,mergefunc",
    "function(reg2mem,mem2reg,early-cse<memssa>,jump-threading)",
)


def opt(bitcode: bytes, pipeline: str) -> str:
    """The text of what `opt` makes of a module; told that code is position-independent, as the module flags say."""
    flags = ["-relocation-model=pic", "-discard-value-names", "-S", "-o", "-", "-"]
    return body(output_of(tool("opt"), f"-passes={pipeline}", *flags, stdin=bitcode).decode())


def same_as_opt(library: Library, bitcode: bytes, pipeline: str) -> None:
    machines = TargetMachines(library)
    with Context(library) as context, context.parse(bitcode) as module:
        expected = opt(bitcode, pipeline)
        module.run_passes(pipeline, target_machine=machines.get(module, CodegenLevel.DEFAULT))
        assert body(module.text()) == expected
    machines.close()


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_same_ir_as_opt(library: Library, seeds: Seeds, pipeline: str) -> None:
    for name in SEEDS:
        same_as_opt(library, seeds.bitcode(name), pipeline)


def test_same_ir_as_opt_for_sampled_lists(library: Library, seeds: Seeds) -> None:
    rng = random.Random(1)
    compared = 0
    for _ in range(30):
        pipeline = PassList.sample(rng, llvm_major=library.major, length=(1, 12)).pipeline(library.major)
        bitcode = seeds.bitcode(rng.choice(SEEDS))
        try:
            opt(bitcode, pipeline)
        except subprocess.CalledProcessError:
            continue  # opt is built with assertions, some lists trip one
        same_as_opt(library, bitcode, pipeline)
        compared += 1
    assert compared >= 20


def test_unknown_pass_is_an_error(context: Context) -> None:
    with pytest.raises(
        LLVMError, match=r"^LLVM \d+ rejects the pass list 'sroa,nosuch': unknown function pass 'nosuch'$"
    ):
        context.parse(TWO).run_passes("sroa,nosuch")


def test_empty_pass_list_changes_nothing(context: Context) -> None:
    module = context.parse(TWO)
    before = module.text()
    module.run_passes("")
    assert module.text() == before


def test_function_passes_change_the_named_functions_alone(context: Context, seeds: Seeds) -> None:
    module = context.parse(seeds.bitcode("checksum"))
    before = module.function_hashes()
    module.run_function_passes({"crc32": "sroa,instcombine<no-verify-fixpoint>", "adler32": ""})
    after = module.function_hashes()
    assert {name for name in before if before[name] != after[name]} == {"crc32"}
    assert module.verify() is None


def test_function_passes_need_llvm_20(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    module = context.parse(TWO)
    monkeypatch.setattr(module.library, "can_run_on_function", False)
    with pytest.raises(LLVMError, match="can't run passes on one function; LLVM 20 or newer can"):
        module.run_function_passes({"first": "sroa"})


def test_function_passes_equal_a_list_run_on_a_module_of_that_function(context: Context, seeds: Seeds) -> None:
    """What one function gets does not depend on what the others get."""
    pipeline = "sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>"
    with context.parse(seeds.bitcode("numbers")) as alone, context.parse(seeds.bitcode("numbers")) as together:
        alone.run_function_passes({"sort": pipeline})
        together.run_function_passes(dict.fromkeys(together.functions(), pipeline))
        assert alone.function_hashes()["sort"] == together.function_hashes()["sort"]
        assert alone.function_hashes()["digits"] != together.function_hashes()["digits"]


# ---- hashes


def test_state_hash_ignores_the_name_and_nothing_else(context: Context, seeds: Seeds) -> None:
    data = seeds.bitcode("checksum")
    one, two = context.parse(data, name="a"), context.parse(data, name="b")
    assert one.state_hash() == two.state_hash()
    two.run_passes("function(verify)")
    assert one.state_hash() == two.state_hash()
    two.run_passes("function(sroa)")
    assert one.state_hash() != two.state_hash()


# ---- pieces


def test_extracted_function_is_a_unit_of_its_own(context: Context, seeds: Seeds) -> None:
    module = context.parse(seeds.bitcode("checksum"))
    module.extract("fill")
    assert module.functions() == ["fill"]
    assert module.verify() is None
    ((_, ref),) = module.definitions()
    assert module.linkage(ref) == Linkage.EXTERNAL
    with pytest.raises(LLVMError, match=r"no function 'nosuch' is defined in 'checksum\.c'"):
        context.parse(seeds.bitcode("checksum"), name="checksum.c").extract("nosuch")


def test_a_function_is_extracted_from_a_module_with_aliases(context: Context) -> None:
    module = context.parse(
        b"@data = global i32 1\n@more = alias i32, ptr @data\n@g = alias i32 (i32), ptr @f\n"
        b"define i32 @f(i32 %x) {\n  ret i32 %x\n}\n"
        b"define i32 @user() {\n  %v = load i32, ptr @more\n  %r = call i32 @g(i32 %v)\n  ret i32 %r\n}\n"
    )
    module.extract("user")
    assert module.verify() is None
    assert module.functions() == ["user"]
    text = module.text()
    assert "alias" not in text
    assert "@more = external global i32" in text and "declare i32 @g(i32)" in text


def test_flags_and_layout(context: Context, seeds: Seeds) -> None:
    module = context.parse(seeds.bitcode("checksum"))
    assert module.flag("PIC Level") == 2
    assert module.flag("no such flag") is None
    assert module.triple.startswith("x86_64")
    assert module.data_layout.startswith("e-m:e-")


def test_verify_tells_what_is_wrong(context: Context) -> None:
    module = context.parse(b"define void @f() {\n  ret void\n}\n")
    assert module.verify() is None
    ((_, ref),) = module.definitions()
    module.api.LLVMSetLinkage(ref, Linkage.PRIVATE)
    module.api.LLVMSetVisibility(ref, 1)
    problem = module.verify()
    assert problem is None or "visibility" in problem


def test_debug_info_is_stripped(context: Context, seeds: Seeds, tmp_path: Path) -> None:
    data = clang.seed_bitcode(seeds.clang, seeds.source("checksum"), ["-g"])
    with context.parse(data) as module, context.parse(seeds.bitcode("checksum")) as plain:
        assert "!DILocation" in module.text()
        module.strip_debug_info()
        assert "!DI" not in module.text()
        assert module.function_hashes() == plain.function_hashes()


def test_marks_to_inline_always_are_seen(context: Context) -> None:
    marked = b"define internal i32 @f() alwaysinline {\n  ret i32 1\n}\n"
    assert context.parse(marked).has_always_inline()
    assert not context.parse(b"define i32 @f() {\n  ret i32 1\n}\ndeclare void @g() alwaysinline\n").has_always_inline()
    module = context.parse(marked)
    ((_, ref),) = module.definitions()
    assert module.has_attribute(ref, b"alwaysinline") and not module.has_attribute(ref, b"noinline")
