"""Documents are cut into chunks that lose nothing, are never too long, and overlap as much as they may."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.errors import ArgumentError
from ceylon.memory.in_memory import InMemory
from ceylon.memory.splitting import notes_of, split
from support.examples import ROOT

SENTENCES = [
    "Tea grows.",
    "Is it green?",
    "No! It is black.",
    "A longer sentence about tea, cups and pots.",
    "x" * 70,
    "茶。",
]
texts = st.lists(
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=8).map(" ".join), min_size=0, max_size=8
).map("\n\n".join) | st.text(max_size=300)


@given(texts, st.integers(1, 120), st.data())
def test_chunks_lose_nothing_and_fit(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size // 2))

    chunks = split(text, size=size, overlap=overlap)

    covered = 0
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert 0 < len(chunk.text) <= size
        assert not text[covered : chunk.start].strip()
        assert chunk.end > covered
        covered = chunk.end
    assert not text[covered:].strip()
    assert all(max(0, a.end - b.start) <= overlap for a, b in itertools.pairwise(chunks))


def test_a_chunk_ends_with_a_paragraph_where_it_can() -> None:
    text = "One is here. Two is here.\n\nThree is here. Four is here."

    assert [chunk.text for chunk in split(text, size=40, overlap=0)] == [
        "One is here. Two is here.",
        "Three is here. Four is here.",
    ]


def test_the_last_sentence_is_there_again() -> None:
    text = "The first one is here. A short one. The third one is there. Here is the fourth."

    assert [chunk.text for chunk in split(text, size=45, overlap=20)] == [
        "The first one is here. A short one.",
        "A short one. The third one is there.",
        "Here is the fourth.",
    ]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_a_chunk_must_have_room_for_something_new(size: int, overlap: int) -> None:
    with pytest.raises(ArgumentError, match="cannot be"):
        split("text", size=size, overlap=overlap)


def test_a_note_knows_its_heading_and_place() -> None:
    text = "# Tea\n\nIt grows.\n\n## Black\n\nIn Assam it is strong.\n\n"
    text += "```sh\n# no heading\n```\n\n## Green ##\n\nIn Japan."

    notes = notes_of(text, "tea.md", size=30, overlap=0)

    assert [(note.id, note.metadata["heading"]) for note in notes] == [
        ("tea.md#1", "Tea"),
        ("tea.md#2", "Black"),
        ("tea.md#3", "Black"),
        ("tea.md#4", "Green"),
    ]
    assert {note.source for note in notes} == {"tea.md"}
    assert not any(note.is_trusted for note in notes)


async def test_a_document_that_is_read_again_replaces_itself() -> None:
    notebook = InMemory().notebook("docs")
    for text in ("Tea is green.", "Tea is black."):
        await notebook.remember_all(notes_of(text, "tea.md"))

    assert [entry.text for entry in await notebook.entries()] == ["Tea is black."]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_every_page_of_the_documentation_is_cut_well(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    chunks = split(text)

    assert max(len(chunk.text) for chunk in chunks) <= 800
    assert sum(len(chunk.text) for chunk in chunks) >= len("".join(text.split()))
    assert len(chunks) <= 2 + len(text) / 250
