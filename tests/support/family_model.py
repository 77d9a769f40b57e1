"""Supervision as a model: trees of agents, and in which order they stop and start; written from OTP's rules alone."""

import random
from typing import Final

import msgspec

__all__ = ["FamilyModel", "Kin", "plant"]

_STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one")
_DIRECTIVES: Final = ("restart", "restart", "restart", "escalate", "resume", "stop")


class Kin(msgspec.Struct, frozen=True):
    """An agent as it is meant to be, with its children."""

    name: str
    strategy: str
    on_failure: str
    children: tuple["Kin", ...] = ()

    def everyone(self) -> "list[Kin]":
        """Return it and all below it."""
        return [self, *(kin for child in self.children for kin in child.everyone())]


def plant(seed: int) -> Kin:
    """Return a random tree of up to a dozen agents, at most three levels high."""
    choose = random.Random(seed)  # noqa: S311 – a test's choice
    names = iter([f"n{number}" for number in range(100)])

    def grow(level: int) -> Kin:
        name, strategy, on_failure = next(names), choose.choice(_STRATEGIES), choose.choice(_DIRECTIVES)
        number = choose.randint(1, 4) if level == 0 else choose.choice((0, 0, 1, 2)) if level == 1 else 0
        return Kin(name, strategy, on_failure, tuple(grow(level + 1) for _ in range(number)))

    return grow(0)


class FamilyModel:
    """Which agents there are, and the story so far: ``-name`` for a stop, ``+name`` for a start."""

    def __init__(self, root: Kin) -> None:
        self.story: list[str] = []
        self._parents = {child.name: kin for kin in root.everyone() for child in kin.children}
        self._kin = {kin.name: kin for kin in root.everyone()}
        self._there: dict[str, list[str]] = {}  # children by parent, in the order they were started
        self._start(root)

    @property
    def names(self) -> list[str]:
        """Whoever is there."""
        return sorted(self._there)

    def stop(self, name: str) -> None:
        """End *name*, its children first, last started first."""
        for child in reversed(self._there[name]):
            self.stop(child)
        self.story.append(f"-{name}")
        del self._there[name]
        if name in self._parents:
            siblings = self._there[self._parents[name].name]
            siblings.remove(name)

    def fail(self, name: str) -> None:
        """Let *name* fail, by itself or by a child, and do what its directive says."""
        directive = self._kin[name].on_failure
        if directive == "restart":
            self._begin_again(name)
        elif directive in {"stop", "escalate"}:
            self.stop(name)
            if directive == "escalate" and name in self._parents:
                self.fail(self._parents[name].name)

    def _start(self, kin: Kin) -> None:
        self.story.append(f"+{kin.name}")
        self._there[kin.name] = []
        for child in kin.children:
            self._start(child)
            self._there[kin.name].append(child.name)

    def _begin_again(self, name: str) -> None:
        group = [name]
        if name in self._parents:
            parent = self._parents[name]
            siblings = self._there[parent.name]
            if parent.strategy == "one_for_all":
                group = list(siblings)
            elif parent.strategy == "rest_for_one":
                group = siblings[siblings.index(name) :]
        for each in reversed(group):
            self._take_down(each)
        for each in group:
            self._start(self._kin[each])

    def _take_down(self, name: str) -> None:
        """End the instance; the place among its siblings stays."""
        for child in reversed(self._there[name]):
            self.stop(child)
        self.story.append(f"-{name}")
