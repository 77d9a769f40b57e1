"""Pipelines: stages that pass values on, side by side, by choice, item by item, without barriers.

```python
from ceylon.pipelines import each, pipeline

summaries = await pipeline(split, each(summarise), join).run(text)
```
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ceylon.pipelines.agent import PipelineAgent
    from ceylon.pipelines.events import Failed, StageEvent
    from ceylon.pipelines.typed.sequence import pipeline
    from ceylon.pipelines.typed.sides import fallback, parallel, race
    from ceylon.pipelines.typed.words import branch, call, each, gather, loop, reduce, retry, tap, timeout
    from ceylon.pipelines.value import Pipeline

__all__ = [
    "Failed",
    "Pipeline",
    "PipelineAgent",
    "StageEvent",
    "branch",
    "call",
    "each",
    "fallback",
    "gather",
    "loop",
    "parallel",
    "pipeline",
    "race",
    "reduce",
    "retry",
    "tap",
    "timeout",
]

_HOMES: Final = {
    "Failed": "events",
    "Pipeline": "value",
    "PipelineAgent": "agent",
    "StageEvent": "events",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            message = f"module 'ceylon.pipelines' has no attribute {name!r}"
            raise AttributeError(message)
        home = importlib.import_module(f"ceylon.pipelines.{_HOMES.get(name, 'building')}")
        value = globals()[name] = getattr(home, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
