"""What a simulation may do to a mesh, and which of it one seed does."""

import random
from typing import TYPE_CHECKING, Final

import msgspec

from ceylon.errors import ArgumentError
from ceylon.messages import Envelope
from ceylon.testing.history import What
from ceylon.testing.simulation.choices import Choices

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.testing.recorder import Record

__all__ = ["KINDS", "NO_FAULTS", "FaultPlan", "Faults", "note_fault"]


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How often what goes wrong, at most: rates between 0, which switches a kind off, and 1.

    Every seed switches on some of the kinds, each at a rate of its own (a "swarm": Groce et al., "Swarm Testing",
    ISSTA 2012), because faults that always come together hide what each of them does alone.

    Attributes:
        delay: An agent with mail is looked at later. What one sender sends one agent keeps its order.
        reorder: A message overtakes those of other senders in the mailbox.
        crash: A handler raises `InjectedFaultError`, as it begins or as it goes on after something it awaited.
        slow: A handler takes its time before it begins.
        model: A model made by `Simulation.model` cannot be reached, takes too long, or breaks off.
        duplicate: An agent whose class says `idempotent = True` gets a message twice.
    """

    delay: float = 0.1
    reorder: float = 0.2
    crash: float = 0.05
    slow: float = 0.1
    model: float = 0.1
    duplicate: float = 0.1

    def __post_init__(self) -> None:
        for kind in self.__struct_fields__:
            rate = getattr(self, kind)
            if not 0 <= rate <= 1:
                message = f"{kind}={rate!r} cannot be; it takes a rate between 0, which switches it off, and 1"
                raise ArgumentError(message)


KINDS: Final = Faults.__struct_fields__
NO_FAULTS: Final = Faults(**dict.fromkeys(KINDS, 0.0))
_ALWAYS_ON: Final = 1.0
"""A rate that a test insists on is neither switched off nor lowered."""


class FaultPlan:
    """The faults of one run; `stop` ends them."""

    def __init__(self, faults: Faults, seed: int, limit: int | None = None) -> None:
        swarm = random.Random(f"{seed} swarm")  # noqa: S311 – repeatable is the point
        self._choices = Choices(seed, "faults", limit)
        self.rates: dict[str, float] = {}
        for kind in KINDS:
            most = getattr(faults, kind)
            rate = most * swarm.random() if swarm.random() < 0.5 else 0.0  # noqa: PLR2004 – heads or tails
            self.rates[kind] = most if most >= _ALWAYS_ON else rate
        self._is_over = False

    @property
    def kinds(self) -> list[str]:
        """The kinds that this seed switches on."""
        return [kind for kind, rate in self.rates.items() if rate]

    def stop(self) -> None:
        """Let nothing go wrong any more."""
        self._is_over = True

    def strikes(self, kind: str) -> bool:
        """Say whether something of *kind* goes wrong now."""
        return not self._is_over and self._choices.chance(self.rates[kind])

    def below(self, count: int) -> int:
        """Return a number from 0 on, below *count*."""
        return self._choices.below(count)

    def seconds(self, most: float) -> float:
        """Return how long something takes that takes too long."""
        return self._choices.seconds(most)


def note_fault(record: "Record", target: "Envelope | Cell", detail: str) -> None:
    """Write down what is done to an envelope or an agent."""
    if isinstance(target, Envelope):
        record.envelope(What.FAULT, target, detail)
    else:
        record.agent(What.FAULT, target, detail)
