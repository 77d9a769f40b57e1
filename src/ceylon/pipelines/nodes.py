"""What a pipeline is: a tree of plain, immutable nodes. How they run stands elsewhere, looked up by their type."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from ceylon.pipelines.shape import Shape

__all__ = [
    "AtLimit",
    "Branch",
    "Each",
    "Fallback",
    "Gather",
    "Loop",
    "Node",
    "OnFailure",
    "Parallel",
    "Race",
    "Reduce",
    "Retry",
    "Sequence",
    "Stage",
    "Tap",
    "Timeout",
    "What",
    "walk",
]

OnFailure: TypeAlias = Literal["cancel", "wait", "keep"]
"""What becomes of the others when one fails, and of the failure; see `parallel`."""

AtLimit: TypeAlias = Literal["raise", "keep"]  # what a loop does that is still not done
What: TypeAlias = Literal["function", "agent", "ref", "action", "generator", "pipeline"]  # what a stage is


class Node(msgspec.Struct, frozen=True):
    """One place in the tree."""

    kind: ClassVar[str]

    @property
    def children(self) -> "tuple[Node, ...]":
        """The nodes below, in order."""
        return ()

    @property
    def keys(self) -> tuple[Any, ...]:
        """What the children are called, where they have names; as many as there are children, or none."""
        return ()

    @property
    def label(self) -> str:
        """What to call the node in errors and pictures."""
        return self.kind


class Stage(Node, frozen=True):
    """A leaf: something that takes a value and gives one.

    `target` is the function, the agent or the ref, `action` what of it is called, with `arguments` already given.
    `shape` says how a function is called, `scope` holds the local names that its annotations mention.
    """

    kind: ClassVar[str] = "stage"

    target: Any
    what: What
    name: str
    source: str = ""
    action: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    shape: Shape = Shape(is_known=False)
    scope: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """See `Node`."""
        return self.name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stage):
            return False
        return (
            self.what == other.what
            and bool(self.target == other.target)
            and self.action == other.action
            and self.arguments == other.arguments
        )

    __hash__ = None  # type: ignore[assignment] # arguments may be anything


class _Inner(Node, frozen=True):
    """A node over several others."""

    steps: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node`."""
        return self.steps


class _Outer(Node, frozen=True):
    """A node over one other."""

    step: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node`."""
        return (self.step,)


class Sequence(_Inner, frozen=True):
    """One after the other; `name` is that of a pipeline inside another."""

    kind: ClassVar[str] = "sequence"

    name: str = ""

    @property
    def label(self) -> str:
        """See `Node`."""
        return self.name or self.kind


class Parallel(_Inner, frozen=True):
    """All of them with one value; `names` makes the result a dict."""

    kind: ClassVar[str] = "parallel"

    names: tuple[str, ...] = ()
    on_failure: OnFailure = "cancel"

    @property
    def keys(self) -> tuple[Any, ...]:
        """See `Node`."""
        return self.names


class Branch(Node, frozen=True):
    """One of several, chosen by the key that `by` finds; that is a child only if it is more than a function."""

    kind: ClassVar[str] = "branch"

    by: Node
    choices: tuple[tuple[Any, Node], ...]
    default: Node | None = None

    @property
    def has_plain_key(self) -> bool:
        """Whether a function finds the key."""
        return isinstance(self.by, Stage) and self.by.what == "function"

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node`: the choices, the default if there is one, what finds the key if that is a child."""
        default = () if self.default is None else (self.default,)
        return (*(step for _, step in self.choices), *default, *(() if self.has_plain_key else (self.by,)))

    @property
    def keys(self) -> tuple[Any, ...]:
        """See `Node`."""
        default = () if self.default is None else ("default",)
        return (*(key for key, _ in self.choices), *default, *(() if self.has_plain_key else ("by",)))


class Race(_Inner, frozen=True):
    """All of them with one value; the first that succeeds."""

    kind: ClassVar[str] = "race"


class Loop(_Outer, frozen=True):
    """Again and again, until `until` is true of the value."""

    kind: ClassVar[str] = "loop"

    at_most: int = 1
    until: Stage | None = None
    at_limit: AtLimit = "raise"


class Each(_Outer, frozen=True):
    """Once for each item of a flow."""

    kind: ClassVar[str] = "each"

    concurrency: int = 8
    ordered: bool = True
    on_failure: OnFailure = "cancel"


class Gather(Node, frozen=True):
    """All items of a flow as a list."""

    kind: ClassVar[str] = "gather"


class Reduce(Node, frozen=True):
    """The items of a flow folded into one value."""

    kind: ClassVar[str] = "reduce"

    function: Stage
    initial: Any


class Retry(_Outer, frozen=True):
    """Once more after a failure."""

    kind: ClassVar[str] = "retry"

    times: int = 3
    on: tuple[type[BaseException], ...] = (Exception,)
    pause: float = 0.1
    factor: float = 2.0
    jitter: float = 1.0


class Fallback(_Inner, frozen=True):
    """The next one after a failure."""

    kind: ClassVar[str] = "fallback"

    on: tuple[type[BaseException], ...] = (Exception,)


class Timeout(_Outer, frozen=True):
    """For so many seconds at most."""

    kind: ClassVar[str] = "timeout"

    seconds: float = 0.0


class Tap(_Outer, frozen=True):
    """Beside the value, which goes on unchanged."""

    kind: ClassVar[str] = "tap"


def walk(node: Node, place: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every node of the tree with its place: the indexes of the children on the way to it, ``"1.0.2"``."""
    yield place, node
    for index, child in enumerate(node.children):
        yield from walk(child, f"{place}.{index}" if place else str(index))
