"""Modules whose functions come from different builds, joined by LLVM's linker.

    promote   static functions and data get hidden names other modules can refer to, so that every build of the
              module keeps every function with the same signature. All functions become `weak_odr`: LLVM may
              inline such a body but may not conclude anything else from it, since another build's body may stand
              in its place (the rule C++ inline functions live by, "inexact definitions"). C++ inline functions
              and data become `weak_odr` too, since a part without a use of them would drop them.
    keep      all functions but the chosen ones, and all data but the owner's, become declarations
    join      the parts are linked, data gets the largest alignment a part gave it, what was promoted
              becomes what it was, and tables of addresses become tables of distances, as LLVM's pipelines end: an
              address in a shared object is 8 bytes and a relocation of 24 more, which no object's size shows

Further names of functions, as constructors of C++ have them, are set aside in between. Modules in which this is not
safe (aliases of anything else, block addresses in data, comdats of several members) say so in `why_not`; they are
optimised in one piece.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from irwright.errors import LLVMError
from irwright.llvm.bodies import split_text
from irwright.llvm.module import FUNCTION_INDEX, Linkage, Module

HIDDEN, DEFAULT_VISIBILITY = 1, 0

PREPARATIONS = {
    "raw": "inferattrs,always-inline,globalopt,cgscc(function-attrs),globaldce",
    "early": (
        "inferattrs,function(sroa<modify-cfg>,early-cse<memssa>,simplifycfg),always-inline,ipsccp,globalopt,"
        "function(instcombine<no-verify-fixpoint>,simplifycfg),cgscc(function-attrs,argpromotion),deadargelim,globaldce"
    ),
}
"""Run before promotion, while static functions are known to be static: the common ancestor of all builds.

`raw` changes little; `early` simplifies and takes what static functions offer (arguments dropped and promoted).
"""

_NAME = re.compile(rb'@("(?:[^"])*"|[-\w.$]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A further name of a function."""

    name: str
    function: str
    linkage: int
    visibility: int
    unnamed_address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What was promoted, and how the functions hang together."""

    functions: tuple[str, ...]
    """static functions, which got a hidden name, and inline functions of C++: what may be left out where unused"""
    data: tuple[str, ...]
    """static variables that got a hidden name, and inline variables of C++"""
    all_functions: tuple[str, ...]
    """every function with code, in module order"""
    roots: tuple[str, ...]
    """functions that other objects or data of this module refer to"""
    inlined: dict[str, tuple[str, ...]]
    """promoted functions by reason to inline them: `once`, a single use, a direct call from another function;
    `oz`, LLVM's -Oz inlines them everywhere and leaves no code of their own"""
    linkages: dict[str, int] = field(default_factory=dict[str, int])
    """what `demote` gives back to those that were not static"""
    comdats: tuple[str, ...] = ()
    """names with a comdat of their own"""
    aliases: tuple[Alias, ...] = ()
    """set aside until the parts are joined"""


_NAMED = r'(?:"[^"]*"|[-\w.$]+)'
_ALIAS = re.compile(rf"^@{_NAMED} = (?:[\w()]+ )*(?:alias|ifunc) .*$", re.MULTILINE)
_OF_FUNCTION = re.compile(rf"^@{_NAMED} = (?P<words>(?:[\w()]+ )*)alias [^@]*\), ptr @(?P<function>{_NAMED})$")
_DEFINED = re.compile(rf"^define (?P<words>[^@\n]*)@(?P<function>{_NAMED})\(", re.MULTILINE)
_REPLACEABLE = ("internal", "private", "linkonce", "linkonce_odr", "weak", "extern_weak", "available_externally")
"""linkages of names that may go, or stand for something else in the program"""


def why_not(text: str) -> str | None:
    """Why a module can't be made of pieces, None where it can."""
    if not _only_names_of_functions(text):
        return "it has aliases"
    if "blockaddress(" in text:
        return "it takes addresses of blocks"
    if "comdat($" in text or re.search(r"^\$.* = comdat (?!any)", text, re.MULTILINE):
        return "it has comdats of several members"
    if re.search(r"^module asm", text, re.MULTILINE):
        return "it has assembly of its own"
    return None


def _only_names_of_functions(text: str) -> bool:
    """Every alias is a second name of a function that stays and that other objects see."""
    found = [_OF_FUNCTION.match(alias) for alias in _ALIAS.findall(text)]
    if not found:
        return True
    staying = {
        match["function"]
        for match in _DEFINED.finditer(text)
        if not set(_REPLACEABLE).intersection(match["words"].split())
    }
    return all(
        match is not None
        and match["function"] in staying
        and not set(_REPLACEABLE).intersection(match["words"].split())
        for match in found
    )


