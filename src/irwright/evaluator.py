"""The evaluator, which turns plans into trials.

An `Evaluator` runs plans on the worker pool, counts compilations, answers a repeated plan from memory, and streams
every trial to a store, so that a killed search ends with the same result.

What plan comes next is search.py's business; how sizes are read is measure.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from irwright.llvm.builds import OK, Build, ModuleFacts, Passes
from irwright.llvm.pieces import Promoted
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.measure import Protocol, Sizes, sizes_of
from irwright.plan import Plan
from irwright.trials import FunctionTrial, StoredTrials, Trial, TrialStore

COROUTINES = "coro-early,cgscc(coro-split),coro-cleanup,globaldce"
"""splits coroutines, which LLVM's default pipelines do in between: passes that run before may break them"""


class Evaluator:
    """Runs plans on one module under one protocol.

    Every plan evaluated for the first time counts as one compilation, whether or not code had to be generated;
    the same plan again is free. Results come in the order of the plans whatever the number of workers.
    """

    def __init__(
        self,
        pool: WorkerPool,
        module: str,
        facts: ModuleFacts,
        protocol: Protocol,
        *,
        llvm_major: int,
        store: TrialStore | None = None,
        always_inline: bool = True,
    ) -> None:
        """`always_inline` honours the mark of that name: a list that leaves it alone gets the pass in front."""
        self.pool = pool
        self.module = module
        self.facts = facts
        self.protocol = protocol
        self.llvm_major = llvm_major
        self._always_inline = always_inline and facts.has_always_inline
        self.num_compilations = 0
        self.seconds_in_llvm = 0.0
        """spent by workers in passes and code generation, over all workers"""
        self._store = store
        self._trials: dict[Plan, Trial] = {}
        self._function_trials: dict[Plan, FunctionTrial] = {}
        self._surveys: dict[str, Promoted | None] = {}
        self._stored: StoredTrials = store.load(llvm_major) if store is not None else ({}, {})

    @property
    def trials(self) -> list[Trial]:
        """Every whole-object trial so far, in order."""
        return list(self._trials.values())

    @property
    def function_trials(self) -> list[FunctionTrial]:
        """Every trial by function so far, in order."""
        return list(self._function_trials.values())

    def evaluate(self, plans: Sequence[Plan], *, free: bool = False) -> list[Trial]:
        """Measure whole objects; `free` leaves the count alone (for the baseline)."""
        fresh = list(dict.fromkeys(plan for plan in plans if plan not in self._trials))
        self.num_compilations += 0 if free else len(fresh)
        missing = [plan for plan in fresh if plan not in self._stored[0]]
        replies = dict(zip(missing, self.pool.map([self._call(plan) for plan in missing]), strict=True))
        for plan in fresh:
            trial = self._stored[0].get(plan) or self._trial(plan, replies[plan])
            self._trials[plan] = trial
            if plan in replies and self._store is not None:
                self._store.add(trial)
        return [self._trials[plan] for plan in plans]

    def take_as_measured(self, plan: Plan, sizes: Sizes) -> Trial:
        """A trial of sizes that the caller knows; counted like any other."""
        self.num_compilations += 1
        trial = Trial(plan=plan, outcome=OK, sizes=sizes)
        self._trials[plan] = trial
        return trial

    def evaluate_functions(self, plans: Sequence[Plan]) -> list[FunctionTrial]:
        """Measure every function by itself, generating code only for functions not seen before."""
        fresh = list(dict.fromkeys(plan for plan in plans if plan not in self._function_trials))
        self.num_compilations += len(fresh)
        missing = [plan for plan in fresh if plan not in self._stored[1]]
        calls = [self._call(plan, "evaluate_functions") for plan in missing]
        replies = dict(zip(missing, self.pool.map(calls), strict=True))
        for plan in fresh:
            trial = self._stored[1].get(plan) or self._function_trial(plan, replies[plan])
            self._function_trials[plan] = trial
            if plan in replies and self._store is not None:
                self._store.add_functions(trial)
        return [self._function_trials[plan] for plan in plans]

    def survey(self, preparation: str) -> Promoted | None:
        """What a build in pieces works with, None where the module can't be made of pieces."""
        if self.facts.has_coroutines:  # which are made of several functions only as they are compiled
            return None
        if preparation not in self._surveys:
            arguments = {"preparation": preparation}
            reply = self.pool.call(Call(operation="survey", module=self.module, arguments=arguments))
            self._surveys[preparation] = reply.value if reply.outcome.ok else None
        return self._surveys[preparation]

    def compile(self, plan: Plan, kind: str) -> bytes:
        """The result of a plan as `obj`, `asm`, `ll` or `bc`; verified, not counted."""
        arguments = {"build": self.build(plan), "kind": kind}
        return self.pool.call(Call(operation="compile", module=self.module, arguments=arguments)).unwrap(self.module)

    def reference(self) -> bytes:
        """The object of hardly optimised code with which verification tells undefined behaviour; not counted."""
        call = Call(operation="reference", module=self.module, arguments={"level": self.protocol.level})
        reply = self.pool.call(call)
        return reply.value if reply.outcome.ok else self.compile(Plan(), "obj")

    def build(self, plan: Plan) -> Build:
        """The plan as work for a compile worker, `always_inline` honoured, coroutines split."""
        build = plan.build(self.llvm_major, self.protocol.level)
        if plan.parts or plan.preparation or plan.is_a_default_pipeline:
            return build  # each of these inlines what is marked by itself
        first = [COROUTINES] if self.facts.has_coroutines else []
        first += ["always-inline"] if self._always_inline else []
        return replace(build, steps=(*map(Passes, first), *build.steps))

    def _call(self, plan: Plan, operation: str = "evaluate") -> Call:
        arguments: dict[str, Any] = {"build": self.build(plan)}
        if operation == "evaluate":
            arguments["count_instructions"] = self.protocol.counts_instructions
        return Call(operation=operation, module=self.module, arguments=arguments)

    def _trial(self, plan: Plan, reply: Reply) -> Trial:
        value = reply.value
        if value is None:
            return Trial(plan=plan, outcome=reply.outcome, sizes=None, seconds=reply.seconds)
        self.seconds_in_llvm += value.pass_seconds + value.emit_seconds
        return Trial(
            plan=plan,
            outcome=reply.outcome,
            sizes=sizes_of(value.info),
            num_instructions=value.num_instructions,
            seconds=reply.seconds,
        )

    def _function_trial(self, plan: Plan, reply: Reply) -> FunctionTrial:
        if reply.value is None:
            return FunctionTrial(plan=plan, outcome=reply.outcome, seconds=reply.seconds)
        self.seconds_in_llvm += reply.value.pass_seconds + reply.value.emit_seconds
        value = reply.value
        return FunctionTrial(
            plan=plan,
            outcome=reply.outcome,
            sizes=value.sizes,
            references=value.references,
            seconds=reply.seconds,
        )
