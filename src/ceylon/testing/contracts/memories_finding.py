"""What a memory finds, and what it refuses: the part of its contract that is about queries."""

from typing import Any, Final

from ceylon.core.ids import new_id
from ceylon.errors import ArgumentError
from ceylon.memory.entries import Note, Query, Scalar, Where
from ceylon.memory.port import Memory
from ceylon.testing.contracts.promises import require

__all__ = ["FindingTrial", "MemoryTrial"]

_FACTS: Final[dict[str, dict[str, Scalar]]] = {
    "ten": {"size": 10, "kind": "tea", "sold": True},
    "two": {"size": 2.5, "kind": "cup", "sold": False},
    "text": {"size": "10", "kind": "Tea", "sold": 1},
    "none": {},
}
_CONDITIONS: Final[tuple[tuple[Where, set[str]], ...]] = (
    (Where("size", "==", 10), {"ten"}),
    (Where("size", "==", 10.0), {"ten"}),
    (Where("size", "==", "10"), {"text"}),
    (Where("size", "!=", 10), {"two", "text"}),
    (Where("size", "<", 10), {"two"}),
    (Where("size", "<=", 10), {"ten", "two"}),
    (Where("size", ">", 2.5), {"ten"}),
    (Where("size", ">=", 2.5), {"ten", "two"}),
    (Where("kind", ">", "cup"), {"ten"}),
    (Where("kind", "in", ("tea", "cup")), {"ten", "two"}),
    (Where("size", "in", (10, "10")), {"ten", "text"}),
    (Where("sold", "==", value=True), {"ten"}),
    (Where("sold", "!=", value=True), {"two", "text"}),
    (Where("sold", "==", 1), {"text"}),
    (Where("colour", "!=", "red"), set()),
)
_NO_CONDITIONS: Final[tuple[Any, ...]] = (
    Where("size' OR 1=1 --", "==", 10),
    Where('size"', "==", 10),
    Where("", "==", 10),
    Where("size", "LIKE", "%"),  # type: ignore[arg-type]
    Where("size", "= 10 OR 1 =", 1),  # type: ignore[arg-type]
    Where("size", "in", "tea"),
    Where("size", "in", ()),
    Where("size", "==", None),
    Where("size", "==", float("nan")),
    Where("size", "==", 2**70),
    Where("sold", ">", value=False),
)
_HOSTILE: Final = (
    "'; DROP TABLE entries; --",
    '" OR "1"="1',
    "text:* NEAR(a b) AND NOT ^c",
    "owner : x",
    "%_%",
    "\\",
    "{}[]()*^:-+~",
    "a\x00b",
    "🫖 чай 茶",
)