def _set_aside_aliases(module: Module) -> tuple[Alias, ...]:
    """Let uses of aliases be of the functions they name, as LLVM's globalopt does; the aliases go."""
    api = module.api
    aliases: list[Alias] = []
    for name, ref in list(module.alias_refs()):
        function = api.LLVMAliasGetAliasee(ref)
        aliases.append(
            Alias(
                name=name,
                function=module.value_name(function),
                linkage=module.linkage(ref),
                visibility=api.LLVMGetVisibility(ref),
                unnamed_address=api.LLVMGetUnnamedAddress(ref),
            )
        )
        module.replace_alias(ref, function)
    if aliases:
        module.run_passes("globaldce")
    return tuple(aliases)


def _restore_aliases(module: Module, aliases: Sequence[Alias]) -> None:
    api = module.api
    functions = dict(module.definitions())
    for alias in aliases:
        function = functions.get(alias.function)
        if function is None:
            raise LLVMError(f"no part of {module.name!r} defines {alias.function!r}, which has another name")
        kind = api.LLVMGlobalGetValueType(function)
        ref = api.LLVMAddAlias2(module.ref, kind, 0, function, alias.name.encode(errors="surrogateescape"))
        api.LLVMSetLinkage(ref, alias.linkage)
        api.LLVMSetVisibility(ref, alias.visibility)
        api.LLVMSetUnnamedAddress(ref, alias.unnamed_address)


def promote(module: Module, optimised: Collection[str]) -> Promoted:
    """Give static functions and data hidden external names; LLVMError where `why_not` has a reason.

    `optimised` names the functions that are left after LLVM's own -Oz.
    """
    reason = why_not(module.text())
    if reason is not None:
        raise LLVMError(f"{module.name!r} can't be made of pieces: {reason}")
    api = module.api
    aliases = _set_aside_aliases(module)
    functions: list[str] = []
    data: list[str] = []
    linkages: dict[str, int] = {}
    comdats: list[str] = []
    for name, ref in [*module.definitions(), *module.global_refs()]:
        if api.LLVMGetComdat(ref):  # the linker would take what is in a comdat from one part alone
            comdats.append(name)
            api.LLVMSetComdat(ref, None)
    for name, ref in module.definitions():
        linkage = module.linkage(ref)
        api.LLVMSetLinkage(ref, FUNCTION_LINKAGE.get(linkage, linkage))
        if linkage in STATIC:
            api.LLVMSetVisibility(ref, HIDDEN)
        else:
            linkages[name] = linkage
        if linkage in STATIC or linkage == Linkage.LINK_ONCE_ODR:
            functions.append(name)
    for name, ref in module.global_refs():
        linkage = module.linkage(ref)
        if linkage in STATIC:
            # Private constants without an address of their own (string literals) may be copied; constmerge joins them.
            if linkage == Linkage.PRIVATE and api.LLVMGetUnnamedAddress(ref) == GLOBAL_UNNAMED:
                continue
            api.LLVMSetLinkage(ref, Linkage.EXTERNAL)
            api.LLVMSetVisibility(ref, HIDDEN)
            data.append(name)
        elif linkage in (Linkage.LINK_ONCE_ANY, Linkage.LINK_ONCE_ODR):
            api.LLVMSetLinkage(ref, FUNCTION_LINKAGE[linkage])
            linkages[name] = linkage
            data.append(name)
    return _survey(
        module,
        Promoted(
            functions=tuple(functions),
            data=tuple(data),
            all_functions=(),
            roots=(),
            inlined={},
            linkages=linkages,
            comdats=tuple(comdats),
            aliases=aliases,
        ),
        optimised,
    )


STATIC = (Linkage.INTERNAL, Linkage.PRIVATE)

FUNCTION_LINKAGE: dict[int, Linkage] = {
    Linkage.INTERNAL: Linkage.WEAK_ODR,
    Linkage.PRIVATE: Linkage.WEAK_ODR,
    Linkage.EXTERNAL: Linkage.WEAK_ODR,
    Linkage.LINK_ONCE_ODR: Linkage.WEAK_ODR,
    Linkage.LINK_ONCE_ANY: Linkage.WEAK_ANY,
}
"""of functions with code, while their module is in pieces; other linkages (weak) stay"""

GLOBAL_UNNAMED = 2
"""LLVMGlobalUnnamedAddr"""


def _survey(module: Module, promoted: Promoted, optimised: Collection[str]) -> Promoted:
    """Fill in what the bodies and the data tell."""
    text = module.text().encode(errors="surrogateescape")
    bodies = split_text(text)
    head = text[: text.find(b"\ndefine ")] if b"\ndefine " in text else text
    in_data_names = {use for line in head.splitlines() if line[:1] == b"@" for use in _uses(line)[1:]}
    users = Counter(match for name, body in bodies.items() for match in _uses(body) if match != name)
    defined = set(module.functions())
    names = tuple(name for name in bodies if name in defined)  # without bodies that exist elsewhere
    droppable = set(promoted.functions)
    return replace(
        promoted,
        all_functions=names,
        roots=tuple(name for name in names if name not in droppable or name in in_data_names),
        inlined={
            "once": tuple(name for name in promoted.functions if name not in in_data_names and users[name] == 1),
            "oz": tuple(name for name in promoted.functions if name not in optimised),
        },
    )


