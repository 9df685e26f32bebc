"""The pass space as data: a row for every pass, usable or left out with the reason. It is read in pass_table.py.

`opt --print-passes` of 17.0.6, 18.1.8, 19.1.7, 20.1.8, 21.1.8, 22.1.8 and 23.1 is the source of names, levels and
spans; machine passes and analyses aren't passes here.

Three small notations keep the rows short:

- *span*: `@19` from LLVM 19 on, `@17-18` until 18, nothing for all. On a pass, and on one accepted parameter.
- *accepted parameters*: words separated by blanks; `[no-]word` is both forms, `word=N` takes a number,
  `|` in front means that exactly one of the words is given (`default<Oz>`).
- *parameters to try*: words separated by blanks, `-` for none. Without `-` the pass needs a parameter.
"""

from __future__ import annotations

from typing import Literal

Level = Literal["module", "cgscc", "function", "loop", "loop-mssa"]

OLDEST_LLVM = 17

# Written name -> (older name, last LLVM that knows only the older one). Lists hold the newer name.
RENAMED: dict[str, tuple[str, int]] = {
    "flatten-cfg": ("flattencfg", 18),
    "lower-switch": ("lowerswitch", 18),
    "lower-atomic": ("loweratomic", 18),
    "lower-invoke": ("lowerinvoke", 18),
    "callbr-prepare": ("callbrprepare", 18),
}

# The same for parameters, by pass.
RENAMED_PARAMETERS: dict[str, dict[str, tuple[str, int]]] = {
    "function-attrs": {"skip-non-recursive-function-attrs": ("skip-non-recursive", 17)},
    "gvn": {"scalar-pre": ("pre", 22), "no-scalar-pre": ("no-pre", 22)},
}

# Parameters a pass always gets, from this LLVM on; a text needn't name them. Without this one instcombine ends the
# process where it needs a second round: a check for LLVM's developers.
IMPLIED_PARAMETERS: dict[str, tuple[str, int]] = {"instcombine": ("no-verify-fixpoint", 18)}

# Passes that run at every level; the table row names the level they have without an adaptor around them.
ANY_LEVEL = frozenset({"invalidate", "require", "print", "verify", "guard-widening", "trigger-verifier-error"})

# Loop passes LLVM refuses (and aborts) under loop-mssa(...): they don't keep MemorySSA.
LOSES_MEMORY_SSA = frozenset({"canon-freeze", "loop-bound-split", "loop-idiom-vectorize", "loop-versioning-licm"})

OPT_LEVELS = "|O0 O1 O2 O3 Os@17-22 Oz@17-22"

