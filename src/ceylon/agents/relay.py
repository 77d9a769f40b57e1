"""One answer, by whichever agents it is handed to: legs, one after the other, each taken by one agent.

The agent that was asked keeps the conversation and asks the others in turn; none of them waits for the next. So agents
may hand back and forth without a chain of asks that grows, and all that is said comes back to one history.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.agents.callees import Tally, is_there
from ceylon.agents.prompts import TakenOver, TakeOver, Transfer
from ceylon.core.ref import Ref
from ceylon.errors import AgentStoppedError, DeliveryError, HopLimitError, IncompleteStreamError, describe
from ceylon.models.turns import HandoffPart, Reply, ToolResult, Turn

if TYPE_CHECKING:
    from ceylon.agents.steering import Turning
    from ceylon.core.context import Context

__all__ = ["Holders", "Relay"]


class Holders:
    """Which agents have the conversations that were handed on; of so many the ones used last."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str:
        """Return the address of the agent that has the conversation; empty for the one asked itself."""
        return self._by_key.get(key, "")

    def put(self, key: str, holder: str, most: int) -> None:
        """Take note who has it now."""
        self._by_key.pop(key, None)
        if holder:
            self._by_key[key] = holder
            while len(self._by_key) > most:
                self._by_key.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget it."""
        self._by_key.pop(key, None)


class Relay:
    """One answer under way; `holder` is the address of the agent that has the conversation, `""` the one asked."""

    def __init__(self, context: "Context", output: Any, turning: "Turning", holder: str) -> None:
        self._context, self._output, self._turning = context, output, turning
        self._left = context.interior.settings.model_handoffs
        self._tally = Tally()
        self.holder = holder if not holder or is_there(holder, context) else ""
        self.added: list[Turn] = []
        self._transfer: Transfer | None = None  # the last one

    async def run(
        self, conversation: Sequence[Turn], run_here: Callable[[Sequence[Turn], int], Awaitable[TakenOver]]
    ) -> Reply[Any]:
        """Return the answer to *conversation*, and all that it took; *run_here* takes a leg of the agent itself."""
        before = ""
        while True:
            turns = [*conversation, *self.added]
            try:
                taken = await (self._run_there(turns) if self.holder else run_here(turns, self._left))
            except (DeliveryError, AgentStoppedError) as error:
                if not self.holder or isinstance(error, HopLimitError):
                    raise
                self._take_back(before, error)
                continue
            self._tally.add(taken.reply)
            self.added += taken.reply.turns
            self._turning.written_down()
            if taken.transfer is None:
                return self._tally.onto(taken.reply, turns=tuple(self.added), agent=self.holder)
            before = self.holder
            await self._hand_over(taken.transfer)

    async def _hand_over(self, transfer: Transfer) -> None:
        self._left -= 1
        self._transfer = transfer
        own = self._context.address
        self.holder = "" if transfer.agent == own else transfer.agent
        if self._turning.emit is not None:
            await self._turning.emit(HandoffPart(transfer.agent, transfer.reason))

    async def _run_there(self, turns: Sequence[Turn]) -> TakenOver:
        """Let the holder take a leg; its parts are this answer's."""
        emit = self._turning.emit
        message = TakeOver(tuple(turns), self._output, self._left)
        ref = Ref(self._context.interior, self.holder)
        if emit is None:
            return await ref.ask(message)
        patience = self._context.interior.settings.model_first_part_timeout
        async with ref.stream(message, idle_timeout=patience) as parts:
            async for part in parts:
                if isinstance(part, TakenOver):
                    return part
                await emit(part)
        raise IncompleteStreamError(self.holder, self._turning.text)

    def _take_back(self, before: str, error: Exception) -> None:
        """Let the agent that had the conversation know that the one it handed it to is gone."""
        self.holder = before if before and before != self.holder and is_there(before, self._context) else ""
        if self._transfer is not None:
            words = f"the handoff failed: {describe(error)}"
            results = tuple(
                ToolResult(each.id, each.name, words, is_error=True) if each.id == self._transfer.call else each
                for each in self.added[-1].results
            )
            self.added[-1] = msgspec.structs.replace(self.added[-1], results=results)
