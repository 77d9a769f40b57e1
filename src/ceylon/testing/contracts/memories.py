"""What every memory promises, whoever makes it: the port `ceylon.memory.port`."""

from collections.abc import Callable
from typing import Final

import anyio

from ceylon.errors import ArgumentError, MemoryFullError
from ceylon.memory.entries import Note, Query, Scalar, Where
from ceylon.memory.port import Memory
from ceylon.testing.contracts.memories_finding import FindingTrial, MemoryTrial
from ceylon.testing.contracts.promises import keep_all, require

__all__ = ["memory_contract"]

_SECONDS: Final = 10.0  # until what was to expire counts as kept
_TTL: Final = 0.02  # where only real time can pass
_LONG: Final = 1_000.0


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
    keeping, finding = _KeepingTrial(memory, advance, most), FindingTrial(memory)
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


class _KeepingTrial(MemoryTrial):
    """What is kept, for whom, and how long."""

    def __init__(self, memory: Memory, advance: Callable[[float], object] | None, most: int | None) -> None:
        super().__init__(memory)
        self._advance, self._most = advance, most

    async def what_is_remembered_is_kept_as_it_was(self) -> None:
        namespace = self.namespace()
        facts: dict[str, Scalar] = {"a.b": 'it\'s "quoted"', "n": -(2**63), "f": 0.1, "yes": True, "no": False}
        note = Note(text="one\n'two' \"three\" 茶", metadata=facts, source="a/b.md#c", is_trusted=True, id="x y")
        (made,) = await self.memory.remember(namespace, note)
        (kept,) = await self.memory.entries(namespace)
        require(kept == made, f"it is {kept}, and was {made}")
        same = (kept.text, kept.metadata, kept.source, kept.is_trusted, kept.id, kept.namespace)
        wanted = (note.text, facts, note.source, True, note.id, namespace)
        require(same == wanted, f"of {wanted} there is {same}")
        kinds = [type(kept.metadata[key]) for key in facts]
        require(kinds == [type(value) for value in facts.values()], f"the values have become {kinds}")
        (plain,) = await self.memory.remember(namespace, Note(text="plain"))
        require(plain.id and not plain.is_trusted, "a note without an id got none, or is trusted")
        got = await self.memory.get(namespace, plain.id, "no such id", made.id)
        require(got == (plain, made), f"by their ids there is {got}")
        require(await self.memory.get(namespace) == (), "without an id there is something")

    async def the_newest_come_first(self) -> None:
        namespace = self.namespace()
        for text in ("first", "second", "third"):
            await self.memory.remember(namespace, Note(text=text))
        listed = [each.text for each in await self.memory.entries(namespace, limit=2)]
        require(listed == ["third", "second"], f"the first two of the list are {listed}")
        found = await self.texts(namespace, Query(limit=2))
        require(found == ["third", "second"], f"a query for nothing finds {found}")

    async def a_known_id_is_replaced(self) -> None:
        namespace = self.namespace()
        await self.memory.remember(namespace, Note(text="old words", id="a", metadata={"old": 1}, vector=(1.0, 0.0)))
        await self.memory.remember(namespace, Note(text="new words", id="a"))
        require(await self.memory.count(namespace) == 1, "both are there")
        require(await self.texts(namespace, "old") == [], "the old words are found")
        require(await self.texts(namespace, "new") == ["new words"], "the new words are not found")
        require(await self.memory.count(namespace, [Where("old", "==", 1)]) == 0, "the old facts are there")
        near = await self.texts(namespace, Query(vector=(1.0, 0.0)))
        require(near == [], "the old meaning is there")

    async def all_notes_are_kept_or_none(self) -> None:
        namespace = self.namespace()
        try:
            await self.memory.remember(namespace, Note(text="good"), Note(text=" "))
        except ArgumentError:
            require(await self.memory.count(namespace) == 0, "the good note was kept without the bad one")
            return
        require(False, "a note without words was kept")  # noqa: FBT003 – a condition

    async def what_is_forgotten_is_gone(self) -> None:
        namespace = self.namespace()
        note = Note(text="gone soon", id="a", metadata={"k": 1}, vector=(1.0, 0.0))
        await self.memory.remember(namespace, note, Note(text="stays", id="b"))
        gone = await self.memory.forget(namespace, "a", "no such id")
        require(gone == 1, f"it says that it has forgotten {gone} entries, of one")
        left = [each.id for each in await self.memory.entries(namespace)]
        require(left == ["b"], f"there is left {left}")
        require(await self.memory.get(namespace, "a") == (), "it is there by its id")
        found = [await self.texts(namespace, each) for each in ("gone", Query(vector=(1.0, 0.0)))]
        require(found == [[], []], f"it finds {found}")

    async def a_namespace_is_invisible_to_the_others(self) -> None:
        mine, others = self.namespace(), self.namespace()
        await self.memory.remember(mine, Note(text="my secret", id="same", metadata={"k": 1}, vector=(1.0, 0.0)))
        await self.memory.remember(others, Note(text="other words", id="same"))
        for name in (others, mine[:-1], f"{mine} ", mine.upper(), "%", "*", f'{others}" OR owner : "'):
            queries = ("secret", Query(vector=(1.0, 0.0)), Query(), Query(where=(Where("k", "==", 1),)))
            seen = [text for query in queries for text in await self.texts(name, query)]
            seen += [each.text for each in await self.memory.entries(name)]
            seen += [each.text for each in await self.memory.get(name, "same")]
            require("my secret" not in seen, f"{name!r} sees what is under {mine!r}")
        await self.memory.forget(others, "same")
        require(await self.memory.count(others) == 0, "it was not forgotten")
        require(await self.memory.count(mine) == 1, "another namespace's entry was forgotten with it")

    async def what_has_expired_is_gone(self) -> None:
        namespace = self.namespace()
        ttl = _TTL if self._advance is None else _LONG
        short = Note(text="short lived", id="a", ttl=ttl, metadata={"k": 1}, vector=(1.0, 0.0))
        long = Note(text="long lived", id="b", ttl=_LONG * 100)
        made, _ = await self.memory.remember(namespace, short, long)
        require(made.expires == made.created + ttl, f"made at {made.created} for {ttl} s, it expires at {made.expires}")
        if self._advance is not None:
            require(await self.memory.count(namespace) == 2, "it was gone at once")  # noqa: PLR2004 – as many
            self._advance(ttl)
        with anyio.move_on_after(_SECONDS):
            while self._advance is None and await self.memory.count(namespace) > 1:  # noqa: ASYNC110 – time is what is waited for
                await anyio.sleep(_TTL)
        queries = ("short", Query(vector=(1.0, 0.0)), Query(where=(Where("k", "==", 1),)))
        found = [text for query in queries for text in await self.texts(namespace, query)]
        listed = [each.id for each in await self.memory.entries(namespace)]
        require((found, listed) == ([], ["b"]), f"it finds {found} and lists {listed}")
        require(await self.memory.get(namespace, "a") == (), "it is there by its id")
        require(await self.memory.forget(namespace, "a") == 0, "it can still be forgotten")

    async def a_namespace_holds_no_more_than_it_may(self) -> None:
        if self._most is None:
            return
        namespace = self.namespace()
        await self.memory.remember(namespace, *(Note(text=f"note {each}", id=str(each)) for each in range(self._most)))
        await self.memory.remember(namespace, Note(text="another note", id="0"))
        try:
            await self.memory.remember(namespace, Note(text="replaced", id="0"), Note(text="one too many"))
        except MemoryFullError:
            require(await self.memory.count(namespace) == self._most, "it refuses, and has changed")
            require(await self.texts(namespace, "replaced") == [], "it refuses, and has replaced one")
            return
        require(False, f"it keeps {await self.memory.count(namespace)} entries of {self._most}")  # noqa: FBT003 – as above

    async def it_may_be_used_by_many_at_once(self) -> None:
        namespace, many = self.namespace(), 20

        async def work(number: int) -> None:
            await self.memory.remember(namespace, Note(text=f"number n{number}", id=str(number)))
            found = await self.texts(namespace, f"n{number}")
            require(found == [f"number n{number}"], f"it finds {found} for n{number}")

        async with anyio.create_task_group() as tasks:
            for number in range(many):
                tasks.start_soon(work, number)
        require(await self.memory.count(namespace) == many, f"{await self.memory.count(namespace)} of {many} are there")
