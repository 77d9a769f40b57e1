"""Do the stages of a pipeline fit? Asked when it is built."""

from ceylon.core.ref import Ref
from ceylon.errors import DefinitionError
from ceylon.pipelines.nodes import Node, Stage, walk

__all__ = ["check"]


def check(root: Node) -> None:
    """Raise unless a pipeline of this tree could run.

    Raises:
        DefinitionError: its refs are of different meshes.
    """
    refs = [node.target for _, node in walk(root) if isinstance(node, Stage) and isinstance(node.target, Ref)]
    for ref in refs[1:]:
        if ref.__ceylon_mesh__ is not refs[0].__ceylon_mesh__:
            message = f"{refs[0]!r} and {ref!r} are in different meshes; a pipeline runs in one"
            raise DefinitionError(message)
