"""Count the bytecodes that a thread executes, by `sys.settrace`, from Python 3.12 on by `sys.monitoring`."""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

__all__ = ["Tally", "counting"]

Tally = Counter[tuple[CodeType, int]]
"""How often the instruction at each offset of each function ran."""


@contextmanager
def counting(tally: Tally) -> Iterator[None]:
    """Count every instruction into *tally*. Nothing else may trace, and no other thread run: 3.12 counts those too."""
    gc.collect()
    gc.disable()  # a finalizer is nobody's message
    start = _trace if sys.version_info < (3, 12) else _monitor
    stop = start(tally)
    try:
        yield
    finally:
        stop()
        gc.enable()


def _trace(tally: Tally) -> Callable[[], None]:
    def count(frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            tally[frame.f_code, frame.f_lasti] += 1
        else:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    sys.settrace(count)
    return lambda: sys.settrace(None)


def _monitor(tally: Tally) -> Callable[[], None]:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    tool, instruction = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION

    def count(code: CodeType, offset: int) -> None:
        tally[code, offset] += 1

    def stop() -> None:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)

    monitoring.use_tool_id(tool, "ceylon costs")
    monitoring.register_callback(tool, instruction, count)
    monitoring.set_events(tool, instruction)
    return stop
