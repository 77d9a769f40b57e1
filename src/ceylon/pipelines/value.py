"""A pipeline: an immutable value, the tree of its stages, with the verbs to run it."""

from typing import TYPE_CHECKING, Any

from ceylon.core.composing import Composable
from ceylon.core.names import check_name
from ceylon.errors import ArgumentError
from ceylon.pipelines.checking import check
from ceylon.pipelines.describing import describe
from ceylon.pipelines.nodes import Node, Sequence, walk

__all__ = ["Pipeline"]


class Pipeline(Composable):
    """Stages, and how the values go from one to the next.

    Made by `pipeline`, ``>>`` and the other words of `ceylon.pipelines`. It is a value: nothing changes it, two of one
    tree are equal, and it may run any number of times at once.
    """

    __slots__ = ("__weakref__", "_concurrency", "_name", "_root")

    def __init__(self, root: Sequence, *, name: str | None = None, concurrency: int | None = None) -> None:
        check(root)
        self._root, self._name, self._concurrency = root, name, concurrency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and other._root == self._root

    def __hash__(self) -> int:
        return hash(tuple((place, node.kind, node.label) for place, node in walk(self._root)))

    def __repr__(self) -> str:
        return f"<Pipeline {self.name!r} {' >> '.join(step.label for step in self._root.steps)}>"

    @property
    def name(self) -> str:
        """What it is called, in a mesh too."""
        return self._name or "pipeline"

    def named(self, name: str, *, concurrency: int | None = None) -> "Pipeline":
        """Return the same stages under a *name*; as an agent it takes *concurrency* runs at a time (64)."""
        if concurrency is not None and (
            not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1
        ):
            message = f"concurrency={concurrency!r} cannot be; it takes a whole number from 1"
            raise ArgumentError(message)
        return Pipeline(self._root, name=check_name(name), concurrency=concurrency)

    def describe(self) -> dict[str, Any]:
        """Return the tree as plain JSON data.

        Every node has `kind`, `place` (the indexes of the children on the way to it, ``"1.0.2"``), `label`, `facts`
        (its options) and `children`; stages have `what` and `source` besides, and where children are named there are
        `keys`.
        """
        told = describe(self._root, label=self.name)
        return {"name": self.name, **told}

    @property
    def __ceylon_tree__(self) -> Node:
        """The tree, for code of this package; one with a name stays together inside another."""
        if self._name is not None:
            return Sequence(self._root.steps, self._name)
        return self._root.steps[0] if len(self._root.steps) == 1 else self._root
