"""Turn Mermaid's text into an SVG, by a renderer that needs no browser and no Node: the extra `drawing`."""

import atexit
import contextlib
import functools
import importlib
import importlib.util
import os
import re
import zlib
from collections.abc import Callable
from typing import Any, Final

from ceylon.errors import BlockingCallError, DrawingError

__all__ = ["has_renderer", "mimebundle", "svg_of"]

_RENDERER: Final = "mermaidx"
_OPTIONS: Final = {
    "deterministicIds": True,  # the same text gives the same bytes
    "maxTextSize": 5_000_000,  # Mermaid's own limits are for pages of strangers; this is our own text
    "maxEdges": 20_000,
}
_MISSING: Final = "an SVG needs a renderer"
_INSTALL: Final = 'install it, in the clone: pip install -e ".[drawing]"; `draw()` gives the text without it'
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
    if not has_renderer():
        raise DrawingError(_MISSING, _INSTALL)
    try:
        drawn: str = _engine(os.getpid()).render_svg(mermaid, "default", _OPTIONS, None)
    except RuntimeError as error:  # all that it raises
        reason = f"the renderer refuses the text: {error}"
        raise DrawingError(reason, "look at the text that `draw()` gives") from error
    return _on_white(_named(drawn, f"{zlib.crc32(mermaid.encode()):08x}"))


@functools.lru_cache(maxsize=1)
def _engine(_process: int) -> Any:
    """Return the renderer of this process; it has a thread, which a fork leaves behind, and whoever asks it waits."""
    engine = importlib.import_module(f"{_RENDERER}.engine").Engine()
    engine.start()
    atexit.register(engine.close)  # its libraries complain of what is still there after the interpreter
    return engine


def _named(svg: str, number: str) -> str:
    """Give the picture an id of its own; labels stay as they are."""
    return _TAGS.sub(lambda tag: tag[0].replace(_ID, f"ceylon-{number}"), svg)


def _on_white(svg: str) -> str:
    """Give it a ground: its lines are dark, and the page may be so too."""
    return svg.replace("background-color: transparent;", "background-color: #ffffff;", 1)


def mimebundle(draw: Callable[[], str], plain: str) -> dict[str, Any]:
    """Return what a notebook shows: the picture if it can be drawn here, else the text that others draw."""
    shown = {"text/plain": plain}
    with contextlib.suppress(BlockingCallError, DrawingError):  # a cell must not fail because of how its value looks
        mermaid = draw()
        shown["text/markdown"] = f"```mermaid\n{mermaid}```\n"
        shown |= {"image/svg+xml": svg_of(mermaid)} if has_renderer() else {}
    return shown
