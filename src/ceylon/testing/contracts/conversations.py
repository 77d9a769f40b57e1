"""What every store of conversations promises: the port `ceylon.agents.conversations.port`."""

from typing import Final

import anyio

from ceylon.agents.conversations.port import ConversationStore
from ceylon.core.ids import new_id
from ceylon.errors import ArgumentError
from ceylon.models.turns import Attachment, Native, ToolCall, ToolResult, Turn
from ceylon.testing.contracts.promises import keep_all, require

__all__ = ["conversation_contract"]

_EVERYTHING: Final = (
    Turn("user", 'what\'s the "weather"\n茶 \x00?', attachments=(Attachment("image/png", b"\x00\xff", "a.png"),)),
    Turn(
        "assistant",
        "let me see",
        "thoughts",
        (ToolCall("1", "weather", {"place": "Kandy", "days": [1, None, 2.5]}), ToolCall("2", "x", {}, "no JSON")),
        native=Native("test", {"signed": ["a", {"b": 1}]}),
    ),
    Turn("tool", results=(ToolResult("1", "weather", '{"sun": true}'), ToolResult("2", "x", "no", is_error=True))),
    Turn("assistant", "sunny"),
)


async def conversation_contract(
    store: ConversationStore, *, turns: int | None = None, conversations: int | None = None
) -> None:
    """Try every promise of a store, under keys of the contract's own, which are dropped at the end.

    Args:
        store: The store; it stays open.
        turns: How many turns a conversation may have, if that is to be tried; at least 6.
        conversations: How many conversations there may be, if that is to be tried; it drives out others.

    Raises:
        AssertionError: a promise is broken.
    """
    trial = _Trial(store, turns, conversations)
    promises = (
        trial.a_turn_is_kept_as_it_was,
        trial.turns_are_added_behind_the_others,
        trial.a_conversation_is_replaced_in_one_step,
        trial.what_is_dropped_is_gone,
        trial.conversations_do_not_see_each_other,
        trial.the_one_used_last_comes_first,
        trial.a_key_is_a_text,
        trial.it_may_be_used_by_many_at_once,
        trial.no_call_is_parted_from_its_result,
        trial.a_summary_stays_first,
        trial.the_least_used_goes_first,
    )
    try:
        await keep_all(type(store).__name__, promises)
    finally:
        await trial.tidy()


