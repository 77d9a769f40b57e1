"""Look into an SVG: is it one, what does it say, and is there anything in it that a label has put there?"""

import xml.etree.ElementTree as ET
from typing import Final

__all__ = ["words_of"]

_DRAWN: Final = {
    *("svg", "style", "defs", "filter", "feDropShadow", "linearGradient", "stop", "marker", "g"),
    *("path", "polygon", "circle", "ellipse", "rect", "line", "text", "tspan"),
    *("foreignObject", "div", "span", "p", "br"),
}


def words_of(svg: str) -> list[str]:
    """Return the text of every label that has any, without the breaks that a box needs.

    Raises:
        AssertionError: something in the picture is more than a drawing.
    """
    root = ET.fromstring(svg)  # noqa: S314 – of our own pictures
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        assert name in _DRAWN, f"<{name}> is no part of a drawing"
        strange = [key for key in element.attrib if key.startswith("on") or key.rpartition("}")[2] in {"href", "src"}]
        assert not strange, f"<{name}> has {strange}"
    labels = [each for each in root.iter() if each.tag.rpartition("}")[2] in {"foreignObject", "text"}]
    return [words for label in labels if (words := _text(label))]


def _text(label: ET.Element) -> str:
    return "".join(label.itertext()).strip("\xa0 ").replace("\u2060", "")  # what parts two dollar signs
