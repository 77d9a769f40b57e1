"""Make what runs of what is written: a unit for each node of the tree."""

from collections.abc import Callable
from typing import Any, Final

from ceylon.pipelines.asking import ActionUnit, AgentUnit
from ceylon.pipelines.callables import FlowFunctionUnit, FunctionUnit
from ceylon.pipelines.choices import BranchUnit, LoopUnit
from ceylon.pipelines.flows import EachUnit, GatherUnit, ReduceUnit
from ceylon.pipelines.nodes import (
    Branch,
    Each,
    Fallback,
    Gather,
    Loop,
    Node,
    Parallel,
    Race,
    Reduce,
    Retry,
    Sequence,
    Stage,
    Tap,
    Timeout,
)
from ceylon.pipelines.policies import (
    FallbackUnit,
    ParallelUnit,
    RaceUnit,
    RetryUnit,
    SequenceUnit,
    TapUnit,
    TimeoutUnit,
)
from ceylon.pipelines.running import Unit

__all__ = ["unit_of"]

_UNITS: Final[dict[type[Node], Callable[[Any, str, tuple[Unit, ...]], Unit]]] = {
    Branch: BranchUnit,
    Each: EachUnit,
    Fallback: FallbackUnit,
    Gather: GatherUnit,
    Loop: LoopUnit,
    Parallel: ParallelUnit,
    Race: RaceUnit,
    Reduce: ReduceUnit,
    Retry: RetryUnit,
    Sequence: SequenceUnit,
    Tap: TapUnit,
    Timeout: TimeoutUnit,
}


def unit_of(node: Node, place: str = "") -> Unit:
    """Return what runs *node*, with all that is below it."""
    if isinstance(node, Stage):
        return _leaf(node)(node, place, ())
    steps = tuple(
        unit_of(child, f"{place}.{index}" if place else str(index)) for index, child in enumerate(node.children)
    )
    return _UNITS[type(node)](node, place, steps)


def _leaf(stage: Stage) -> Callable[[Any, str, tuple[Unit, ...]], Unit]:
    if stage.what == "action":
        return ActionUnit
    if stage.what not in {"function", "generator"}:
        return AgentUnit
    return FlowFunctionUnit if stage.shape.takes_flow else FunctionUnit
