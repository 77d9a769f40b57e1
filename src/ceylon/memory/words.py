"""Which texts have which words, and how well they fit a few of them: BM25, as SQLite counts it."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

__all__ = ["WordIndex", "wanted_words", "words_of"]

_WORD: Final = re.compile(r"[^\W_]+")
_SATURATION: Final = 1.2  # BM25's k1 and b
_LENGTH: Final = 0.75


def words_of(text: str) -> list[str]:
    """Return the words of *text*, without their case; signs and underscores stand between words."""
    return _WORD.findall(text.casefold())


def wanted_words(query: str, most: int) -> list[str]:
    """Return the first *most* different words of a query, as they are written."""
    return list({word.lower(): word for word in reversed(_WORD.findall(query))}.values())[::-1][:most]


class WordIndex:
    """The words of texts that have names."""

    def __init__(self) -> None:
        self._having: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._lengths: dict[str, int] = {}
        self._total = 0

    def add(self, name: str, text: str) -> None:
        """Take *text* in, under a new name."""
        counts = Counter(words_of(text))
        self._lengths[name] = counts.total()
        self._total += counts.total()
        for word, count in counts.items():
            self._having[word][name] = count

    def drop(self, name: str, text: str) -> None:
        """Take out what was added."""
        self._total -= self._lengths.pop(name)
        for word in set(words_of(text)):
            having = self._having[word]
            del having[name]
            if not having:
                del self._having[word]

    def search(self, words: Iterable[str]) -> dict[str, float]:
        """Return the names of the texts with any of *words*, and how well each fits."""
        scores: defaultdict[str, float] = defaultdict(float)
        mean = self._total / max(1, len(self._lengths))
        for word in words:
            having = self._having.get(word.casefold(), {})
            rarity = math.log(1 + (len(self._lengths) - len(having) + 0.5) / (len(having) + 0.5))
            for name, count in having.items():
                length = 1 - _LENGTH + _LENGTH * self._lengths[name] / mean
                scores[name] += rarity * count * (_SATURATION + 1) / (count + _SATURATION * length)
        return scores
