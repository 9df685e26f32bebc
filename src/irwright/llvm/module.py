"""Context and Module: LLVM's objects with an owner.

`with Context(library) as context` owns everything made inside it. A Module belongs to its context; closing
either twice is harmless, using either after close raises `ClosedError` instead of crashing. Nothing here is
thread-safe, and hostile IR can abort the process: only worker processes (worker.py) call this in production.

The library is opened in library.py, code generation is in codegen.py, the pass vocabulary in passes.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Container, Iterator, Mapping, Set
from ctypes import byref, c_size_t, c_void_p
from enum import IntEnum
from types import TracebackType
from typing import Self

from irwright.digests import blake2b
from irwright.errors import ClosedError, IRError, LLVMError
from irwright.llvm import bindings
from irwright.llvm.bodies import hash_bodies, split_text
from irwright.llvm.library import Library, PassOptions
from irwright.llvm.messages import explain_bitcode, ir_error

BITCODE_MAGICS = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
"""Raw bitcode and the wrapper that Apple's tools put around it."""


FUNCTION_INDEX = 0xFFFFFFFF
"""LLVMAttributeFunctionIndex"""

FUNCTION_TYPE = 9
"""LLVMFunctionTypeKind"""


class Linkage(IntEnum):
    """The members of LLVMLinkage that irwright sets or asks for."""

    EXTERNAL = 0
    AVAILABLE_EXTERNALLY = 1
    LINK_ONCE_ANY = 2
    LINK_ONCE_ODR = 3
    WEAK_ANY = 5
    WEAK_ODR = 6
    INTERNAL = 8
    PRIVATE = 9


CLONES_BLOCK_ADDRESSES = 22
"""the first LLVM that is known to copy labels whose address data hold: 17 makes them labels of the original"""


class Context:
    """An LLVMContext and the diagnostics raised in it.

    `keep_names=False` drops the names of values on parsing, which makes clones and printing cheaper and gives
    the same text to modules that differ in names alone.
    """

    def __init__(self, library: Library, *, keep_names: bool = False) -> None:
        self.library = library
        self.api = library.api
        self._ref: int | None = self.api.LLVMContextCreate()
        self._modules: set[Module] = set()
        self.diagnostics: list[str] = []
        self._keeps_names = keep_names
        self.api.LLVMContextSetDiscardValueNames(self._ref, 0 if keep_names else 1)
        # The handler object must live as long as the context: LLVM holds a bare pointer to it.
        self._handler = bindings.DIAGNOSTIC_HANDLER(self._on_diagnostic)
        self.api.LLVMContextSetDiagnosticHandler(self._ref, self._handler, None)

    def _on_diagnostic(self, info: int, _context: int | None) -> None:
        if self.api.LLVMGetDiagInfoSeverity(info) == 0:  # LLVMDSError
            self.diagnostics.append(self.library.take_string(self.api.LLVMGetDiagInfoDescription(info)))

    @property
    def ref(self) -> int:
        if self._ref is None:
            raise ClosedError("this LLVM context is closed; open a new one")
        return self._ref

    def take_diagnostics(self) -> str:
        """All error diagnostics since the last call, joined."""
        text = "; ".join(self.diagnostics)
        self.diagnostics.clear()
        return text

    def parse(self, data: bytes, *, name: str = "<input>") -> Module:
        """Parse bitcode or textual IR; `IRError` with line and column where LLVM names them."""
        if not data.strip():
            raise IRError(name, "the file is empty, not LLVM IR")
        if data.startswith(BITCODE_MAGICS):
            return self._parse_bitcode(data, name)
        return self._parse_text(data, name)

    def _parse_bitcode(self, data: bytes, name: str) -> Module:
        buffer = self.api.LLVMCreateMemoryBufferWithMemoryRangeCopy(data, len(data), name.encode())
        module = c_void_p()
        self.diagnostics.clear()
        failed = self.api.LLVMParseBitcodeInContext2(self.ref, buffer, byref(module))
        self.api.LLVMDisposeMemoryBuffer(buffer)
        problem = self.take_diagnostics()
        if failed or not module.value:
            raise IRError(name, explain_bitcode(problem, self.library.major))
        return self.adopt(module.value, name)

    def _parse_text(self, data: bytes, name: str) -> Module:
        if b"\0" in data:
            raise IRError(name, "neither LLVM bitcode nor textual IR")
        if not self._keeps_names:  # the text parser needs names; they are dropped on the way through bitcode
            with Context(self.library, keep_names=True) as naming:
                data = naming.parse(data, name=name).bitcode()
            return self._parse_bitcode(data, name)
        # LLVM wants the byte behind the buffer to be zero; the copy sees to it. The parser owns the buffer.
        buffer = self.api.LLVMCreateMemoryBufferWithMemoryRangeCopy(data, len(data), name.encode())
        module = c_void_p()
        message = c_void_p()
        self.diagnostics.clear()
        failed = self.api.LLVMParseIRInContext(self.ref, buffer, byref(module), byref(message))
        problem = self.library.take_string(message.value) or self.take_diagnostics()
        if failed or not module.value:
            raise ir_error(problem, name)
        return self.adopt(module.value, name)

    def adopt(self, ref: int, name: str) -> Module:
        """Take ownership of an LLVMModuleRef that lives in this context."""
        module = Module(self, ref, name)
        self._modules.add(module)
        return module

    def forget(self, module: Module) -> None:
        """Drop a module from the list of what close() releases."""
        self._modules.discard(module)

    def close(self) -> None:
        """Release all modules, then the context; harmless when closed already."""
        if self._ref is None:
            return
        for module in list(self._modules):
            module.close()
        self.api.LLVMContextDispose(self._ref)
        self._ref = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()


