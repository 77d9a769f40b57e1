"""Steps in a simulation: whether there is one, and where, is chosen, so that every way there is gets its share."""

from typing import TYPE_CHECKING, Any, Final

from ceylon.core.backends.steps import Steps

if TYPE_CHECKING:
    import asyncio

    from ceylon.core.clock import Chooser

__all__ = ["ChosenSteps"]

_ALWAYS: Final = 1  # of three: 0 is what happens without a simulation
_NEVER: Final = 2
_FOLLOWS: Final = 1  # of four: likewise


class ChosenSteps(Steps):
    """Lets a chooser say whether a task steps as in production, as if it asked all the time, or not at all."""

    __slots__ = ("_chooser",)

    def __init__(self, loop: "asyncio.AbstractEventLoop", chooser: "Chooser") -> None:
        super().__init__(loop)
        self._chooser = chooser

    def may_begin(self, caller: "asyncio.Task[Any]") -> bool:
        """See `Steps`."""
        way = self._chooser.below(3)
        if way == _NEVER:
            return False
        if way == _ALWAYS:
            self.note_regular(caller)
        return super().may_begin(caller)

    def is_deep(self) -> bool:
        """See `Steps`; a step may follow in any other, not only in one that is deep in the stack."""
        return super().is_deep() or (self.nested > 0 and self._chooser.below(4) == _FOLLOWS)
