"""What every memory promises, whoever makes it: the port `ceylon.memory.port`."""

from collections.abc import Callable
from typing import Any, Final

import anyio

from ceylon.core.ids import new_id
from ceylon.errors import ArgumentError, MemoryFullError
from ceylon.memory.entries import Note, Query, Scalar, Where
from ceylon.memory.port import Memory
from ceylon.testing.contracts.promises import keep_all, require

__all__ = ["memory_contract"]

_SECONDS: Final = 10.0  # until what was to expire counts as kept
_TTL: Final = 0.02  # where only real time can pass
_LONG: Final = 1_000.0

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


async def memory_contract(
    memory: Memory, *, advance: Callable[[float], object] | None = None, most: int | None = None
) -> None:
    """Try every promise of a memory, in namespaces of the contract's own, which are empty again at the end.

    Args:
        memory: The memory; it stays open.
        advance: Lets that many seconds pass on the memory's clock; by default the contract waits for real ones.
        most: How many entries a namespace may hold, if that is to be tried.

    Raises:
        AssertionError: a promise is broken.
    """
    keeping, finding = _KeepingTrial(memory, advance, most), _FindingTrial(memory)
    promises = (
        keeping.what_is_remembered_is_kept_as_it_was,
        keeping.the_newest_come_first,
        keeping.a_known_id_is_replaced,
        keeping.all_notes_are_kept_or_none,
        keeping.what_is_forgotten_is_gone,
        keeping.a_namespace_is_invisible_to_the_others,
        keeping.what_has_expired_is_gone,
        keeping.a_namespace_holds_no_more_than_it_may,
        keeping.it_may_be_used_by_many_at_once,
        finding.words_find_what_has_them_the_best_first,
        finding.a_meaning_finds_the_nearest,
        finding.words_and_meaning_count_together,
        finding.an_answer_has_no_more_than_its_limit,
        finding.conditions_choose,
        finding.conditions_hold_for_every_verb,
        finding.what_is_no_condition_is_refused,
        finding.hostile_words_are_only_words,
    )
    try:
        await keep_all(type(memory).__name__, promises)
    finally:
        for trial in (keeping, finding):
            await trial.tidy()


