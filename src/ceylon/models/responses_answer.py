"""One answer of OpenAI's Responses API: deltas are shown, the last event has the truth."""

from typing import Any, Final, cast

import msgspec

from ceylon.errors import IncompleteStreamError, ModelProtocolError
from ceylon.models.arguments import JsonObject, call_of_text, with_calls
from ceylon.models.bodies import read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint
from ceylon.models.lines import Event
from ceylon.models.responses_wire import FINISHES, STATUSES, Failure, Happened, Response, happenings, responses
from ceylon.models.statuses import status_error
from ceylon.models.turns import Finish, Native, Part, Reply, TextPart, ThinkingPart, ToolCall, ToolCallPart

__all__ = ["ResponseAnswer"]

_SERVER_ERROR: Final = 500
_STATUSES: Final = range(400, 600)
_TEXTS: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHTS: Final = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_WHOLE: Final = frozenset({"completed", "incomplete", "cancelled"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_BETWEEN: Final = "\n\n"  # two thoughts


class ResponseAnswer:
    """One answer on its way in; see `ceylon.models.service_session.Answer`."""

    def __init__(self, endpoint: Endpoint, calls_before: int) -> None:
        self._endpoint, self._calls_before = endpoint, calls_before
        self._shown = Draft()  # what deltas said
        self._items: list[dict[str, Any]] = []  # what is done, for servers whose last event does not repeat it
        self._response: Response | None = None

    @property
    def text(self) -> str:
        """See `Answer`."""
        return self._shown.text

    @property
    def is_over(self) -> bool:
        """See `Answer`."""
        return self._response is not None

    @property
    def is_complete(self) -> bool:
        """See `Answer`."""
        return self._response is not None

    def take_whole(self, data: bytes) -> None:
        """See `Answer`."""
        response = read(responses, data, self._endpoint)
        if response.error is None and response.output is None:
            sentence = f"{self._endpoint.model}: the answer holds no output"
            raise ModelProtocolError(sentence)
        self._end(response, data)
        if response.status not in _WHOLE:  # still being made, or nobody knows
            raise IncompleteStreamError(self._endpoint.model, self.reply().text)

    def take(self, event: Event) -> list[Part]:
        """See `Answer`."""
        happened = read(happenings, event.data, self._endpoint)
        if happened.type in _ENDS and happened.response is not None:
            self._end(happened.response, event.data)
        elif happened.object == "response":  # a server that does not stream
            self.take_whole(event.data)
        elif happened.type == "error" or happened.error is not None:
            raise self._failed(happened.error or Failure(happened.message, happened.code), event.data)
        elif happened.type == "response.output_item.done" and happened.item is not None:
            self._items.append(happened.item)
        return self._show(happened)

    def rest(self) -> list[Part]:
        """See `Answer`; what no delta has said is said now."""
        shown, reply = self._shown.text, self.reply()
        parts: list[Part] = []
        if not self._shown.reply().thinking and reply.thinking:
            parts.append(ThinkingPart(reply.thinking))
        if reply.text != shown and reply.text.startswith(shown):
            parts.append(TextPart(reply.text[len(shown) :]))
        return [*parts, *map(ToolCallPart, reply.calls)]

    def reply(self) -> Reply:
        """See `Answer`."""
        response = self._response or Response()
        items = response.output or self._items
        truth = Draft()
        has_refusal = False
        for item in items:
            has_refusal = _take_item(truth, item) or has_refusal
        truth.model = response.model or ""
        truth.finish = "filter" if has_refusal else _finish(response)
        if response.usage is not None:
            truth.usage = response.usage.usage()
        reply, calls = truth.reply(), self._calls_in(items)
        is_secret = any(item.get("type") == "reasoning" and item.get("encrypted_content") for item in items)
        native = Native("openai-responses", [item for item in items if _is_sendable(item)]) if is_secret else None
        return with_calls(reply, calls, native)

    def _show(self, happened: Happened) -> list[Part]:
        piece = happened.delta if isinstance(happened.delta, str) else ""
        if happened.type in _TEXTS:
            return [*self._shown.add(piece, "")]
        if happened.type == "response.reasoning_summary_part.added" and self._shown.reply().thinking:
            piece = _BETWEEN
        elif happened.type not in _THOUGHTS:
            return []
        return [*self._shown.add("", piece)]

    def _end(self, response: Response, data: bytes) -> None:
        if response.error is not None or response.status == "failed":
            raise self._failed(response.error or Failure(), data)
        self._response = response

    def _calls_in(self, items: list[dict[str, Any]]) -> list[ToolCall]:
        calls: dict[str, ToolCall] = {}
        for item in items:
            if item.get("type") != "function_call":
                continue
            identity = _words(item, "call_id") or f"call_{self._calls_before + len(calls)}"
            if identity in calls:
                sentence = f"{self._endpoint.model}: two calls have the id {identity[:80]!r}"
                raise ModelProtocolError(sentence)
            item["call_id"] = identity
            calls[identity] = call_of_text(identity, _words(item, "name"), _words(item, "arguments"))
        return list(calls.values())

    def _failed(self, failure: Failure, data: bytes) -> Exception:
        code: Any = failure.code or failure.type
        status = code if isinstance(code, int) else STATUSES.get(code or "", _SERVER_ERROR)
        words = msgspec.json.encode({"message": failure.message or failure.code}) if failure != Failure() else data
        return status_error(self._endpoint, status if status in _STATUSES else _SERVER_ERROR, words, {})


def _take_item(draft: Draft, item: dict[str, Any]) -> bool:
    """Add *item* to *draft*; return whether it refuses."""
    refuses = False
    if item.get("type") == "message":
        for piece in _pieces(item, "content"):
            refusal = _words(piece, "refusal")
            refuses = refuses or bool(refusal)
            draft.add(_words(piece, "text") or refusal, "")
    elif item.get("type") == "reasoning":
        thoughts = [_words(piece, "text") for field in ("summary", "content") for piece in _pieces(item, field)]
        draft.add("", _BETWEEN.join(thoughts))
    return refuses


def _finish(response: Response) -> Finish:
    if response.status == "incomplete":
        reason = response.incomplete_details and response.incomplete_details.reason
        return FINISHES.get(reason or "", "error")
    return "cancelled" if response.status == "cancelled" else "stop"


def _is_sendable(item: dict[str, Any]) -> bool:
    """Return whether *item* may be sent back: thoughts that are not encrypted are known by their id to nobody."""
    if item.get("type") == "reasoning":
        return bool(item.get("encrypted_content"))
    return item.get("type") in {"message", "function_call"}


def _pieces(item: dict[str, Any], field: str) -> list[dict[str, Any]]:
    value = item.get(field)
    if not isinstance(value, list):
        return []
    return [cast("JsonObject", piece) for piece in cast("list[object]", value) if isinstance(piece, dict)]


def _words(item: dict[str, Any], field: str) -> str:
    value = item.get(field)
    return value if isinstance(value, str) else ""
