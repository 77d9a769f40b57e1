"""Turn Mermaid's text into an SVG, by a renderer that needs no browser and no Node: the extra `drawing`."""

import importlib
import importlib.util
import re
import zlib
from typing import Any, Final

from ceylon.errors import DrawingError

__all__ = ["has_renderer", "mimebundle", "svg_of"]

_RENDERER: Final = "mermaidx"
_OPTIONS: Final = {
    "deterministicIds": True,  # the same text gives the same bytes
    "maxTextSize": 5_000_000,  # Mermaid's own limits are for pages of strangers; this is our own text
    "maxEdges": 20_000,
}
_ID: Final = "my-svg"  # what the renderer calls every picture; two of them on a page would style each other
_TAGS: Final = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)


def has_renderer() -> bool:
    """Say whether the extra `drawing` is installed."""
    return importlib.util.find_spec(_RENDERER) is not None


def svg_of(mermaid: str) -> str:
    """Return the picture of *mermaid* as an SVG; takes a second the first time, then some tenths.

    It blocks for that time: on an event loop, `await anyio.to_thread.run_sync(svg_of, mesh.draw())`.

    Raises:
        DrawingError: the extra is not installed, or the renderer refuses the text.
    """
    try:
        renderer: Any = importlib.import_module(_RENDERER)
    except ModuleNotFoundError as error:
        reason = "an SVG needs a renderer"
        raise DrawingError(
            reason, 'install it: pip install "ceylon-mesh[drawing]"; `draw()` gives the text without it'
        ) from error
    try:
        drawn: str = renderer.render(mermaid, config=_OPTIONS).svg()
    except RuntimeError as error:  # all that it raises
        reason = f"the renderer refuses the text: {error}"
        raise DrawingError(reason, "look at the text that `draw()` gives") from error
    return _on_white(_named(drawn, f"{zlib.crc32(mermaid.encode()):08x}"))


def _named(svg: str, number: str) -> str:
    """Give the picture an id of its own; labels stay as they are."""
    return _TAGS.sub(lambda tag: tag[0].replace(_ID, f"ceylon-{number}"), svg)


def _on_white(svg: str) -> str:
    """Give it a ground: its lines are dark, and the page may be so too."""
    return svg.replace("background-color: transparent;", "background-color: #ffffff;", 1)


def mimebundle(mermaid: str, plain: str) -> dict[str, Any]:
    """Return what a notebook shows: the picture if it can be drawn here, else the text that others draw."""
    shown = {"text/plain": plain, "text/markdown": f"```mermaid\n{mermaid}```\n"}
    return {**shown, "image/svg+xml": svg_of(mermaid)} if has_renderer() else shown
