"""The pictures in the documentation are what the library draws today, byte by byte."""

import importlib.metadata
import re

import pytest

from support.examples import ROOT
from support.pictures import FOLDER, Picture, pictures
from support.svgs import words_of

PICTURES = {picture.name: picture for picture in pictures()}


@pytest.mark.slow
@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_what_would_be_drawn_today(picture: Picture) -> None:
    assert pinned() == importlib.metadata.version("mermaidx"), "another renderer draws other bytes"

    for name, svg in picture.draw().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == svg, f"{name} is stale: run scripts/pictures"


def pinned() -> str:
    """Return the version of the renderer that constraints.txt names."""
    (version,) = re.findall(r"^mermaidx==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return str(version)


def test_there_are_no_other_pictures() -> None:
    wanted = {name for picture in PICTURES.values() for name in picture.files()}

    assert {path.name for path in FOLDER.iterdir()} == wanted
    assert wanted


def test_a_run_has_the_same_times_each_time() -> None:
    picture = PICTURES["newsroom"]

    assert picture.draw_run() == picture.draw_run()


@pytest.mark.slow
def test_a_stale_picture_is_found() -> None:
    picture = PICTURES["newsroom"]
    changed = picture.pipeline.named("newspaper")

    assert "newspaper" in words_of(changed.svg())
    assert changed.svg() != (FOLDER / "newsroom.svg").read_text(encoding="utf-8")