class _Trial:
    """A memory, and the namespaces that were used."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._used: list[str] = []

    def _namespace(self) -> str:
        self._used.append(f"contract {new_id()}")
        return self._used[-1]

    async def tidy(self) -> None:
        """Forget what was remembered."""
        for namespace in self._used:
            await self._memory.forget(namespace, *(each.id for each in await self._memory.entries(namespace)))

    async def _texts(self, namespace: str, query: Query | str) -> list[str]:
        return [each.entry.text for each in await self._memory.recall(namespace, query)]


class _KeepingTrial(_Trial):
    """What is kept, for whom, and how long."""

    def __init__(self, memory: Memory, advance: Callable[[float], object] | None, most: int | None) -> None:
        super().__init__(memory)
        self._advance, self._most = advance, most

    async def what_is_remembered_is_kept_as_it_was(self) -> None:
        namespace = self._namespace()
        facts: dict[str, Scalar] = {"a.b": 'it\'s "quoted"', "n": -(2**63), "f": 0.1, "yes": True, "no": False}
        note = Note(text="one\n'two' \"three\" 茶", metadata=facts, source="a/b.md#c", is_trusted=True, id="x y")
        (made,) = await self._memory.remember(namespace, note)
        (kept,) = await self._memory.entries(namespace)
        require(kept == made, f"it is {kept}, and was {made}")
        same = (kept.text, kept.metadata, kept.source, kept.is_trusted, kept.id, kept.namespace)
        wanted = (note.text, facts, note.source, True, note.id, namespace)
        require(same == wanted, f"of {wanted} there is {same}")
        kinds = [type(kept.metadata[key]) for key in facts]
        require(kinds == [type(value) for value in facts.values()], f"the values have become {kinds}")
        (plain,) = await self._memory.remember(namespace, Note(text="plain"))
        require(plain.id and not plain.is_trusted, "a note without an id got none, or is trusted")

    async def the_newest_come_first(self) -> None:
        namespace = self._namespace()
        for text in ("first", "second", "third"):
            await self._memory.remember(namespace, Note(text=text))
        listed = [each.text for each in await self._memory.entries(namespace, limit=2)]
        require(listed == ["third", "second"], f"the first two of the list are {listed}")
        found = await self._texts(namespace, Query(limit=2))
        require(found == ["third", "second"], f"a query for nothing finds {found}")

    async def a_known_id_is_replaced(self) -> None:
        namespace = self._namespace()
        await self._memory.remember(namespace, Note(text="old words", id="a", metadata={"old": 1}, vector=(1.0, 0.0)))
        await self._memory.remember(namespace, Note(text="new words", id="a"))
        require(await self._memory.count(namespace) == 1, "both are there")
        require(await self._texts(namespace, "old") == [], "the old words are found")
        require(await self._texts(namespace, "new") == ["new words"], "the new words are not found")
        require(await self._memory.count(namespace, [Where("old", "==", 1)]) == 0, "the old facts are there")
        near = await self._texts(namespace, Query(vector=(1.0, 0.0)))
        require(near == [], "the old meaning is there")

    async def all_notes_are_kept_or_none(self) -> None:
        namespace = self._namespace()
        try:
            await self._memory.remember(namespace, Note(text="good"), Note(text=" "))
        except ArgumentError:
            require(await self._memory.count(namespace) == 0, "the good note was kept without the bad one")
            return
        require(False, "a note without words was kept")  # noqa: FBT003 – a condition

    async def what_is_forgotten_is_gone(self) -> None:
        namespace = self._namespace()
        note = Note(text="gone soon", id="a", metadata={"k": 1}, vector=(1.0, 0.0))
        await self._memory.remember(namespace, note, Note(text="stays", id="b"))
        gone = await self._memory.forget(namespace, "a", "no such id")
        require(gone == 1, f"it says that it has forgotten {gone} entries, of one")
        left = [each.id for each in await self._memory.entries(namespace)]
        require(left == ["b"], f"there is left {left}")
        found = [await self._texts(namespace, each) for each in ("gone", Query(vector=(1.0, 0.0)))]
        require(found == [[], []], f"it finds {found}")

    async def a_namespace_is_invisible_to_the_others(self) -> None:
        mine, others = self._namespace(), self._namespace()
        await self._memory.remember(mine, Note(text="my secret", id="same", metadata={"k": 1}, vector=(1.0, 0.0)))
        await self._memory.remember(others, Note(text="other words", id="same"))
        for name in (others, mine[:-1], f"{mine} ", mine.upper(), "%", "*", f'{others}" OR owner : "'):
            queries = ("secret", Query(vector=(1.0, 0.0)), Query(), Query(where=(Where("k", "==", 1),)))
            seen = [text for query in queries for text in await self._texts(name, query)]
            seen += [each.text for each in await self._memory.entries(name)]
            require("my secret" not in seen, f"{name!r} sees what is under {mine!r}")
        await self._memory.forget(others, "same")
        require(await self._memory.count(others) == 0, "it was not forgotten")
        require(await self._memory.count(mine) == 1, "another namespace's entry was forgotten with it")

    async def what_has_expired_is_gone(self) -> None:
        namespace = self._namespace()
        ttl = _TTL if self._advance is None else _LONG
        short = Note(text="short lived", id="a", ttl=ttl, metadata={"k": 1}, vector=(1.0, 0.0))
        long = Note(text="long lived", id="b", ttl=_LONG * 100)
        made, _ = await self._memory.remember(namespace, short, long)
        require(made.expires == made.created + ttl, f"made at {made.created} for {ttl} s, it expires at {made.expires}")
        if self._advance is not None:
            require(await self._memory.count(namespace) == 2, "it was gone at once")  # noqa: PLR2004 – as many
            self._advance(ttl)
        with anyio.move_on_after(_SECONDS):
            while self._advance is None and await self._memory.count(namespace) > 1:  # noqa: ASYNC110 – time is what is waited for
                await anyio.sleep(_TTL)
        queries = ("short", Query(vector=(1.0, 0.0)), Query(where=(Where("k", "==", 1),)))
        found = [text for query in queries for text in await self._texts(namespace, query)]
        listed = [each.id for each in await self._memory.entries(namespace)]
        require((found, listed) == ([], ["b"]), f"it finds {found} and lists {listed}")
        require(await self._memory.forget(namespace, "a") == 0, "it can still be forgotten")

    async def a_namespace_holds_no_more_than_it_may(self) -> None:
        if self._most is None:
            return
        namespace = self._namespace()
        await self._memory.remember(namespace, *(Note(text=f"note {each}", id=str(each)) for each in range(self._most)))
        await self._memory.remember(namespace, Note(text="another note", id="0"))
        try:
            await self._memory.remember(namespace, Note(text="replaced", id="0"), Note(text="one too many"))
        except MemoryFullError:
            require(await self._memory.count(namespace) == self._most, "it refuses, and has changed")
            require(await self._texts(namespace, "replaced") == [], "it refuses, and has replaced one")
            return
        require(False, f"it keeps {await self._memory.count(namespace)} entries of {self._most}")  # noqa: FBT003 – as above

    async def it_may_be_used_by_many_at_once(self) -> None:
        namespace, many = self._namespace(), 20

        async def work(number: int) -> None:
            await self._memory.remember(namespace, Note(text=f"number n{number}", id=str(number)))
            found = await self._texts(namespace, f"n{number}")
            require(found == [f"number n{number}"], f"it finds {found} for n{number}")

        async with anyio.create_task_group() as tasks:
            for number in range(many):
                tasks.start_soon(work, number)
        require(
            await self._memory.count(namespace) == many, f"{await self._memory.count(namespace)} of {many} are there"
        )


class _FindingTrial(_Trial):
    """What is found."""

    async def words_find_what_has_them_the_best_first(self) -> None:
        namespace = self._namespace()
        texts = (
            "Tea grows in Assam.",
            "Tea grows in the hills of Ceylon.",
            "Coffee grows in Brazil, and tea.",
            "Cups.",
        )
        await self._memory.remember(namespace, *(Note(text=text) for text in texts))
        found = await self._texts(namespace, "tea from CEYLON's hills?")
        require(found[:1] == [texts[1]], f"the best of the answer is {found[:1]}")
        require(set(found) == set(texts[:3]), f"the answer is {found}")
        require(await self._texts(namespace, "nowhere") == [], "a word that is nowhere finds something")
        scores = [each.score for each in await self._memory.recall(namespace, "tea ceylon hills")]
        require(scores == sorted(scores, reverse=True), f"the scores fall not: {scores}")

    async def a_meaning_finds_the_nearest(self) -> None:
        namespace = self._namespace()
        notes: dict[str, tuple[float, ...] | None] = {
            "east": (1.0, 0.0),
            "north east": (5.0, 5.0),
            "north": (0.0, 0.1),
            "west": (-1.0, 0.0),
            "nowhere": None,
            "another space": (1.0, 0.0, 0.0),
        }
        await self._memory.remember(namespace, *(Note(text=text, vector=at) for text, at in notes.items()))
        found = await self._texts(namespace, Query(vector=(3.0, 0.3), similarity=0.05))
        require(found == ["east", "north east", "north"], f"the nearest are {found}")
        near = await self._texts(namespace, Query(vector=(3.0, 0.3), similarity=0.9))
        require(near == ["east"], f"what is very near is {near}")

    async def words_and_meaning_count_together(self) -> None:
        namespace = self._namespace()
        words, meaning, both = (
            Note(text="oolong oolong", vector=(-1.0, 0.0)),
            Note(text="a dark leaf", vector=(1.0, 0.0)),
            Note(text="oolong and other leaves", vector=(0.9, 0.3)),
        )
        await self._memory.remember(namespace, words, meaning, both)
        found = await self._texts(namespace, Query(text="oolong", vector=(1.0, 0.0)))
        require(found[:1] == [both.text], f"the best by both is {found[:1]}")
        require(set(found) == {words.text, meaning.text, both.text}, f"the answer is {found}")

    async def an_answer_has_no_more_than_its_limit(self) -> None:
        namespace = self._namespace()
        await self._memory.remember(namespace, *(Note(text=f"tea {each}", vector=(1.0, each)) for each in range(8)))
        for query in (Query(text="tea", limit=3), Query(vector=(1.0, 0.0), limit=3), Query(limit=3)):
            found = await self._memory.recall(namespace, query)
            require(len(found) == 3, f"{len(found)} answers to {query}")  # noqa: PLR2004 – as many
        for limit in (0, -1, 10**9, True, "3; DROP TABLE entries"):
            await self._refuses(namespace, Query(limit=limit))  # type: ignore[arg-type]

    async def conditions_choose(self) -> None:
        namespace = self._namespace()
        await self._remember_facts(namespace)
        for where, wanted in _CONDITIONS:
            found = {each.id for each in await self._memory.entries(namespace, [where])}
            require(found == wanted, f"{where} is met by {found or 'none'}, not by {wanted or 'none'}")
        both = [Where("size", ">", 1), Where("kind", "==", "tea")]
        found = {each.id for each in await self._memory.entries(namespace, both)}
        require(found == {"ten"}, f"two conditions are met by {found}")

    async def conditions_hold_for_every_verb(self) -> None:
        namespace = self._namespace()
        await self._remember_facts(namespace)
        where = (Where("kind", "==", "cup"),)
        for query in (Query(where=where), Query(text="words", where=where), Query(vector=(1.0, 0.0), where=where)):
            found = await self._texts(namespace, query)
            require(found == ["words two"], f"{query} finds {found}")
        require(await self._memory.count(namespace, where) == 1, "the count is another")

    async def what_is_no_condition_is_refused(self) -> None:
        namespace = self._namespace()
        await self._remember_facts(namespace)
        for where in _NO_CONDITIONS:
            await self._refuses(namespace, Query(where=(where,)))
            try:
                await self._memory.entries(namespace, [where])
            except ArgumentError:
                continue
            require(False, f"it lists by {where}")  # noqa: FBT003 – a condition

    async def hostile_words_are_only_words(self) -> None:
        namespace = self._namespace()
        notes = [Note(text=f"kept {words}", metadata={"k": words}, source=words, id=words) for words in _HOSTILE]
        await self._memory.remember(namespace, *notes)
        for words in _HOSTILE:
            found = await self._memory.recall(namespace, words)
            require(all(each.entry.namespace == namespace for each in found), f"{words!r} finds others' entries")
            (chosen,) = await self._memory.entries(namespace, [Where("k", "==", words)])
            require((chosen.id, chosen.source, chosen.text) == (words, words, f"kept {words}"), f"{words!r}: {chosen}")
            require(await self._memory.forget(namespace, words) == 1, f"{words!r} is not forgotten")
        require(await self._memory.count(namespace) == 0, "something is left")

    async def _remember_facts(self, namespace: str) -> None:
        notes = [
            Note(text=f"words {each}", metadata=facts, id=each, vector=(1.0, 0.0)) for each, facts in _FACTS.items()
        ]
        await self._memory.remember(namespace, *notes)

    async def _refuses(self, namespace: str, query: Query) -> None:
        try:
            await self._memory.recall(namespace, query)
        except ArgumentError:
            return
        require(False, f"it answers {query}")  # noqa: FBT003 – a condition
