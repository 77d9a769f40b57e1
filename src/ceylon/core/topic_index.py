"""Find who subscribes to a topic without asking everybody: a dictionary for whole topics, a small tree for patterns."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ceylon.core.topics import TopicPattern

__all__ = ["Member", "Members", "Place", "TopicIndex"]

_ANY: Final = "*"


class Member(msgspec.Struct, eq=False):
    """One subscription: an address in a place of the index.

    `owner` is the agent, or the family, that what was asked for ends with; `turn` grows each time that it has got
    something for its group. `is_declared` says that the agent's class asks for it, `is_asked` that somebody has by
    `subscribe`; without either it is over.
    """

    address: str
    pattern: TopicPattern
    group: str
    waits: bool
    turn: int
    is_declared: bool = False
    is_asked: bool = False
    owner: str = ""


Members = dict[str, Member]
"""Members of one group with one pattern, by address, those first whose turn is next."""


class Place:
    """Who subscribes to one pattern: those for themselves, and those of each group."""

    __slots__ = ("each", "groups")

    def __init__(self) -> None:
        self.each: Members = {}
        self.groups: dict[str, Members] = {}

    def members(self, group: str) -> Members:
        """Return the members of *group*, to be changed; ``""``: those for themselves."""
        return self.groups.setdefault(group, {}) if group else self.each

    def discard(self, member: Member) -> None:
        """Take *member* out, and a group that is empty then."""
        members = self.members(member.group)
        members.pop(member.address, None)
        if member.group and not members:
            del self.groups[member.group]

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left."""
        return not self.each and not self.groups


class _Branch:
    """What patterns have in common up to some word: `here` are those that end there, `rest` those that go on by **."""

    __slots__ = ("branches", "here", "rest")

    def __init__(self) -> None:
        self.branches: dict[str, _Branch] = {}
        self.here: Place | None = None
        self.rest: Place | None = None

    @property
    def is_empty(self) -> bool:
        return not self.branches and self.here is None and self.rest is None


class TopicIndex:
    """From a topic to the places of the patterns it matches. Looking grows with the words, not with the subscribers."""

    def __init__(self) -> None:
        self._exact: dict[str, Place] = {}
        self._root = _Branch()

    def find(self, topic: str, words: Sequence[str]) -> list[Place]:
        """Return the places of all patterns that match *topic*, which consists of *words*."""
        found: list[Place] = []
        exact = self._exact.get(topic)
        if exact is not None:
            found.append(exact)
        if not self._root.is_empty:
            found.extend(self._walk(words))
        return found

    def _walk(self, words: Sequence[str]) -> Iterator[Place]:
        level = [self._root]
        for word in words:
            deeper: list[_Branch] = []
            for branch in level:
                if branch.rest is not None:
                    yield branch.rest
                deeper.extend(next_ for key in (word, _ANY) if (next_ := branch.branches.get(key)) is not None)
            level = deeper
        for branch in level:
            if branch.here is not None:
                yield branch.here
            if branch.rest is not None:
                yield branch.rest

    def place(self, pattern: TopicPattern) -> Place:
        """Return the place of *pattern*, made if there is none."""
        if pattern.is_exact:
            return self._exact.setdefault(pattern.text, Place())
        branch = self._root
        for word in pattern.words:
            branch = branch.branches.setdefault(word, _Branch())
        if pattern.is_open:
            branch.rest = branch.rest or Place()
            return branch.rest
        branch.here = branch.here or Place()
        return branch.here

    def discard(self, member: Member) -> None:
        """Take *member* out; of a pattern that nobody has any more nothing is left."""
        pattern, place = member.pattern, self.place(member.pattern)
        place.discard(member)
        if not place.is_empty:
            return
        if pattern.is_exact:
            del self._exact[pattern.text]
        else:
            self._prune(pattern)

    def _prune(self, pattern: TopicPattern) -> None:
        """Take the empty place of *pattern* out of the tree, and the branches that led to nothing else."""
        way = [self._root]
        for word in pattern.words:
            way.append(way[-1].branches[word])
        if pattern.is_open:
            way[-1].rest = None
        else:
            way[-1].here = None
        for word, above, branch in zip(reversed(pattern.words), way[-2::-1], way[:0:-1], strict=True):
            if branch.is_empty:
                del above.branches[word]

    @property
    def is_empty(self) -> bool:
        """Whether nobody subscribes to anything."""
        return not self._exact and self._root.is_empty
