"""ctypes prototypes of the part of libLLVM's C API that irwright uses, and nothing else.

`load(path)` gives a `CDLL` with argument and result types set. The functions listed in `PROTOTYPES` are
present in LLVM 17 to 23; those in `SINCE` are newer and are set only where the library has them
(`hasattr(lib, name)` tells). Opaque references are plain `c_void_p` integers: ownership lives in module.py.

Reference: llvm-c/Core.h, Analysis.h, BitReader.h, BitWriter.h, IRReader.h, Linker.h, Target.h,
TargetMachine.h, Transforms/PassBuilder.h, Error.h, Support.h of LLVM 17 to 23.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint, c_void_p
from pathlib import Path

REF = c_void_p
"""Any LLVM*Ref."""
OUT_STRING = POINTER(c_void_p)
"""char** that LLVM fills with a message to be released by LLVMDisposeMessage."""

DIAGNOSTIC_HANDLER = CFUNCTYPE(None, c_void_p, c_void_p)
"""void (*)(LLVMDiagnosticInfoRef, void *context)."""

PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    # name: (result, arguments)
    "LLVMGetVersion": (None, (POINTER(c_uint), POINTER(c_uint), POINTER(c_uint))),
    "LLVMDisposeMessage": (None, (c_void_p,)),
    "LLVMParseCommandLineOptions": (None, (c_int, POINTER(c_char_p), c_char_p)),
    # contexts and diagnostics
    "LLVMContextCreate": (REF, ()),
    "LLVMContextDispose": (None, (REF,)),
    "LLVMContextSetDiscardValueNames": (None, (REF, c_int)),
    "LLVMContextSetDiagnosticHandler": (None, (REF, DIAGNOSTIC_HANDLER, c_void_p)),
    "LLVMGetDiagInfoDescription": (c_void_p, (REF,)),
    "LLVMGetDiagInfoSeverity": (c_int, (REF,)),
    # memory buffers
    "LLVMCreateMemoryBufferWithMemoryRangeCopy": (REF, (c_char_p, c_size_t, c_char_p)),
    "LLVMGetBufferStart": (c_void_p, (REF,)),
    "LLVMGetBufferSize": (c_size_t, (REF,)),
    "LLVMDisposeMemoryBuffer": (None, (REF,)),
    # modules
    "LLVMParseBitcodeInContext2": (c_int, (REF, REF, POINTER(REF))),
    "LLVMParseIRInContext": (c_int, (REF, REF, POINTER(REF), OUT_STRING)),
    "LLVMWriteBitcodeToMemoryBuffer": (REF, (REF,)),
    "LLVMPrintModuleToString": (c_void_p, (REF,)),
    "LLVMPrintValueToString": (c_void_p, (REF,)),
    "LLVMVerifyModule": (c_int, (REF, c_int, OUT_STRING)),
    "LLVMCloneModule": (REF, (REF,)),
    "LLVMDisposeModule": (None, (REF,)),
    "LLVMLinkModules2": (c_int, (REF, REF)),
    "LLVMStripModuleDebugInfo": (c_int, (REF,)),
    "LLVMGetTarget": (c_char_p, (REF,)),
    "LLVMSetTarget": (None, (REF, c_char_p)),
    "LLVMGetDataLayoutStr": (c_char_p, (REF,)),
    "LLVMSetDataLayout": (None, (REF, c_char_p)),
    "LLVMGetModuleFlag": (REF, (REF, c_char_p, c_size_t)),
    "LLVMGetModuleIdentifier": (c_void_p, (REF, POINTER(c_size_t))),
    "LLVMSetModuleIdentifier": (None, (REF, c_char_p, c_size_t)),
    # values
    "LLVMGetNamedGlobal": (REF, (REF, c_char_p)),
    "LLVMGetInitializer": (REF, (REF,)),
    "LLVMSetInitializer": (None, (REF, REF)),
    "LLVMSetSection": (None, (REF, c_char_p)),
    "LLVMTypeOf": (REF, (REF,)),
    "LLVMIsNull": (c_int, (REF,)),
    "LLVMGetNumOperands": (c_int, (REF,)),
    "LLVMGetOperand": (REF, (REF, c_uint)),
    "LLVMGetFirstFunction": (REF, (REF,)),
    "LLVMGetNextFunction": (REF, (REF,)),
    "LLVMGetNamedFunction": (REF, (REF, c_char_p)),
    "LLVMGetFirstGlobal": (REF, (REF,)),
    "LLVMGetNextGlobal": (REF, (REF,)),
    "LLVMGetFirstGlobalAlias": (REF, (REF,)),
    "LLVMGetNextGlobalAlias": (REF, (REF,)),
    "LLVMAliasGetAliasee": (REF, (REF,)),
    "LLVMAddAlias2": (REF, (REF, REF, c_uint, REF, c_char_p)),
    "LLVMIsAFunction": (REF, (REF,)),
    "LLVMAddFunction": (REF, (REF, c_char_p, REF)),
    "LLVMAddGlobal": (REF, (REF, REF, c_char_p)),
    "LLVMGlobalGetValueType": (REF, (REF,)),
    "LLVMGetTypeKind": (c_int, (REF,)),
    "LLVMSetValueName2": (None, (REF, c_char_p, c_size_t)),
    "LLVMReplaceAllUsesWith": (None, (REF, REF)),
    "LLVMIsDeclaration": (c_int, (REF,)),
    "LLVMGetValueName2": (c_void_p, (REF, POINTER(c_size_t))),
    "LLVMGetLinkage": (c_int, (REF,)),
    "LLVMSetLinkage": (None, (REF, c_int)),
    "LLVMSetVisibility": (None, (REF, c_int)),
    "LLVMGetComdat": (REF, (REF,)),
    "LLVMSetComdat": (None, (REF, REF)),
    "LLVMGetOrInsertComdat": (REF, (REF, c_char_p)),
    "LLVMGetAlignment": (c_uint, (REF,)),
    "LLVMSetAlignment": (None, (REF, c_uint)),
    "LLVMGetFirstUse": (REF, (REF,)),
    "LLVMGetVisibility": (c_int, (REF,)),
    "LLVMGetUnnamedAddress": (c_int, (REF,)),
    "LLVMSetUnnamedAddress": (None, (REF, c_int)),
    "LLVMDeleteGlobal": (None, (REF,)),
    "LLVMGetModuleContext": (REF, (REF,)),
    "LLVMMetadataAsValue": (REF, (REF, REF)),
    "LLVMGetMDNodeNumOperands": (c_uint, (REF,)),
    "LLVMGetMDNodeOperands": (None, (REF, POINTER(REF))),
    "LLVMConstIntGetZExtValue": (ctypes.c_ulonglong, (REF,)),
    "LLVMIsAConstantInt": (REF, (REF,)),
    "LLVMGetFirstBasicBlock": (REF, (REF,)),
    "LLVMGetNextBasicBlock": (REF, (REF,)),
    "LLVMGetFirstInstruction": (REF, (REF,)),
    "LLVMGetNextInstruction": (REF, (REF,)),
    "LLVMGetEnumAttributeKindForName": (c_uint, (c_char_p, c_size_t)),
    "LLVMGetEnumAttributeAtIndex": (REF, (REF, c_uint, c_uint)),
    "LLVMCreateEnumAttribute": (REF, (REF, c_uint, ctypes.c_uint64)),
    "LLVMAddAttributeAtIndex": (None, (REF, c_uint, REF)),
    "LLVMCreateStringAttribute": (REF, (REF, c_char_p, c_uint, c_char_p, c_uint)),
    "LLVMRemoveEnumAttributeAtIndex": (None, (REF, c_uint, c_uint)),
    # targets
    "LLVMGetFirstTarget": (REF, ()),
    "LLVMGetNextTarget": (REF, (REF,)),
    "LLVMGetTargetName": (c_char_p, (REF,)),
    "LLVMGetTargetFromTriple": (c_int, (c_char_p, POINTER(REF), OUT_STRING)),
    "LLVMGetDefaultTargetTriple": (c_void_p, ()),
    "LLVMCreateTargetMachine": (REF, (REF, c_char_p, c_char_p, c_char_p, c_int, c_int, c_int)),
    "LLVMDisposeTargetMachine": (None, (REF,)),
    "LLVMSetTargetMachineAsmVerbosity": (None, (REF, c_int)),
    "LLVMTargetMachineEmitToMemoryBuffer": (c_int, (REF, REF, c_int, OUT_STRING, POINTER(REF))),
    "LLVMCreateTargetDataLayout": (REF, (REF,)),
    "LLVMDisposeTargetData": (None, (REF,)),
    "LLVMCopyStringRepOfTargetData": (c_void_p, (REF,)),
    # the pass builder
    "LLVMCreatePassBuilderOptions": (REF, ()),
    "LLVMDisposePassBuilderOptions": (None, (REF,)),
    "LLVMPassBuilderOptionsSetSLPVectorization": (None, (REF, c_int)),
    "LLVMPassBuilderOptionsSetInlinerThreshold": (None, (REF, c_int)),
    "LLVMPassBuilderOptionsSetVerifyEach": (None, (REF, c_int)),
    "LLVMRunPasses": (REF, (REF, c_char_p, REF, REF)),
    "LLVMGetErrorMessage": (c_void_p, (REF,)),
    "LLVMDisposeErrorMessage": (None, (c_void_p,)),
}

SINCE: dict[str, tuple[int, object, tuple[object, ...]]] = {
    # name: (first LLVM major, result, arguments)
    "LLVMRunPassesOnFunction": (20, REF, (REF, c_char_p, REF, REF)),
    "LLVMSetTargetMachineMachineOutliner": (19, None, (REF, c_int)),
}

BACKENDS = ("X86", "AArch64", "ARM", "NVPTX", "RISCV", "Mips", "PowerPC", "AVR", "WebAssembly")
"""Backends irwright initialises where the library has them."""


def load(path: Path) -> ctypes.CDLL:
    """Load the library and set every prototype; `OSError` or `AttributeError` where it is no libLLVM >= 17."""
    lib = ctypes.CDLL(str(path))
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    for name, (_, result, arguments) in SINCE.items():
        if hasattr(lib, name):
            function = getattr(lib, name)
            function.restype = result
            function.argtypes = arguments
    return lib


def initialize_backends(lib: ctypes.CDLL) -> tuple[str, ...]:
    """Register every backend of `BACKENDS` that the library holds; their names."""
    found: list[str] = []
    for backend in BACKENDS:
        if not hasattr(lib, f"LLVMInitialize{backend}Target"):
            continue
        for part in ("TargetInfo", "Target", "TargetMC", "AsmPrinter", "AsmParser"):
            initialize = getattr(lib, f"LLVMInitialize{backend}{part}", None)
            if initialize is not None:
                initialize()
        found.append(backend)
    return tuple(found)


def version(lib: ctypes.CDLL) -> tuple[int, int, int]:
    """(major, minor, patch) of the loaded library."""
    numbers = (c_uint(), c_uint(), c_uint())
    lib.LLVMGetVersion(*(ctypes.byref(number) for number in numbers))
    return numbers[0].value, numbers[1].value, numbers[2].value


__all__ = [
    "BACKENDS",
    "DIAGNOSTIC_HANDLER",
    "PROTOTYPES",
    "REF",
    "SINCE",
    "c_bool",
    "initialize_backends",
    "load",
    "version",
]