# name[span] level : parameters to try : accepted parameters
USABLE = """
always-inline module
called-value-propagation module
canonicalize-aliases module
constmerge module
deadargelim module
elim-avail-extern module
global-merge@18 module
    : - merge-const max-offset=4096
    : [no-]group-by-use [no-]ignore-single-use [no-]merge-const [no-]merge-const-aggressive@21 [no-]merge-external
      max-offset=N
globaldce module : - : vfe-linkage-unit-visibility
globalopt module
hotcoldsplit module
inferattrs module
inliner-wrapper module
inliner-wrapper-no-mandatory-first module
ipsccp module : - func-spec no-func-spec : [no-]func-spec
iroutliner module
mergefunc module
module-inline module
openmp-opt module
partial-inliner module
recompute-globalsaa module
rel-lookup-table-converter module
rpo-function-attrs module
scc-oz-module-inliner module
strip-dead-prototypes module
default module : Oz Os O2 O3 O1 O0 : {levels}
thinlto-pre-link module : Oz Os O2 O3 O1 : {levels}
thinlto module : Oz Os O2 O3 O1 : {levels}
lto-pre-link module : Oz Os O2 O3 O1 : {levels}
lto module : Oz Os O2 O3 O1 : {levels}
argpromotion cgscc
function-attrs cgscc : - skip-non-recursive-function-attrs : skip-non-recursive-function-attrs
inline cgscc : - only-mandatory : only-mandatory
openmp-opt-cgscc cgscc
adce function
aggressive-instcombine function
alignment-from-assumptions function
assume-builder function
assume-simplify function
bdce function
break-crit-edges function
callsite-splitting function
chr function
consthoist function
constraint-elimination function
correlated-propagation function
dce function
div-rem-pairs function
drop-unnecessary-assumes@22 function : - drop-deref : drop-deref
dse function
early-cse function : - memssa : memssa
expand-memcmp@18 function
expand-reductions@21 function
flatten-cfg function
float2int function
function-simplification function : Oz Os O2 O3 O1 : |O1 O2 O3 Os@17-22 Oz@17-22
gvn function
    : - no-scalar-pre no-load-pre split-backedge-load-pre no-scalar-pre;no-load-pre memoryssa;no-memdep
    : [no-]scalar-pre [no-]load-pre [no-]split-backedge-load-pre [no-]memdep [no-]memoryssa@20
gvn-hoist function
infer-alignment@18 function
instcombine function : - max-iterations=1 max-iterations=2 : max-iterations=N [no-]use-loop-info@17-19
instsimplify function
interleaved-access@18 function
interleaved-load-combine@18 function
irce function
jump-table-to-switch@19 function
jump-threading function
lcssa function
libcalls-shrinkwrap function
loop-data-prefetch function
loop-distribute function
loop-load-elim function
loop-simplify function
loop-sink function
loop-unroll function
    : - O1 O2 O3 full-unroll-max=4 no-runtime;no-partial no-runtime;no-partial;no-peeling
    : O0 O1 O2 O3 full-unroll-max=N [no-]partial [no-]peeling [no-]profile-peeling [no-]runtime [no-]upperbound
loop-vectorize function
    : - interleave-forced-only vectorize-forced-only interleave-forced-only;vectorize-forced-only
    : [no-]interleave-forced-only [no-]vectorize-forced-only
loop-versioning function
lower-expect function
lower-switch function
mem2reg function
memcpyopt function
mergeicmps function
mergereturn@17-22 function
mldst-motion function : - split-footer-bb : [no-]split-footer-bb
move-auto-init function
nary-reassociate function
partially-inline-libcalls function
reassociate function
reg2mem function
scalarize-masked-mem-intrin function
scalarizer function
    : - load-store no-variable-insert-extract
    : [no-]load-store@20 [no-]variable-insert-extract@20 min-bits=N@20
sccp function
separate-const-offset-from-gep function : - lower-gep : lower-gep
simplifycfg function
    : - hoist-common-insts sink-common-insts hoist-common-insts;sink-common-insts
      hoist-common-insts;sink-common-insts;no-keep-loops no-keep-loops switch-range-to-icmp switch-to-lookup
      forward-switch-cond
      switch-range-to-icmp;switch-to-lookup;forward-switch-cond;no-keep-loops;hoist-common-insts;sink-common-insts
      bonus-inst-threshold=0 bonus-inst-threshold=4 switch-to-arithmetic speculate-unpredictables
      no-speculate-blocks no-simplify-cond-branch hoist-loads-stores-with-cond-faulting
    : [no-]forward-switch-cond [no-]switch-range-to-icmp [no-]switch-to-arithmetic@22 [no-]switch-to-lookup
      [no-]keep-loops [no-]hoist-common-insts [no-]sink-common-insts [no-]speculate-blocks@19
      [no-]simplify-cond-branch@19 [no-]speculate-unpredictables@19 [no-]hoist-loads-stores-with-cond-faulting@20
      bonus-inst-threshold=N
sink function
slp-vectorizer function
slsr function
speculative-execution function : - only-if-divergent-target : only-if-divergent-target@18
sroa function : - preserve-cfg : preserve-cfg modify-cfg aggregate-to-vector@23
tailcallelim function
tlshoist@17-19 function
typepromotion function
unreachableblockelim@21 function
vector-combine function
canon-freeze loop
indvars loop
licm loop-mssa : - no-allowspeculation : [no-]allowspeculation
lnicm loop-mssa : - no-allowspeculation : [no-]allowspeculation
loop-bound-split loop
loop-deletion loop
loop-flatten loop
loop-idiom loop
loop-idiom-vectorize@19 loop
loop-instsimplify loop
loop-predication loop
loop-reduce loop
loop-rotate loop
    : - no-header-duplication prepare-for-lto
    : [no-]header-duplication [no-]prepare-for-lto [no-]check-exit-count@23
loop-simplifycfg loop
loop-term-fold@20 loop
loop-unroll-full loop
loop-versioning-licm loop
simple-loop-unswitch loop : - nontrivial no-trivial : [no-]nontrivial [no-]trivial
"""

