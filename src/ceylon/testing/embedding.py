"""An embedding model without a model, for tests: no server, no key, the same vectors everywhere."""

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ceylon.memory.words import words_of
from ceylon.models.embedding import check_texts
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["HashingEmbedder"]


class HashingEmbedder:
    """Gives each word a direction and each text the sum of its words': texts that share words are near each other.

    It keeps the texts it was given, and is its own session.
    """

    def __init__(self, dimensions: int = 256, *, name: str = "scripted::hashing") -> None:
        self.dimensions, self.name = dimensions, name
        self.texts: list[str] = []

    def check(self) -> None:
        """Nothing can be wrong."""

    async def open(self, client: "HttpClient | None" = None) -> "HashingEmbedder":
        """Return itself."""
        del client  # nobody is called
        return self

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector of length 1 for each of *texts*."""
        check_texts(texts, DEFAULTS)
        self.texts += texts
        return [self._vector(text) for text in texts]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in words_of(text):
            digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
            vector[digest % self.dimensions] += 1.0
        length = math.hypot(*vector)
        return [number / length for number in vector] if length else [1.0, *vector[1:]]
