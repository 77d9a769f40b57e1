"""What every embedding model promises: the port `ceylon.models.embedding`."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from ceylon.errors import ArgumentError
from ceylon.models.embedding import Embedder, EmbeddingSession
from ceylon.testing.contracts.promises import keep_all, require, require_type

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["embedder_contract"]

_TEXTS: Final = ("Tea grows in Assam.", "A cup breaks.", "茶", "Tea grows in Assam.")
_SAME: Final = 0.999  # an engine that computes in parallel rounds differently each time
_WAITING: Final = 0.001


async def embedder_contract(embedder: Embedder, client: "HttpClient | None" = None) -> None:
    """Try every promise of an embedding model, over *client* if it asks a server.

    Raises:
        AssertionError: a promise is broken.
    """
    trial = _Trial(embedder, client)
    promises = (
        trial.it_has_a_canonical_name,
        trial.it_gives_a_vector_for_each_text_in_their_order,
        trial.nothing_comes_of_nothing,
        trial.a_text_without_words_is_refused,
        trial.requests_may_run_at_the_same_time,
        trial.a_cancelled_request_stays_cancelled,
        trial.a_session_may_be_closed_twice,
    )
    await keep_all(type(embedder).__name__, promises)


class _Trial:
    """One embedding model."""

    def __init__(self, embedder: Embedder, client: "HttpClient | None") -> None:
        self._embedder: Any = embedder
        self._client = client

    async def _embed(self, *texts: str) -> list[list[float]]:
        session: EmbeddingSession = await self._embedder.open(self._client)
        try:
            return await session.embed(texts)
        finally:
            await session.aclose()

    async def it_has_a_canonical_name(self) -> None:
        self._embedder.check()
        provider, double, model = str(self._embedder.name).partition("::")
        require(provider and double and model, f"its name is {self._embedder.name!r}")

    async def it_gives_a_vector_for_each_text_in_their_order(self) -> None:
        vectors = await self._embed(*_TEXTS)
        require_type(vectors, list, "what it gives")
        require(len(vectors) == len(_TEXTS), f"{len(_TEXTS)} texts became {len(vectors)} vectors")
        require(
            len({len(vector) for vector in vectors}) == 1, f"they have {[len(vector) for vector in vectors]} numbers"
        )
        require(all(isinstance(number, float) for vector in vectors for number in vector), "there is more than numbers")
        require(
            all(math.isfinite(number) for vector in vectors for number in vector), "there are numbers that are none"
        )
        require(all(any(vector) for vector in vectors), "a vector points nowhere")
        require(_cosine(vectors[0], vectors[-1]) > _SAME, "one text has two vectors")
        require(_cosine(vectors[0], vectors[1]) < _SAME, "two texts have one vector")
        (alone,) = await self._embed(_TEXTS[1])
        require(_cosine(alone, vectors[1]) > _SAME, "a text alone has another vector than among others")

    async def nothing_comes_of_nothing(self) -> None:
        require(await self._embed() == [], "no texts became vectors")

    async def a_text_without_words_is_refused(self) -> None:
        for texts in (("",), ("tea", " \n")):
            try:
                await self._embed(*texts)
            except ArgumentError:
                continue
            require(False, f"it embeds {texts}")  # noqa: FBT003 – a condition

    async def requests_may_run_at_the_same_time(self) -> None:
        session: EmbeddingSession = await self._embedder.open(self._client)
        wanted = await session.embed(_TEXTS)

        async def embed(text: str, vector: list[float]) -> None:
            (found,) = await session.embed([text])
            require(_cosine(found, vector) > _SAME, f"beside others {text!r} has another vector")

        try:
            async with anyio.create_task_group() as tasks:
                for text, vector in zip(_TEXTS, wanted, strict=True):
                    tasks.start_soon(embed, text, vector)
        finally:
            await session.aclose()

    async def a_cancelled_request_stays_cancelled(self) -> None:
        session: EmbeddingSession = await self._embedder.open(self._client)
        try:
            with anyio.move_on_after(_WAITING):
                while True:
                    await session.embed(_TEXTS)
                    await anyio.lowlevel.checkpoint()
            (vector,) = await session.embed(_TEXTS[:1])
            require(vector, "after that it gives nothing")
        finally:
            await session.aclose()

    async def a_session_may_be_closed_twice(self) -> None:
        session: EmbeddingSession = await self._embedder.open(self._client)
        await session.aclose()
        await session.aclose()


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    require(len(one) == len(other), f"vectors of {len(one)} and of {len(other)} numbers")
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)