class _Trial:
    """One store, and the keys that were used."""

    def __init__(self, store: ConversationStore, turns: int | None, conversations: int | None) -> None:
        self._store, self._turns, self._conversations = store, turns, conversations
        self._used: list[str] = []

    def _key(self, end: str = "") -> str:
        self._used.append(f"contract/{new_id()}{end}")
        return self._used[-1]

    async def tidy(self) -> None:
        """Drop what was kept."""
        for key in self._used:
            await self._store.drop(key)

    async def a_turn_is_kept_as_it_was(self) -> None:
        key = self._key()
        await self._store.append(key, _EVERYTHING)
        kept = await self._store.load(key)
        require(kept == _EVERYTHING, f"of {_EVERYTHING} there is {kept}")
        require(await self._store.load(self._key()) == (), "a conversation that nobody began has turns")

    async def turns_are_added_behind_the_others(self) -> None:
        key = self._key()
        for number in range(3):
            await self._store.append(key, _exchange(number))
        wanted = [turn for number in range(3) for turn in _exchange(number)]
        require(list(await self._store.load(key)) == wanted, f"the turns are {await self._store.load(key)}")
        await self._store.append(key, ())
        require(len(await self._store.load(key)) == len(wanted), "adding nothing changes something")

    async def a_conversation_is_replaced_in_one_step(self) -> None:
        key = self._key()
        await self._store.append(key, _exchange(1))
        await self._store.replace(key, _exchange(2))
        require(await self._store.load(key) == _exchange(2), f"the turns are {await self._store.load(key)}")
        await self._store.replace(key, ())
        require(await self._store.load(key) == (), "replaced by nothing, it is still there")
        require(key not in await self._store.keys(), "replaced by nothing, it still has a key")

    async def what_is_dropped_is_gone(self) -> None:
        key = self._key()
        await self._store.append(key, _exchange(1))
        await self._store.drop(key)
        await self._store.drop(key)
        require(await self._store.load(key) == (), "its turns are there")
        require(key not in await self._store.keys(), "its key is there")

    async def conversations_do_not_see_each_other(self) -> None:
        key = self._key()
        others = [self._key(end) for end in ("*", "%", "' OR 1=1 --", "/x", "茶", "\x00")]
        await self._store.append(key, _exchange(0))
        for number, other in enumerate(others, 1):
            await self._store.append(other, _exchange(number))
        for number, other in enumerate((key, *others)):
            require(
                await self._store.load(other) == _exchange(number), f"{other!r} has {await self._store.load(other)}"
            )
        await self._store.drop(key[:-1])
        require(await self._store.load(key) == _exchange(0), "it was dropped with another")

    async def the_one_used_last_comes_first(self) -> None:
        first, second = self._key(), self._key()
        await self._store.append(first, _exchange(1))
        await self._store.append(second, _exchange(1))
        keys = [key for key in await self._store.keys() if key in {first, second}]
        require(keys == [second, first], f"the keys are {keys}")
        await self._store.load(first)
        keys = [key for key in await self._store.keys() if key in {first, second}]
        require(keys == [first, second], f"after a look at the other the keys are {keys}")

    async def a_key_is_a_text(self) -> None:
        for key in ("", None, 7, "x" * 513, "\ud800"):
            try:
                await self._store.append(key, _exchange(1))  # type: ignore[arg-type]
            except ArgumentError:
                continue
            require(False, f"it keeps turns under {key!r}")  # noqa: FBT003 – a condition

    async def it_may_be_used_by_many_at_once(self) -> None:
        keys = [self._key() for _ in range(10)]

        async def talk(key: str) -> None:
            for number in range(3):
                await self._store.append(key, _exchange(number))

        async with anyio.create_task_group() as tasks:
            for key in keys:
                tasks.start_soon(talk, key)
        wanted = tuple(turn for number in range(3) for turn in _exchange(number))
        require(all([await self._store.load(key) == wanted for key in keys]), "turns are missing or in disorder")

    async def no_call_is_parted_from_its_result(self) -> None:
        if self._turns is None:
            return
        key = self._key()
        for number in range(self._turns):
            added = _exchange(number) if number % 2 else _EVERYTHING
            await self._store.append(key, added)
            kept = await self._store.load(key)
            require(len(kept) <= self._turns, f"it keeps {len(kept)} turns of {self._turns}")
            require(kept[0].role == "user", f"it begins with a turn of the {kept[0].role}")
            require(kept[-len(added) :] == added, "the last exchange is not there")
        long = (_EVERYTHING[0], *_EVERYTHING[1:3] * self._turns, _EVERYTHING[3])
        await self._store.append(key, long)
        require(await self._store.load(key) == long, "an exchange longer than all there may be was cut")

    async def a_summary_stays_first(self) -> None:
        if self._turns is None:
            return
        key, summary = self._key(), Turn("system", "what was before")
        await self._store.replace(key, (summary, *_exchange(0)))
        for number in range(self._turns):
            await self._store.append(key, _exchange(number))
        kept = await self._store.load(key)
        require(kept[0] == summary, f"it begins with {kept[0]}")
        require(len(kept) <= self._turns, f"it keeps {len(kept)} turns of {self._turns}")

    async def the_least_used_goes_first(self) -> None:
        if self._conversations is None:
            return
        keys = [self._key() for _ in range(self._conversations + 1)]
        for key in keys[:-1]:
            await self._store.append(key, _exchange(1))
        await self._store.load(keys[0])
        await self._store.append(keys[-1], _exchange(1))
        there = [bool(await self._store.load(key)) for key in keys[:2]]
        require(there == [True, False], f"of the one looked at and the one that was not there are {there}")
        require(len(await self._store.keys()) == self._conversations, f"it keeps {len(await self._store.keys())}")


def _exchange(number: int) -> tuple[Turn, ...]:
    return (Turn("user", f"question {number}"), Turn("assistant", f"answer {number}"))
