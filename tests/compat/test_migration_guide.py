"""The guide names every name of `ceylon.compat`, and what it says to use instead exists."""

import importlib
import re
from collections.abc import Iterator

import ceylon.compat
from support.examples import ROOT

GUIDE = ROOT / "docs" / "guides" / "migrating-from-ceylonai-next.md"
ROW = re.compile(r"^\| `(\w+)` \| (?:`([\w.]+)`|–) \| (.*)\|$", re.MULTILINE)


def rows(text: str) -> dict[str, str]:
    """Return the table of names, old and new."""
    return {old: new for old, new, _ in ROW.findall(text.partition("## Every name")[2].partition("###")[0])}


def unknown(text: str) -> Iterator[str]:
    """Yield what of the new names is none."""
    for new in {*rows(text).values()} - {""}:
        home, _, name = new.rpartition(".")
        if not hasattr(importlib.import_module(home), name):
            yield new


def test_every_name_of_compat_is_in_the_table_in_order() -> None:
    assert list(rows(GUIDE.read_text(encoding="utf-8"))) == list(ceylon.compat.__all__)


def test_what_the_table_says_to_use_instead_exists() -> None:
    text = GUIDE.read_text(encoding="utf-8")

    assert list(unknown(text)) == []
    assert sum(new != "" for new in rows(text).values()) > 25


def test_a_name_without_a_home_is_found() -> None:
    text = "## Every name\n| `Agent` | `ceylon.Agents` | |\n| `LocalMesh` | `ceylon.Mesh` | |\n| `PyAgent` | – | x |\n"

    assert rows(text) == {"Agent": "ceylon.Agents", "LocalMesh": "ceylon.Mesh", "PyAgent": ""}
    assert list(unknown(text)) == ["ceylon.Agents"]


def test_the_guide_says_what_to_uninstall_first() -> None:
    text = GUIDE.read_text(encoding="utf-8")

    assert text.index("pip uninstall ceylon ceylonai-next") < text.index("## Change the import")
