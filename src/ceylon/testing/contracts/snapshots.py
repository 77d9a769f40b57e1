"""What every store of keyed agents' states promises: the port `ceylon.core.snapshots`."""

from typing import Any, Final

import anyio

from ceylon.core.ids import new_id
from ceylon.core.snapshots import Snapshots
from ceylon.errors import SnapshotsFullError
from ceylon.testing.contracts.promises import keep_all, require

__all__ = ["snapshot_contract"]

_STATES: Final[tuple[Any, ...]] = (
    {"sold": {"assam": 2, "茶": 0}, "open": [1, 2.5, None, True, {"deep": ["er"]}]},
    ["a", "\x00", ""],
    "text",
    b"\x00\xff",
    0,
    False,
    {},
)


async def snapshot_contract(snapshots: Snapshots, *, limit: int | None = None) -> None:
    """Try every promise of a store, under addresses of the contract's own, which are deleted at the end.

    Args:
        snapshots: The store; it stays open.
        limit: How many states there may be, if that is to be tried: at least 50, in a store that is empty.

    Raises:
        AssertionError: a promise is broken.
    """
    trial = _Trial(snapshots, limit)
    promises = (
        trial.a_state_is_kept_as_it_was,
        trial.nothing_is_there_before,
        trial.the_last_state_counts,
        trial.what_is_deleted_is_gone,
        trial.a_state_is_nobody_elses,
        trial.addresses_do_not_see_each_other,
        trial.it_may_be_used_by_many_at_once,
        trial.one_too_many_is_refused_and_none_thrown_away,
    )
    try:
        await keep_all(type(snapshots).__name__, promises)
    finally:
        await trial.tidy()


class _Trial:
    """One store, and the addresses that were used."""

    def __init__(self, snapshots: Snapshots, limit: int | None) -> None:
        self._snapshots, self._limit = snapshots, limit
        self._used: list[str] = []

    def _address(self, end: str = "") -> str:
        self._used.append(f"contract/{new_id()}{end}")
        return self._used[-1]

    async def tidy(self) -> None:
        """Delete what was saved."""
        for address in self._used:
            await self._snapshots.delete(address)
        self._used.clear()

    async def a_state_is_kept_as_it_was(self) -> None:
        for state in _STATES:
            address = self._address()
            await self._snapshots.save(address, state)
            await self._is(address, state)
            await self._is(address, state)

    async def nothing_is_there_before(self) -> None:
        await self._is(self._address(), None)

    async def the_last_state_counts(self) -> None:
        address = self._address()
        for state in _STATES:
            await self._snapshots.save(address, state)
        await self._is(address, _STATES[-1])

    async def what_is_deleted_is_gone(self) -> None:
        address = self._address()
        await self._snapshots.save(address, 1)
        await self._snapshots.delete(address)
        await self._snapshots.delete(address)
        await self._is(address, None)

    async def a_state_is_nobody_elses(self) -> None:
        address, state = self._address(), {"list": [1]}
        await self._snapshots.save(address, state)
        state["list"].append(2)
        await self._is(address, {"list": [1]})
        loaded = await self._snapshots.load(address)
        loaded["list"].append(3)
        await self._is(address, {"list": [1]})

    async def addresses_do_not_see_each_other(self) -> None:
        base = self._address()
        addresses = [base, *(base + end for end in ("*", "%", "' OR 1=1 --", "/x", "茶", "A", "a"))]
        self._used += addresses
        for number, address in enumerate(addresses):
            await self._snapshots.save(address, number)
        for number, address in enumerate(addresses):
            await self._is(address, number)
        await self._snapshots.delete(addresses[0][:-1])
        await self._is(addresses[0], 0)

    async def it_may_be_used_by_many_at_once(self) -> None:
        addresses = [self._address() for _ in range(10)]

        async def use(address: str) -> None:
            for number in range(5):
                await self._snapshots.save(address, [address, number])
                await self._is(address, [address, number])

        async with anyio.create_task_group() as tasks:
            for address in addresses:
                tasks.start_soon(use, address)

    async def one_too_many_is_refused_and_none_thrown_away(self) -> None:
        if self._limit is None:
            return
        await self.tidy()
        addresses = [self._address() for _ in range(self._limit)]
        for address in addresses:
            await self._snapshots.save(address, address)
        try:
            await self._snapshots.save(self._address(), "one too many")
        except SnapshotsFullError:
            await self._snapshots.save(addresses[0], addresses[0])  # what is there may change
        else:
            require(False, f"it keeps more than {self._limit}")  # noqa: FBT003 – a condition
        for address in addresses:
            await self._is(address, address)

    async def _is(self, address: str, state: Any) -> None:
        loaded = await self._snapshots.load(address)
        require(loaded == state and type(loaded) is type(state), f"of {state!r} there is {loaded!r}")