# reason, level: names. Ordered by what would go wrong.
EXCLUDED: tuple[tuple[str, Level, str], ...] = (
    ("drops external symbols that other objects need", "module", "internalize"),
    ("changes symbol names", "module", "metarenamer name-anon-globals rewrite-symbols strip"),
    ("makes atomic accesses plain, wrong with threads", "function", "lower-atomic"),
    ("drops exception handling", "function", "lower-invoke"),
    ("answers __builtin_object_size early, which loses fortify checks", "function", "lower-constant-intrinsics"),
    ("breaks CPU code (a GPU transformation)", "function", "structurizecfg unify-loop-exits fix-irreducible"),
    ("breaks CPU code outside bugpoint", "module", "loop-extract extract-blocks"),
    (
        "code generation does it, at its own place",
        "function",
        "atomic-expand@19 callbr-prepare@18-22 codegenprepare@18 complex-deinterleaving@20 expand-fp@21-21"
        " expand-ir-insts@22 expand-large-div-rem@18-21 expand-large-fp-convert@18-20 free-machine-function@22"
        " gc-lowering@18 indirectbr-expand@18 inline-asm-prepare@23 safe-stack@18 stack-protector@18",
    ),
    (
        "code generation does it, at its own place",
        "module",
        "lower-comment-string@23 lower-emutls@18 lower-global-dtors lower-ifunc pre-isel-intrinsic-lowering@19"
        " shadow-stack-gc-lowering@18 static-data-annotator@23",
    ),
    ("code generation does it, at its own place", "loop", "evl-iv-simplify@21-21"),
    (
        "prepares exceptions for code generation, which does it itself",
        "function",
        "dwarf-eh-prepare@18 sjlj-eh-prepare@18 wasm-eh-prepare@18 win-eh-prepare@18",
    ),
    ("inserts instructions code generation for CPUs refuses", "function", "hardware-loops"),
    ("GPU or WebAssembly only", "function", "infer-address-spaces kernel-info@21 strip-convergence-intrinsics@23"),
    ("GPU or WebAssembly only", "module", "dxil-upgrade@18 expand-variadics@19"),
    (
        "offloads standard algorithms to a GPU",
        "module",
        "hipstdpar-interpose-alloc@18 hipstdpar-math-fixup@22 hipstdpar-select-accelerator-code@18",
    ),
    (
        "coroutines are lowered in a fixed order, which the meta pipelines hold",
        "module",
        "coro-early coro-cleanup",
    ),
    (
        "coroutines are lowered in a fixed order, which the meta pipelines hold",
        "cgscc",
        "coro-split coro-annotation-elide@20",
    ),
    ("coroutines are lowered in a fixed order, which the meta pipelines hold", "function", "coro-elide"),
    (
        "needs the whole program (link time)",
        "module",
        "cross-dso-cfi drop-type-tests@23 fatlto-cleanup@21 function-import globalsplit lowertypetests"
        " noinline-nonprevailing@21 norecurse-lto-inference@22 openmp-opt-postlink simplify-type-tests@21"
        " wholeprogramdevirt",
    ),
    ("embeds bitcode in the object", "module", "embed-bitcode fatlto-pre-link@21"),
    (
        "needs a profile or writes one",
        "module",
        "assign-guid@20 cg-profile ctx-instr-gen@20 ctx-instr-lower@19 ctx-prof-flatten@20"
        " ctx-prof-flatten-prethinlink@21 insert-gcov-profiling instrorderfile@17-20 instrprof"
        " memprof-context-disambiguation memprof-remove-attributes@22 memprof-use pgo-force-function-attrs@19"
        " pgo-icall-prom pgo-instr-gen pgo-instr-use prof-verify@22 pseudo-probe pseudo-probe-update sample-profile"
        " strip-dead-cg-profile@21 synthetic-counts-propagation@17-19",
    ),
    ("needs a profile or writes one", "function", "add-discriminators pgo-memop-opt prof-inject@22"),
    (
        "adds checks (a sanitizer)",
        "module",
        "alloc-token@22 asan dfsan hwasan memprof-module msan nsan@19 poison-checking@17-19 rtsan@20 sancov-module"
        " sanmd-module tsan-module tysan@20",
    ),
    (
        "adds checks (a sanitizer)",
        "function",
        "bounds-checking cfguard@18 kcfi lower-allow-check@19 memprof tsan",
    ),
    ("adds instrumentation", "module", "instrumentor@23 jmc-instrumenter@18"),
    ("adds instrumentation", "function", "ee-instrument"),
    ("Objective-C only", "function", "objc-arc objc-arc-contract objc-arc-expand"),
    ("Objective-C only", "module", "objc-arc-apelim@17-21"),
    (
        "for languages with guards or garbage collection, which C and C++ don't have",
        "function",
        "guard-widening lower-guard-intrinsic lower-widenable-condition make-guards-explicit place-safepoints"
        " strip-gc-relocates",
    ),
    (
        "for languages with guards or garbage collection, which C and C++ don't have",
        "module",
        "rewrite-statepoints-for-gc",
    ),
    ("lowers a matrix extension, which the meta pipelines do", "function", "lower-matrix-intrinsics"),
    ("does nothing without a vector library named on the command line", "function", "inject-tli-mappings"),
    ("does nothing without a vector library named on the command line", "function", "replace-with-veclib@21"),
    ("an experiment of LLVM's that isn't ready", "function", "sandbox-vectorizer@20"),
    (
        "leaves functions that are optimised for size alone, and ends the process in LLVM 23",
        "function",
        "select-optimize@18",
    ),
    # loop-reroll: llvm-project issues 59921 and others, the reason for its removal; loop-interchange: 54176, 140238;
    # loop-fusion: 191238; both of them and loop-unroll-and-jam trust DependenceAnalysis, whose answers are at fault.
    (
        "LLVM's tracker has wrong code from it in these releases",
        "loop",
        "loop-interchange loop-reroll@17-18 loop-unroll-and-jam",
    ),
    # dfa-jump-threading: 166868, 195088 (it leaves minsize functions alone anyway); newgvn: 56149;
    # load-store-vectorizer (made for GPUs): 107305, 223500.
    (
        "LLVM's tracker has wrong code from it in these releases",
        "function",
        "dfa-jump-threading load-store-vectorizer loop-fusion newgvn",
    ),
    # Issue 77852, seen in 22.1.8 and 23.1.4 on mujs; 17 and 18 also make wrong code with it (85333).
    ("orders by address, so that the same module becomes other code in another process", "function", "gvn-sink"),
    (
        "keeps memory(argmem: none) on functions it makes read through an argument: wrong code, seen in 22 and 23",
        "module",
        "global-merge-func@20",
    ),
    # Wrong code seen with 17.0.6 (gcc.c-torture 20051113-1.c), 22.1.8 and 23.1.4 (20060910-1.c). Since 21 it marks
    # loads as invariant that aren't.
    ("makes wrong code, llvm-project issues 147706 and 181103", "module", "attributor"),
    ("makes wrong code, llvm-project issues 147706 and 181103", "cgscc", "attributor-cgscc"),
    # gcc.c-torture 941021-1.c: a store to `select (icmp eq ptr %p, null), @g, %p`. Seen in 22.1.8 and 23.1.4.
    (
        "marks functions as memory(none) that store through a select of pointers: calls of them are deleted",
        "module",
        "attributor-light@18",
    ),
    (
        "marks functions as memory(none) that store through a select of pointers: calls of them are deleted",
        "cgscc",
        "attributor-light-cgscc@18",
    ),
    ("needs a trained model inside LLVM", "module", "inliner-ml-advisor-release"),
    (
        "changes only debug information, metadata or value names",
        "module",
        "annotation2metadata check-debugify debugify declare-runtime-libcalls@21 forceattrs mir-check-debugify@23"
        " mir-debugify@23 mir-strip-debug@23 strip-dead-debug-info strip-debug-declare strip-nondebug"
        " strip-nonlinetable-debuginfo",
    ),
    (
        "changes only debug information, metadata or value names",
        "function",
        "annotation-remarks declare-to-assign instnamer normalize@20 redundant-dbg-inst-elim",
    ),
    (
        "a debug helper, changes no code",
        "function",
        "aa-eval count-visits func-properties-stats@22 helloworld instcount lint no-op-function pa-eval"
        " transform-warning",
    ),
    ("a debug helper, changes no code", "module", "no-op-module trigger-verifier-error@18 verify"),
    ("a debug helper, changes no code", "cgscc", "no-op-cgscc"),
    ("a debug helper, changes no code", "loop", "no-op-loop no-op-loopnest"),
    ("crashes on purpose", "module", "trigger-crash@17-18 trigger-crash-module@19"),
    ("crashes on purpose", "function", "trigger-crash-function@19"),
    ("computes or drops an analysis, changes no code", "module", "invalidate require"),
    ("an empty shell that only the meta pipelines fill", "function", "extra-vector-passes@20"),
    ("an empty shell that only the meta pipelines fill", "loop", "extra-simple-loop-unswitch-passes@20"),
    (
        "prints or draws, changes no code",
        "module",
        "dot-callgraph print print-callgraph print-callgraph-sccs print-ir-similarity print-lcg print-lcg-dot"
        " print-must-be-executed-contexts print-profile-summary print-stack-safety view-callgraph",
    ),
    (
        "prints or draws, changes no code",
        "function",
        "dot-cfg dot-cfg-only dot-dom dot-dom-only dot-post-dom dot-post-dom-only print-alias-sets@17-22"
        " print-cfg-sccs@17-22 print-memderefs@17-22 print-mustexecute@17-22 print-predicateinfo@17-22"
        " view-cfg view-cfg-only view-dom view-dom-only view-post-dom view-post-dom-only",
    ),
    ("prints or draws, changes no code", "loop", "dot-ddg"),
)
