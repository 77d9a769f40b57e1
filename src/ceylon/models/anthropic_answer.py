"""One answer of Anthropic's Messages API, whole or as events; an event or a block of an unknown kind is passed over."""

from typing import Any, Final

from ceylon.errors import IncompleteStreamError, ModelProtocolError
from ceylon.models.anthropic_wire import (
    FINISHES,
    GROWS,
    KNOWN_BLOCKS,
    STATUSES,
    Count,
    Failure,
    Happened,
    Message,
    blocks,
    deltas,
    events,
    messages,
    sendable,
    words,
)
from ceylon.models.arguments import call_of_text, call_of_value, with_calls
from ceylon.models.bodies import read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint
from ceylon.models.lines import Event
from ceylon.models.statuses import status_error
from ceylon.models.turns import Native, Part, Reply, ToolCall, ToolCallPart

__all__ = ["MessageAnswer"]

_SERVER_ERROR: Final = 500


class MessageAnswer:
    """One answer on its way in; see `ceylon.models.service_session.Answer`."""

    def __init__(self, endpoint: Endpoint, calls_before: int) -> None:
        self._endpoint, self._calls_before = endpoint, calls_before
        self._draft = Draft()
        self._counted = Count()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}  # of the blocks that are not stopped
        self._calls: list[ToolCall] = []
        self._reason: str | None = None
        self.is_over = False

    @property
    def text(self) -> str:
        """See `Answer`."""
        return self._draft.text

    @property
    def is_complete(self) -> bool:
        """See `Answer`."""
        return self.is_over and self._reason is not None and not self._pieces

    def take_whole(self, data: bytes) -> None:
        """See `Answer`."""
        message = read(messages, data, self._endpoint)
        if message.type == "error" or message.error is not None:
            raise self._failed(message.error, data)
        if message.content is None:
            sentence = f"{self._endpoint.model}: the answer holds no content"
            raise ModelProtocolError(sentence)
        self._begin(message)
        for index, block in enumerate(message.content):
            if block.get("type") in KNOWN_BLOCKS:
                self._blocks[index] = block
                self._draft.add(words(block, "text"), words(block, "thinking"))
                self._close(block, None)
        if message.stop_reason is None:  # nobody knows whether there is more
            raise IncompleteStreamError(self._endpoint.model, self.text)
        self._end(message.stop_reason)
        self.is_over = True

    def take(self, event: Event) -> list[Part]:
        """See `Answer`."""
        happened = read(events, event.data, self._endpoint)
        match happened.type:
            case "message_start":
                self._begin(read(messages, bytes(happened.message), self._endpoint))
            case "content_block_start":
                return self._start_block(happened)
            case "content_block_delta":
                return self._grow(happened)
            case "content_block_stop":
                self._stop_block(happened.index)
            case "message_delta":
                self._count(happened.usage)
                self._end(read(deltas, bytes(happened.delta), self._endpoint).stop_reason)
            case "message_stop":
                self.is_over = True
            case "message":
                return self._whole_after_all(event.data)
            case "error":
                raise self._failed(happened.error, event.data)
            case _:
                pass  # a ping, or what a later version adds
        return []

    def rest(self) -> list[Part]:
        """See `Answer`."""
        return [ToolCallPart(call) for call in self.reply().calls]

    def reply(self) -> Reply:
        """See `Answer`."""
        content = [block for _, block in sorted(self._blocks.items())]
        is_signed = any(block["type"] in {"thinking", "redacted_thinking"} for block in content)
        native = Native("anthropic", sendable(content)) if is_signed else None
        return with_calls(self._draft.reply(), self._calls, native)

    # -- from event to event

    def _begin(self, message: Message) -> None:
        self._draft.model = message.model or ""
        self._count(message.usage)

    def _end(self, reason: str | None) -> None:
        if reason is not None:
            self._reason = reason
            self._draft.finish = FINISHES.get(reason, "stop")

    def _start_block(self, happened: Happened) -> list[Part]:
        block = read(blocks, bytes(happened.content_block), self._endpoint)
        if block.get("type") not in KNOWN_BLOCKS:
            return []
        if happened.index in self._blocks:
            sentence = f"{self._endpoint.model}: block {happened.index} of the answer began twice"
            raise ModelProtocolError(sentence)
        self._blocks[happened.index] = block
        self._pieces[happened.index] = {}
        return [*self._draft.add(words(block, "text"), words(block, "thinking"))]

    def _grow(self, happened: Happened) -> list[Part]:
        field = GROWS.get(read(deltas, bytes(happened.delta), self._endpoint).type)
        if field is None or (happened.index not in self._pieces and happened.index not in self._blocks):
            return []  # of a kind, or of a block of a kind, that is not known
        if happened.index not in self._pieces:
            sentence = f"{self._endpoint.model}: block {happened.index} of the answer goes on after its end"
            raise ModelProtocolError(sentence)
        delta = read(blocks, bytes(happened.delta), self._endpoint)
        piece = words(delta, field)
        self._pieces[happened.index].setdefault(field, []).append(piece)
        return [*self._draft.add(piece if field == "text" else "", piece if field == "thinking" else "")]

    def _stop_block(self, index: int) -> None:
        pieces = self._pieces.pop(index, None)
        if pieces is None:
            return
        block = self._blocks[index]
        arguments = "".join(pieces.pop("partial_json", ()))
        for field, added in pieces.items():
            block[field] = words(block, field) + "".join(added)
        self._close(block, arguments or None)

    def _close(self, block: dict[str, Any], arguments: str | None) -> None:
        """Keep the call a finished block is, if it is one."""
        if block["type"] != "tool_use":
            return
        identity = block["id"] = words(block, "id") or f"call_{self._calls_before + len(self._calls)}"
        if any(call.id == identity for call in self._calls):
            sentence = f"{self._endpoint.model}: two calls have the id {identity[:80]!r}"
            raise ModelProtocolError(sentence)
        name = words(block, "name")
        if arguments is None:
            call = call_of_value(identity, name, block.get("input"))
        else:
            call = call_of_text(identity, name, arguments)
        block["input"] = call.arguments
        self._calls.append(call)

    def _whole_after_all(self, data: bytes) -> list[Part]:
        """Take in the one body of a server that does not stream."""
        self.take_whole(data)
        reply = self._draft.reply()
        return [*Draft().add(reply.text, reply.thinking)]

    def _count(self, count: Count | None) -> None:
        if count is not None:
            self._counted = self._counted.update(count)
            self._draft.usage = self._counted.usage()

    def _failed(self, failure: Failure | None, data: bytes) -> Exception:
        status = STATUSES.get((failure and failure.type) or "", _SERVER_ERROR)
        return status_error(self._endpoint, status, data, {})
