"""Keep keys out of what is written down: the ones that are known, and whatever looks like one.

Each distinct secret has a mark of its own, named after where it is known from. So a replay can tell them apart, and
give back the one that the machine it runs on has from the same place.
"""

import itertools
import os
import re
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ceylon.models.fallback import FallbackModel
from ceylon.models.secret import Secret, spots
from ceylon.testing.marks import BEGINNING, LITERAL, mark, piece, stand_in
from ceylon.testing.outline import is_items, is_mapping

__all__ = ["Masking"]

_VARIABLE: Final = re.compile(r"(?i)(^|_)(api_?key|key|token|secret|password|passwd|credentials?)s?($|_)")
_FIELD: Final = re.compile(
    r"(?i)(.*[_-])?(api[_-]?key|authorization|cookie|set-cookie|access[_-]?token|refresh[_-]?token|auth[_-]?token"
    r"|secret|client[_-]?secret|password|passwd|private[_-]?key|credentials?)|token"
)
_SHORTEST: Final = 8  # of what is taken for a key because of its variable's name: `KEY_LAYOUT=us` is none
_USER: Final = re.compile(r"(?<=://)[^/\s@:]+(:[^/\s@]*)?(?=@)")
_TOKEN: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")  # a signed web token (JWT)
_NOT_IN_NAMES: Final = re.compile(r"[<>\s]+")


class _Span(NamedTuple):
    """Where in a text a secret is."""

    start: int
    end: int
    name: str


class Masking:
    """Masks by value what it was told of and what the environment holds, and by shape the rest; from any thread."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {BEGINNING: LITERAL}  # by value: found wherever it is
        self._shaped: dict[str, str] = {}  # by value: found where it looks like one
        for number, each in enumerate((each for each in secrets if each), 1):
            self._names.setdefault(each, f"given {number}")
        for name, value in sorted(_of_environment().items()):
            self._names.setdefault(value, name)

    def learn(self, holder: object) -> None:
        """Take note of the secrets that *holder*, a model, has among its attributes, or those of what it speaks to."""
        if isinstance(holder, FallbackModel):
            for model in holder.models:
                self.learn(model)
        named = _NOT_IN_NAMES.sub("-", str(getattr(holder, "name", "")))
        for each in _secrets_of(holder):
            with self._lock:
                self._names.setdefault(each, self._free(f"key of {named}"))

    def apply(self, value: Any, found: list[str] | None = None) -> Any:
        """Return plain data without secrets; *found* is given them, in their order, as often as they are there."""
        seen = [] if found is None else found
        if isinstance(value, str):
            (masked,) = self.pieces([value], seen)
            return masked
        if is_mapping(value):
            return {self.apply(key, seen): self._field(key, each, seen) for key, each in value.items()}
        return [self.apply(each, seen) for each in value] if is_items(value) else value

    def pieces(self, texts: Sequence[str], found: list[str] | None = None) -> list[str]:
        """Return *texts*, which are one text in pieces, without secrets; one that was cut has a mark in each piece."""
        whole = "".join(texts)
        spans = self._spans(whole)
        if found is not None:
            found += [whole[span.start : span.end] for span in spans]
        ends = list(itertools.accumulate(map(len, texts)))
        bounds = list(zip([0, *ends], ends, strict=False))
        cuts = [(span, _cut(span, bounds)) for span in spans]
        return [_without(whole, bound, cuts) for bound in bounds]

    def secret(self, name: str) -> str | None:
        """Return the secret that is known under *name* here and now."""
        with self._lock:
            return next((value for value, known in self._names.items() if known == name), None)

    def stand_in(self, name: str) -> str:
        """Return what stands for a secret that is not known here; it is masked like the secret itself."""
        made = stand_in(name)
        with self._lock:
            self._names.setdefault(made, name)
        return made

    def _field(self, key: str, value: Any, found: list[str]) -> Any:
        if not (isinstance(value, str) and value and _FIELD.fullmatch(key)):
            return self.apply(value, found)
        found.append(value)
        return mark(self._name(value, is_everywhere=_is_distinctive(value)))

    def _spans(self, text: str) -> list[_Span]:
        """Return where in *text* secrets are, in their order; none is inside of another."""
        taken: list[_Span] = []
        with self._lock:
            known = sorted(self._names.items(), key=lambda item: -len(item[0]))  # one may begin with another
        for value, name in known:
            at = text.find(value)
            while at >= 0:
                taken += [_Span(start, end, name) for start, end in _free_of(taken, at, at + len(value), whole=True)]
                at = text.find(value, at + len(value))
        shapes = [each.span() for pattern in (_USER, _TOKEN) for each in pattern.finditer(text)]
        for begin, stop in (*shapes, *spots(text)):
            taken += [_Span(start, end, self._name(text[start:end])) for start, end in _free_of(taken, begin, stop)]
        return sorted(taken)

    def _name(self, value: str, *, is_everywhere: bool = False) -> str:
        """Return the name of the secret *value*; one that is known by its looks only has a number.

        One that *is_everywhere* is a secret where it comes again bare, too: what a tool is called with as its key may
        stand in the tool's answer. Of words behind ``key=`` in a text nobody knows so much.
        """
        with self._lock:
            if value in self._names:
                return self._names[value]
            if value not in self._shaped:
                self._shaped[value] = str(len(self._shaped) + 1)
            if is_everywhere:
                self._names[value] = self._shaped[value]
            return self._shaped[value]

    def _free(self, name: str) -> str:
        """Return *name* with a number behind it, if it is taken."""
        taken, number, free = set(self._names.values()), 1, name
        while free in taken:
            number += 1
            free = f"{name} {number}"
        return free


def _free_of(taken: list[_Span], start: int, end: int, *, whole: bool = False) -> list[tuple[int, int]]:
    """Return what of the span from *start* to *end* is not *taken*; if it has to be *whole*, all of it or nothing."""
    inside = sorted(span for span in taken if span.start < end and span.end > start)
    if whole and inside:
        return []
    free: list[tuple[int, int]] = []
    for span in inside:
        if start < span.start:
            free.append((start, span.start))
        start = max(start, span.end)
    return [*free, (start, end)] if start < end else free


def _cut(span: _Span, bounds: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pieces of a text, by their *bounds*, in which something of the secret is."""
    return [bound for bound in bounds if bound[0] < span.end and bound[1] > span.start]


def _without(text: str, bound: tuple[int, int], spans: "list[tuple[_Span, list[tuple[int, int]]]]") -> str:
    """Return the piece of *text* within *bound* with marks for the secrets, or for what of them is in it."""
    made, (at, end) = "", bound
    for span, cut in spans:
        if bound in cut:
            made += text[at : max(at, span.start)] + piece(mark(span.name), cut.index(bound) + 1, len(cut))
            at = min(end, span.end)
    return made + text[at:end]


def _is_distinctive(value: str) -> bool:
    """Say whether *value*, which looked like a secret once, is one wherever it is: no word that anybody would use."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= _SHORTEST and has_both and not any(map(str.isspace, value))


def _of_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if len(value) >= _SHORTEST and _VARIABLE.search(name)}


def _secrets_of(holder: object) -> list[str]:
    """Return the secrets among the attributes of *holder*; an embedding model has them with whom it speaks to."""
    held = (*_attributes(holder), *_attributes(getattr(holder, "spoken", None)))
    return [each.reveal() for each in held if isinstance(each, Secret) and each.reveal()]


def _attributes(holder: object) -> list[object]:
    names = {*getattr(holder, "__struct_fields__", ()), *getattr(holder, "__dict__", ())}
    return [getattr(holder, name, None) for name in sorted(names)]