def unquote(name: bytes) -> bytes:
    """A name as it stands after `@` in textual IR, without quotes and escapes."""
    if not name.startswith(b'"'):
        return name
    return re.sub(rb"\\([0-9A-Fa-f]{2})", lambda digits: bytes([int(digits.group(1), 16)]), name[1:-1])


def _uses(body: bytes) -> list[str]:
    """Every use of a global name in the text of a function, in order."""
    return [unquote(name).decode(errors="surrogateescape") for name in _NAME.findall(body)]


def references(body: bytes) -> frozenset[str]:
    """Global names in the text of a function, its own included."""
    return frozenset(_uses(body))


def inline_statics(module: Module, names: Collection[str]) -> None:
    """Inline the named functions wherever they are called, as LLVM does while they are static."""
    api = module.api
    always = module.attribute(b"alwaysinline")
    for name, ref in module.definitions():
        kinds = (b"noinline", b"optnone", b"returns_twice")
        if name in names and not any(module.has_attribute(ref, kind) for kind in kinds):
            api.LLVMAddAttributeAtIndex(ref, FUNCTION_INDEX, always)
    module.run_passes("always-inline")


def keep(module: Module, names: Collection[str], *, owns_data: bool) -> None:
    """Leave only the named functions with code, and data only where `owns_data`.

    LLVMError where passes gave data another place (global-merge makes aliases into one variable).
    """
    if module.api.LLVMGetFirstGlobalAlias(module.ref):
        raise LLVMError(f"a part of {module.name!r} has merged data that all parts share")
    for name, ref in module.definitions():
        # What passes created is static and stays with what calls it; globaldce drops it where nothing does.
        if name not in names and module.linkage(ref) not in (Linkage.INTERNAL, Linkage.PRIVATE):
            module.hide(ref)
    if not owns_data:
        # Copies of string literals stay (private); llvm.used and its like would be joined to double length.
        for name, ref in list(module.global_refs()):
            if name.startswith("llvm."):
                module.api.LLVMDeleteGlobal(ref)
            elif module.linkage(ref) not in (Linkage.PRIVATE, Linkage.INTERNAL) and not module.api.LLVMIsDeclaration(
                ref
            ):
                module.hide(ref)
    module.run_passes("elim-avail-extern,globaldce")


def join(
    parts: Sequence[Module], promoted: Promoted, required: Collection[str], target_machine: int | None = None
) -> Module:
    """Link the parts into the first; each promoted name becomes what it was. The other parts are consumed.

    `required` are functions the result must define; only a target machine tells whether tables of distances are for it.
    """
    whole, *others = parts
    alignments = _alignments(parts)
    for other in others:
        whole.link(other)
    for name, ref in whole.global_refs():
        if alignments.get(name, 0) > whole.api.LLVMGetAlignment(ref):
            whole.api.LLVMSetAlignment(ref, alignments[name])
    demote(whole, promoted)
    _restore_aliases(whole, promoted.aliases)
    defined = set(whole.functions())
    missing = [name for name in required if name not in defined]
    if missing:
        raise LLVMError(f"the parts of {whole.name!r} lack the function {missing[0]!r}")
    whole.run_passes("globaldce,constmerge,rel-lookup-table-converter", target_machine=target_machine)
    return whole


def _alignments(parts: Sequence[Module]) -> dict[str, int]:
    """The largest alignment of each variable that parts share, in bytes.

    Passes align a variable anew where that makes an access faster and rely on it, wherever it is defined;
    the linker keeps what the definition says.
    """
    largest: dict[str, int] = {}
    for part in parts:
        for name, ref in part.global_refs():
            if part.linkage(ref) not in STATIC:
                largest[name] = max(largest.get(name, 0), part.api.LLVMGetAlignment(ref))
    return largest


def demote(module: Module, promoted: Promoted) -> None:
    """Give back what `promote` took: linkage, visibility, comdats."""
    api = module.api
    names = {*promoted.functions, *promoted.data, *promoted.linkages}
    for name, ref in [*module.function_refs(), *module.global_refs()]:
        if name not in names:
            continue
        if api.LLVMIsDeclaration(ref):
            if api.LLVMGetFirstUse(ref):
                raise LLVMError(f"no part of {module.name!r} defines {name!r}, which another part uses")
            continue
        if name not in promoted.linkages:
            api.LLVMSetVisibility(ref, DEFAULT_VISIBILITY)
        api.LLVMSetLinkage(ref, promoted.linkages.get(name, Linkage.INTERNAL))
    comdats = set(promoted.comdats)
    for name, ref in [*module.definitions(), *module.global_refs()]:
        if name in comdats and not api.LLVMIsDeclaration(ref):
            encoded = name.encode(errors="surrogateescape")
            api.LLVMSetComdat(ref, api.LLVMGetOrInsertComdat(module.ref, encoded))
