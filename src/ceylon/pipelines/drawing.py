"""The pictures of a pipeline: what gives a class that can `describe` itself the verbs to be drawn."""

from collections.abc import Iterable
from typing import Any, Protocol

from ceylon.core.mermaid import Direction
from ceylon.core.svg import mimebundle, svg_of
from ceylon.pipelines.mermaid import draw

__all__ = ["Drawn"]


class _Described(Protocol):
    def describe(self) -> dict[str, Any]: ...


class Drawn:
    """Draws what its `describe` tells of."""

    __slots__ = ()

    def draw(self: _Described, events: Iterable[Any] | None = None, *, direction: Direction = "down") -> str:
        """Return a picture as Mermaid text, which GitHub, editors and notebooks draw.

        Args:
            events: The `StageEvent`s of a run, also of one that goes on: what ran, how long, and what failed is drawn
                over the pipeline.
            direction: Where the arrows lead: ``"down"``, or ``"right"`` for a short one.

        Raises:
            ArgumentError: there is no such direction, or something is no event.
        """
        return draw(self.describe(), events, direction=direction)

    def svg(self: _Described, events: Iterable[Any] | None = None, *, direction: Direction = "down") -> str:
        """Return the same picture as an SVG; needs the extra `drawing`, and a second the first time.

        Raises:
            DrawingError: the extra is not installed.
        """
        return svg_of(draw(self.describe(), events, direction=direction))

    def _repr_mimebundle_(self: _Described, **_: Any) -> dict[str, Any]:
        """Show the picture in a notebook."""
        return mimebundle(lambda: draw(self.describe()), repr(self))
