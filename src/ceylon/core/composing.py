"""`>>`: what a pipeline is made of has it, from the layer of refs upwards. Pipelines themselves live far above.

They are loaded by name at the first use, so that nobody pays for them who composes nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ceylon.pipelines.value import Pipeline

__all__ = ["Composable"]

_BUILDING: Final = "ceylon.pipelines.building"


class Composable:
    """Something that can be a stage of a pipeline: ``a >> b`` gives what *a* returns to *b*."""

    __slots__ = ()

    def __rshift__(self, other: Any) -> "Pipeline":
        return _join(self, other)

    def __rrshift__(self, other: Any) -> "Pipeline":
        return _join(other, self)


def _join(first: Any, second: Any) -> "Pipeline":
    made: Pipeline = importlib.import_module(_BUILDING).pipeline(first, second)
    return made