class MemoryTrial:
    """A memory, and the namespaces that were used."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._used: list[str] = []

    def namespace(self) -> str:
        """Return a namespace that nobody has used."""
        self._used.append(f"contract {new_id()}")
        return self._used[-1]

    async def tidy(self) -> None:
        """Forget what was remembered."""
        for namespace in self._used:
            await self.memory.forget(namespace, *(each.id for each in await self.memory.entries(namespace)))

    async def texts(self, namespace: str, query: Query | str) -> list[str]:
        """Return the texts of what *query* finds."""
        return [each.entry.text for each in await self.memory.recall(namespace, query)]


class FindingTrial(MemoryTrial):
    """What is found."""

    async def words_find_what_has_them_the_best_first(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        texts = (
            "Tea grows in Assam.",
            "Tea grows in the hills of Ceylon.",
            "Coffee grows in Brazil, and tea.",
            "Cups.",
        )
        await self.memory.remember(namespace, *(Note(text=text) for text in texts))
        found = await self.texts(namespace, "tea from CEYLON's hills?")
        require(found[:1] == [texts[1]], f"the best of the answer is {found[:1]}")
        require(set(found) == set(texts[:3]), f"the answer is {found}")
        require(await self.texts(namespace, "nowhere") == [], "a word that is nowhere finds something")
        scores = [each.score for each in await self.memory.recall(namespace, "tea ceylon hills")]
        require(scores == sorted(scores, reverse=True), f"the scores fall not: {scores}")

    async def a_meaning_finds_the_nearest(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        notes: dict[str, tuple[float, ...] | None] = {
            "east": (1.0, 0.0),
            "north east": (5.0, 5.0),
            "north": (0.0, 0.1),
            "west": (-1.0, 0.0),
            "nowhere": None,
            "another space": (1.0, 0.0, 0.0),
        }
        await self.memory.remember(namespace, *(Note(text=text, vector=at) for text, at in notes.items()))
        found = await self.texts(namespace, Query(vector=(3.0, 0.3), similarity=0.05))
        require(found == ["east", "north east", "north"], f"the nearest are {found}")
        near = await self.texts(namespace, Query(vector=(3.0, 0.3), similarity=0.9))
        require(near == ["east"], f"what is very near is {near}")

    async def words_and_meaning_count_together(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        words, meaning, both = (
            Note(text="oolong oolong", vector=(-1.0, 0.0)),
            Note(text="a dark leaf", vector=(1.0, 0.0)),
            Note(text="oolong and other leaves", vector=(0.9, 0.3)),
        )
        await self.memory.remember(namespace, words, meaning, both)
        found = await self.texts(namespace, Query(text="oolong", vector=(1.0, 0.0)))
        require(found[:1] == [both.text], f"the best by both is {found[:1]}")
        require(set(found) == {words.text, meaning.text, both.text}, f"the answer is {found}")

    async def an_answer_has_no_more_than_its_limit(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        await self.memory.remember(namespace, *(Note(text=f"tea {each}", vector=(1.0, each)) for each in range(8)))
        for query in (Query(text="tea", limit=3), Query(vector=(1.0, 0.0), limit=3), Query(limit=3)):
            found = await self.memory.recall(namespace, query)
            require(len(found) == 3, f"{len(found)} answers to {query}")  # noqa: PLR2004 – as many
        for limit in (0, -1, 10**9, True, "3; DROP TABLE entries"):
            await self._refuses(namespace, Query(limit=limit))  # type: ignore[arg-type]

    async def conditions_choose(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        await self._remember_facts(namespace)
        for where, wanted in _CONDITIONS:
            found = {each.id for each in await self.memory.entries(namespace, [where])}
            require(found == wanted, f"{where} is met by {found or 'none'}, not by {wanted or 'none'}")
        both = [Where("size", ">", 1), Where("kind", "==", "tea")]
        found = {each.id for each in await self.memory.entries(namespace, both)}
        require(found == {"ten"}, f"two conditions are met by {found}")

    async def conditions_hold_for_every_verb(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        await self._remember_facts(namespace)
        where = (Where("kind", "==", "cup"),)
        for query in (Query(where=where), Query(text="words", where=where), Query(vector=(1.0, 0.0), where=where)):
            found = await self.texts(namespace, query)
            require(found == ["words two"], f"{query} finds {found}")
        require(await self.memory.count(namespace, where) == 1, "the count is another")

    async def what_is_no_condition_is_refused(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        await self._remember_facts(namespace)
        for where in _NO_CONDITIONS:
            await self._refuses(namespace, Query(where=(where,)))
            try:
                await self.memory.entries(namespace, [where])
            except ArgumentError:
                continue
            require(False, f"it lists by {where}")  # noqa: FBT003 – a condition

    async def hostile_words_are_only_words(self) -> None:
        """Try what the name says."""
        namespace = self.namespace()
        notes = [Note(text=f"kept {words}", metadata={"k": words}, source=words, id=words) for words in _HOSTILE]
        await self.memory.remember(namespace, *notes)
        for words in _HOSTILE:
            found = await self.memory.recall(namespace, words)
            require(all(each.entry.namespace == namespace for each in found), f"{words!r} finds others' entries")
            (chosen,) = await self.memory.entries(namespace, [Where("k", "==", words)])
            require((chosen.id, chosen.source, chosen.text) == (words, words, f"kept {words}"), f"{words!r}: {chosen}")
            require(await self.memory.forget(namespace, words) == 1, f"{words!r} is not forgotten")
        require(await self.memory.count(namespace) == 0, "something is left")

    async def _remember_facts(self, namespace: str) -> None:
        notes = [
            Note(text=f"words {each}", metadata=facts, id=each, vector=(1.0, 0.0)) for each, facts in _FACTS.items()
        ]
        await self.memory.remember(namespace, *notes)

    async def _refuses(self, namespace: str, query: Query) -> None:
        try:
            await self.memory.recall(namespace, query)
        except ArgumentError:
            return
        require(False, f"it answers {query}")  # noqa: FBT003 – a condition
