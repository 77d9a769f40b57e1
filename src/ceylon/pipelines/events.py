"""What a run tells whoever watches it."""

from typing import Any, Literal, TypeAlias

import msgspec

from ceylon.messages import Message

__all__ = ["Failed", "Happening", "StageEvent"]

Happening: TypeAlias = Literal["started", "part", "ended", "failed", "cancelled", "retried", "skipped"]
"""What an event tells of: see `StageEvent`."""


class StageEvent(Message[None], tag="$stage_event"):
    """Something that happened to one execution of one node of a pipeline.

    Attributes:
        id: Of this execution; 1 is the whole run, and every other has its own.
        parent: The execution it is part of; 0 for the whole run.
        place: Where its node stands in the tree; of a nested run, behind that of the stage.
        label: What its node is called.
        what: ``"started"`` comes first, and one of ``"ended"``, ``"failed"`` and ``"cancelled"`` last, after those of
            all its parts. Meanwhile ``"part"`` has an item of a flow, or a part of an agent's answer, and ``"retried"``
            says that a try has failed and there will be another. ``"skipped"``, alone, is a stage that was not chosen.
        value: What came of it, or the part; nothing at the end of a flow of more than 1,000 items
            inside the pipeline: they were parts.
        error: What went wrong, in words.
        at: Seconds since the run began, on the mesh's clock.
        index: Which item of an `each`, which try of a `retry`, which round of a `loop`; the first is 0.
    """

    id: int
    parent: int
    place: str
    label: str
    what: Happening
    value: Any = None
    error: str = ""
    at: float = 0.0
    index: int | None = None


class Failed(msgspec.Struct, frozen=True):
    """Stands where a result would, of a stage that failed under ``on_failure="keep"``."""

    stage: str
    error: BaseException
