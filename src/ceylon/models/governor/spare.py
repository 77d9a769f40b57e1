"""Requests that nobody needs: they go where there is room at once, or not at all, and are never tried again."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from ceylon.errors import BudgetError, ModelConfigError
from ceylon.models.governor.line import Place
from ceylon.models.governor.passage import Passage
from ceylon.models.governor.passages import Passages
from ceylon.models.governor.purse import Purse

if TYPE_CHECKING:
    from ceylon.errors import ModelError
    from ceylon.models.governor.asker import Asker
    from ceylon.models.turns import Request

__all__ = ["NotSentError", "Spare", "SparePassage", "SparePassages", "SparePurse", "spare"]


class NotSentError(Exception):
    """There is no room for a spare request; whoever makes one catches this."""


class Spare:
    """A spare request to come; *sent* is called when it goes. What follows from it goes like every other."""

    def __init__(self, sent: Callable[[], object]) -> None:
        self._sent = sent
        self.was_sent = self.is_withdrawn = False

    def withdraw(self) -> None:
        """Let it not go any more: a cancellation may reach its task too late for that."""
        self.is_withdrawn = True

    def send(self) -> None:
        """Take note that it goes now."""
        self.was_sent = True
        self._sent()


spare: Final[ContextVar[Spare | None]] = ContextVar("ceylon_spare", default=None)
"""The spare request that this task is for."""


class SparePassages(Passages):
    """Lets spare requests through too."""

    __slots__ = ()

    def of(self, asker: "Asker", *, has_parts: bool = False) -> Passage:
        """Return the passage for what *asker* asks here and now."""
        it = _to_come()
        if it is None:
            return super().of(asker, has_parts=has_parts)
        return SparePassage(it, self, asker, has_parts=has_parts)

    def go_nowait(self, asker: "Asker", request: "Request") -> Place | None:
        """See `Passages`; a spare request needs a passage of its own."""
        return super().go_nowait(asker, request) if _to_come() is None else None


def _to_come() -> Spare | None:
    """Return the spare request that this task is for, if that was not sent yet."""
    it = spare.get()
    return None if it is None or it.was_sent else it


class SparePassage(Passage):
    """The way of a spare request: no line, no waiting for the budget, no further try."""

    def __init__(self, it: Spare, passages: Passages, asker: "Asker", *, has_parts: bool) -> None:
        governor, interior, _, price = passages
        super().__init__(governor, interior, asker, price, has_parts=has_parts)
        self._spare = it
        if asker.account is not None:
            self._purse = SparePurse(asker.account, price, interior.settings, interior.driver)

    async def open(self, request: "Request") -> "Request":
        """Return *request* as its run can pay for it now.

        Raises:
            NotSentError: it cannot.
        """
        if self._asker.account is not None and self._asker.account.is_awaited:
            raise NotSentError
        try:
            return await super().open(request)
        except (BudgetError, ModelConfigError) as error:  # the other request goes on, and will tell if it matters
            raise NotSentError from error

    async def enter(self) -> None:
        """Go, if nothing is in the way.

        Raises:
            NotSentError: something is: others that wait, a limit, a pause, a breaker that is not closed, the run's end.
        """
        asker = self._asker
        place = Place(root=asker.root, priority=asker.priority, need=self._find_need, tries=1)
        if self._spare.is_withdrawn or not self._governor.admit_nowait(place):
            raise NotSentError
        self._place = place
        if self._purse is not None:
            self._purse.begin()
        self._tries += 1
        self._is_unanswered = False
        self._spare.send()

    def _pause_after(self, error: "ModelError") -> float | None:
        """See `Passage`: there is no other try."""
        del error  # whatever it is
        return None


class SparePurse(Purse):
    """Holds what there is now, or nothing."""

    async def _change(self) -> None:
        """See `Purse`.

        Raises:
            NotSentError: others of the run would have to be waited for.
        """
        raise NotSentError
