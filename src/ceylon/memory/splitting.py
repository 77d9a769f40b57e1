"""Documents in pieces that fit a question: cut between paragraphs where possible, else sentences, else words."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ceylon.errors import ArgumentError
from ceylon.memory.entries import Note, Scalar
from ceylon.settings import DEFAULTS

__all__ = ["Chunk", "notes_of", "split"]

_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE: Final = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n")  # noqa: RUF001 – Chinese and Japanese sentences end so
_WORD: Final = re.compile(r"\s+")
_HEADING: Final = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_FULL_ENOUGH: Final = 0.5  # of the size: from there on the end of a paragraph ends a chunk


class Chunk(NamedTuple):
    """A piece of a text: ``text[start:end]`` of the whole."""

    text: str
    start: int
    end: int


class _Piece(NamedTuple):
    """What is not cut: a sentence, or a part of one that is too long."""

    start: int
    end: int
    begins_paragraph: bool


def split(
    text: str, *, size: int = DEFAULTS.chunk_characters, overlap: int = DEFAULTS.chunk_overlap
) -> tuple[Chunk, ...]:
    """Return *text* in chunks of at most *size* characters; each begins with up to *overlap* of the one before it.

    A chunk ends with a paragraph where that leaves it at least half full, else with a sentence; only what is longer
    than a chunk is cut inside. Nothing but white space between chunks is left out.

    Raises:
        ArgumentError: a size below 1, or an overlap that leaves no room for anything new.
    """
    if size < 1 or not 0 <= overlap <= size // 2:
        sentence = f"size={size}, overlap={overlap} cannot be; it takes a size from 1 and at most half of it as overlap"
        raise ArgumentError(sentence)
    pieces = list(_pieces(text, size))
    chunks: list[Chunk] = []
    first = 0
    fresh = 0  # the first piece that is in no chunk yet
    while fresh < len(pieces):
        end = _end_of(pieces, first, fresh, size)
        start, stop = pieces[first].start, pieces[end - 1].end
        chunks.append(Chunk(text[start:stop], start, stop))
        first, fresh = _next_first(pieces, end, stop, size, overlap), end
    return tuple(chunks)


def notes_of(
    text: str,
    source: str,
    *,
    size: int = DEFAULTS.chunk_characters,
    overlap: int = DEFAULTS.chunk_overlap,
    is_trusted: bool = False,
) -> tuple[Note, ...]:
    """Return a document as notes for a memory, one a chunk.

    A note's id is *source* and the number of the chunk, so that a document read again replaces itself. What is known of
    a chunk is its `chunk` number and, in Markdown, the `heading` it stands under.
    """
    fences = [match.span() for match in _FENCE.finditer(text)]
    headings = [
        (match.start(), match[1].strip())
        for match in _HEADING.finditer(text)
        if not any(start <= match.start() < end for start, end in fences)
    ]
    notes: list[Note] = []
    for number, chunk in enumerate(split(text, size=size, overlap=overlap), 1):
        above = [heading for start, heading in headings if start < chunk.end - len(chunk.text) // 2]
        metadata: dict[str, Scalar] = {"chunk": number}
        if above:
            metadata["heading"] = above[-1][: DEFAULTS.memory_value]
        note = Note(text=chunk.text, source=source, id=f"{source}#{number}", metadata=metadata, is_trusted=is_trusted)
        notes.append(note)
    return tuple(notes)


def _end_of(pieces: list[_Piece], first: int, fresh: int, size: int) -> int:
    """Return the place behind the last piece of the chunk that begins with *first*; it has *fresh* at least."""
    start = pieces[first].start
    end = fresh + 1
    while end < len(pieces) and pieces[end].end - start <= size:
        end += 1
    if end == len(pieces) or pieces[end].begins_paragraph:
        return end
    for place in range(end - 1, fresh, -1):
        if pieces[place].begins_paragraph and pieces[place - 1].end - start >= size * _FULL_ENOUGH:
            return place
    return end


def _next_first(pieces: list[_Piece], end: int, stop: int, size: int, overlap: int) -> int:
    """Return the piece that the next chunk begins with: one that was there already, if it and the new one fit."""
    first = end
    while first > 0 and end < len(pieces):
        before = pieces[first - 1]
        if stop - before.start > overlap or pieces[end].end - before.start > size:
            break
        first -= 1
    return first


def _pieces(text: str, size: int) -> Iterator[_Piece]:
    """Yield what is not cut, with nothing between but white space."""
    for start, end in _parts(text, 0, len(text), _PARAGRAPH):
        is_first = True
        for part_start, part_end in _fitting(text, start, end, size):
            yield _Piece(part_start, part_end, is_first)
            is_first = False


def _fitting(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences from *start* to *end*; the words of one that is too long; of a word that is, its parts."""
    for sentence_start, sentence_end in _parts(text, start, end, _SENTENCE):
        if sentence_end - sentence_start <= size:
            yield sentence_start, sentence_end
            continue
        for word_start, word_end in _parts(text, sentence_start, sentence_end, _WORD):
            for part in range(word_start, word_end, size):
                yield part, min(part + size, word_end)


def _parts(text: str, start: int, end: int, separator: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield what stands between separators, without the white space around it."""
    begin = start
    for match in separator.finditer(text, start, end):
        mark = match.group().rstrip()  # the quotation marks behind a sentence are the sentence's
        yield from _stripped(text, begin, match.start() + len(mark))
        begin = match.end()
    yield from _stripped(text, begin, end)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