class Module:
    """One LLVM module; made by `Context.parse` or `clone`, released by `close` or with its context."""

    def __init__(self, context: Context, ref: int, name: str) -> None:
        self.context = context
        self.library = context.library
        self.api = context.api
        self.name = name
        self._ref: int | None = ref
        self._is_cloned_wrong: bool | None = None
        """LLVM's own copy would be another program; None: not looked at yet"""

    @property
    def ref(self) -> int:
        if self._ref is None:
            raise ClosedError(f"module {self.name!r} is closed; parse or clone it again")
        return self._ref

    @property
    def triple(self) -> str:
        return self.api.LLVMGetTarget(self.ref).decode()

    @triple.setter
    def triple(self, triple: str) -> None:
        self.api.LLVMSetTarget(self.ref, triple.encode())

    def set_data_layout(self, layout: str) -> None:
        self.api.LLVMSetDataLayout(self.ref, layout.encode())

    @property
    def data_layout(self) -> str:
        return self.api.LLVMGetDataLayoutStr(self.ref).decode()

    def flag(self, key: str) -> int | None:
        """An integer module flag such as `PIC Level`, None where it is absent."""
        encoded = key.encode()
        metadata = self.api.LLVMGetModuleFlag(self.ref, encoded, len(encoded))
        if not metadata:
            return None
        value = self.api.LLVMMetadataAsValue(self.context.ref, metadata)
        if self.api.LLVMGetMDNodeNumOperands(value) != 1:
            return None
        operand = c_void_p()
        self.api.LLVMGetMDNodeOperands(value, byref(operand))
        if not operand.value or not self.api.LLVMIsAConstantInt(operand.value):
            return None
        return self.api.LLVMConstIntGetZExtValue(operand.value)

    def function_refs(self) -> Iterator[tuple[str, int]]:
        """(name, LLVMValueRef) of every function, declarations included, in module order."""
        ref = self.api.LLVMGetFirstFunction(self.ref)
        while ref:
            yield self.value_name(ref), ref
            ref = self.api.LLVMGetNextFunction(ref)

    def definitions(self) -> list[tuple[str, int]]:
        """(name, LLVMValueRef) of the functions with a body that this module emits code for."""
        return [
            (name, ref)
            for name, ref in self.function_refs()
            if not self.api.LLVMIsDeclaration(ref) and self.linkage(ref) != Linkage.AVAILABLE_EXTERNALLY
        ]

    def functions(self) -> list[str]:
        """Names of the functions this module defines."""
        return [name for name, _ in self.definitions()]

    def alias_refs(self) -> Iterator[tuple[str, int]]:
        """(name, LLVMValueRef) of every alias."""
        ref = self.api.LLVMGetFirstGlobalAlias(self.ref)
        while ref:
            yield self.value_name(ref), ref
            ref = self.api.LLVMGetNextGlobalAlias(ref)

    def global_refs(self) -> Iterator[tuple[str, int]]:
        """(name, LLVMValueRef) of every global variable."""
        ref = self.api.LLVMGetFirstGlobal(self.ref)
        while ref:
            yield self.value_name(ref), ref
            ref = self.api.LLVMGetNextGlobal(ref)

    def value_name(self, ref: int) -> str:
        size = c_size_t()
        start = self.api.LLVMGetValueName2(ref, byref(size))
        return ctypes.string_at(start, size.value).decode(errors="surrogateescape")

    def linkage(self, ref: int) -> int:
        return self.api.LLVMGetLinkage(ref)

    def remove_attributes(self, *names: bytes, functions: Container[str] | None = None) -> None:
        """Take attributes without a value, such as `minsize`, from functions with code: those named, or all."""
        kinds = [self.api.LLVMGetEnumAttributeKindForName(name, len(name)) for name in names]
        for function, ref in self.definitions():
            for kind in kinds if functions is None or function in functions else ():
                self.api.LLVMRemoveEnumAttributeAtIndex(ref, FUNCTION_INDEX, kind)

    def set_attribute(self, name: bytes, value: bytes, functions: Container[str]) -> None:
        """Give functions with code that are named an attribute with a text, such as `frame-pointer`."""
        attribute = self.api.LLVMCreateStringAttribute(self.context.ref, name, len(name), value, len(value))
        for function, ref in self.definitions():
            if function in functions:
                self.api.LLVMAddAttributeAtIndex(ref, FUNCTION_INDEX, attribute)

    def attribute(self, name: bytes) -> int:
        """The LLVMAttributeRef of an attribute without a value, such as `alwaysinline`."""
        kind = self.api.LLVMGetEnumAttributeKindForName(name, len(name))
        return self.api.LLVMCreateEnumAttribute(self.context.ref, kind, 0)

    def has_attribute(self, function: int, name: bytes) -> bool:
        """A function carries an attribute of that name."""
        kind = self.api.LLVMGetEnumAttributeKindForName(name, len(name))
        return bool(self.api.LLVMGetEnumAttributeAtIndex(function, FUNCTION_INDEX, kind))

    def has_always_inline(self) -> bool:
        """Some function with a body is marked `alwaysinline`."""
        bodies = (ref for _, ref in self.function_refs() if not self.api.LLVMIsDeclaration(ref))
        return any(self.has_attribute(ref, b"alwaysinline") for ref in bodies)

    def has_coroutines(self) -> bool:
        """Some function is a coroutine that was not split yet: no code can be generated of it."""
        return any(self.has_attribute(ref, b"presplitcoroutine") for _, ref in self.definitions())

    def num_instructions(self) -> int:
        """IR instructions in all defined functions (the protocol `instructions`)."""
        return sum(self._count_instructions(ref) for _, ref in self.definitions())

    def instructions_by_function(self) -> dict[str, int]:
        """IR instructions of each defined function."""
        return {name: self._count_instructions(ref) for name, ref in self.definitions()}

    def _count_instructions(self, function: int) -> int:
        api, count = self.api, 0
        block = api.LLVMGetFirstBasicBlock(function)
        while block:
            instruction = api.LLVMGetFirstInstruction(block)
            while instruction:
                count += 1
                instruction = api.LLVMGetNextInstruction(instruction)
            block = api.LLVMGetNextBasicBlock(block)
        return count

    def extract(self, function: str) -> None:
        """Keep `function` alone, as its own translation unit: every other definition becomes a declaration.

        Other bodies and data stay visible as `available_externally` until the passes that remove them, so that
        constants still fold as they would in the whole file (the paper's function objects).
        """
        if function not in self.functions():
            raise LLVMError(f"no function {function!r} is defined in {self.name!r}")
        self.cut_out(frozenset((function,)))
        ref = self.api.LLVMGetNamedFunction(self.ref, function.encode(errors="surrogateescape"))
        self.api.LLVMSetVisibility(ref, 0)
        self.api.LLVMSetComdat(ref, None)

    def cut_out(self, functions: Set[str]) -> None:
        """The same for some functions at once, which stay as visible as they are: to extract each of them later."""
        self._declare_aliases()
        available = Linkage.AVAILABLE_EXTERNALLY
        for name, ref in [*self.definitions(), *self.global_refs()]:
            if name in functions:
                self.api.LLVMSetLinkage(ref, Linkage.EXTERNAL)  # or nothing would keep it
            elif not self.api.LLVMIsDeclaration(ref) and not name.startswith("llvm."):
                self.api.LLVMSetComdat(ref, None)
                # A private symbol (a string literal) has no name another object could define; it stays.
                if self.linkage(ref) != Linkage.PRIVATE:
                    self.api.LLVMSetLinkage(ref, available)
        self.run_passes("elim-avail-extern,globaldce,strip-dead-prototypes")

    def _declare_aliases(self) -> None:
        """Replace each alias by a declaration of its name: what it stands for is about to be elsewhere."""
        for text, ref in self.alias_refs():
            name = text.encode(errors="surrogateescape")
            kind = self.api.LLVMGlobalGetValueType(ref)
            self.api.LLVMSetValueName2(ref, b"", 0)
            if self.api.LLVMGetTypeKind(kind) == FUNCTION_TYPE:
                declaration = self.api.LLVMAddFunction(self.ref, name, kind)
            else:
                declaration = self.api.LLVMAddGlobal(self.ref, kind, name)
            self.replace_alias(ref, declaration)

    def replace_alias(self, alias: int, value: int) -> None:
        """Let uses of an alias be of the value; the alias has no name any more, and globaldce drops it."""
        self.api.LLVMSetValueName2(alias, b"", 0)
        self.api.LLVMReplaceAllUsesWith(alias, value)
        self.api.LLVMSetVisibility(alias, 0)
        self.api.LLVMSetLinkage(alias, Linkage.INTERNAL)

    def hide(self, function: int) -> None:
        """Mark a definition as one that exists elsewhere: `elim-avail-extern` then makes it a declaration."""
        self.api.LLVMSetComdat(function, None)
        self.api.LLVMSetLinkage(function, Linkage.AVAILABLE_EXTERNALLY)

    def run_passes(
        self, pipeline: str, *, target_machine: int | None = None, inliner_threshold: int | None = None
    ) -> None:
        """Run a pipeline in `opt -passes` syntax in place; `LLVMError` where LLVM does not know it."""
        if not pipeline:
            return
        with PassOptions(self.library, inliner_threshold) as options:
            error = self.api.LLVMRunPasses(self.ref, pipeline.encode(), target_machine, options)
        problem = self.library.take_error(error)
        if problem is not None:
            raise LLVMError(f"LLVM {self.library.major} rejects the pass list {pipeline!r}: {problem}")

    def run_function_passes(self, pipelines: Mapping[str, str], *, target_machine: int | None = None) -> None:
        """Run a function pipeline of its own on each named function, in module order (LLVM 20 and newer)."""
        if not self.library.can_run_on_function:
            raise LLVMError(f"LLVM {self.library.major} can't run passes on one function; LLVM 20 or newer can")
        with PassOptions(self.library, None) as options:
            for name, ref in self.definitions():
                pipeline = pipelines.get(name)
                if not pipeline:
                    continue
                error = self.api.LLVMRunPassesOnFunction(ref, pipeline.encode(), target_machine, options)
                problem = self.library.take_error(error)
                if problem is not None:
                    raise LLVMError(f"LLVM {self.library.major} rejects {pipeline!r} on {name!r}: {problem}")

    def verify(self) -> str | None:
        """LLVM's verifier: None where the module is well formed, else what is wrong."""
        message = c_void_p()
        broken = self.api.LLVMVerifyModule(self.ref, 2, byref(message))  # LLVMReturnStatusAction
        text = self.library.take_string(message.value)
        return text if broken else None

    def strip_debug_info(self) -> None:
        self.api.LLVMStripModuleDebugInfo(self.ref)

    def link(self, other: Module) -> None:
        """Link `other`, of the same context, into this module; `other` is consumed."""
        failed = self.api.LLVMLinkModules2(self.ref, other.ref)
        other._ref = None
        self.context.forget(other)
        if failed:
            raise LLVMError(f"modules do not link: {self.context.take_diagnostics()}")

    def clone(self) -> Module:
        """The same module once more, in the same context."""
        if self._is_cloned_wrong is None:
            wrong = self.library.major < CLONES_BLOCK_ADDRESSES and "blockaddress(" in self.text()
            self._is_cloned_wrong = wrong
        if self._is_cloned_wrong:
            made = self.context.parse(self.bitcode(), name=self.name)
        else:
            made = self.context.adopt(self.api.LLVMCloneModule(self.ref), self.name)
        made._is_cloned_wrong = self._is_cloned_wrong
        return made

    def text(self) -> str:
        """Textual IR."""
        return self.library.take_string(self.api.LLVMPrintModuleToString(self.ref))

    def function_text(self, ref: int) -> str:
        """Textual IR of one function."""
        return self.library.take_string(self.api.LLVMPrintValueToString(ref))

    def bitcode(self) -> bytes:
        return self.library.take_buffer(self.api.LLVMWriteBitcodeToMemoryBuffer(self.ref))

    def function_hashes(self) -> dict[str, bytes]:
        """For each defined function 16 bytes that are equal where its code must be equal.

        The text of the function with attribute groups and metadata written out, so that numbering that other
        functions shift does not matter; then the first lines of the functions it names, whose attributes say what a
        call returns and leaves alone. Global data is taken as given: compare within one module's variants.
        """
        address = self.api.LLVMPrintModuleToString(self.ref)
        text = ctypes.string_at(address)
        self.api.LLVMDisposeMessage(address)
        return hash_bodies(text, split_text(text))

    def state_hash(self) -> bytes:
        """16 bytes that are equal for modules whose text is equal apart from the module's own name.

        Text, not bitcode: passes that change nothing still change the bytes of bitcode.
        """
        address = self.api.LLVMPrintModuleToString(self.ref)
        text = ctypes.string_at(address)
        self.api.LLVMDisposeMessage(address)
        start = text.find(b"\nsource_filename")
        return blake2b(text[max(start, 0) :], digest_size=16).digest()

    def close(self) -> None:
        """Release the module; harmless when closed already."""
        if self._ref is None:
            return
        self.api.LLVMDisposeModule(self._ref)
        self._ref = None
        self.context.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()
