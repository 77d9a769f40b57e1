"""One answer of Gemini's generateContent: each chunk is a whole response with new parts; it ends with the stream."""

from collections.abc import Mapping
from typing import Any, Final, cast

from ceylon.errors import IncompleteStreamError, ModelProtocolError, ModelRefusalError
from ceylon.models.arguments import JsonObject, call_of_value, with_calls
from ceylon.models.bodies import read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint
from ceylon.models.gemini_wire import ERRORS, FINISHES, Candidate, Response, responses
from ceylon.models.lines import Event
from ceylon.models.statuses import status_error
from ceylon.models.turns import Native, Part, Reply, ToolCall, ToolCallPart

__all__ = ["ContentAnswer"]

_SERVER_ERROR: Final = 500
_STATUSES: Final = range(400, 600)


class ContentAnswer:
    """One answer on its way in; see `ceylon.models.service_session.Answer`."""

    def __init__(self, endpoint: Endpoint, calls_before: int) -> None:
        self._endpoint, self._calls_before = endpoint, calls_before
        self._draft = Draft()
        self._parts: list[dict[str, Any]] = []
        self._calls: list[ToolCall] = []
        self._reason = self._message = self._blocked = ""
        self._has_candidate = False

    @property
    def text(self) -> str:
        """See `Answer`."""
        return self._draft.text

    @property
    def is_over(self) -> bool:
        """See `Answer`; after the reason for its end an answer may still have its usage."""
        return False

    @property
    def is_complete(self) -> bool:
        """See `Answer`."""
        return bool(self._reason or self._blocked)

    def take_whole(self, data: bytes) -> None:
        """See `Answer`."""
        self.take(Event("", data))
        if self._has_candidate and not self.is_complete:  # nobody knows whether there is more
            raise IncompleteStreamError(self._endpoint.model, self.text)

    def take(self, event: Event) -> list[Part]:
        """See `Answer`."""
        found = read(responses, event.data, self._endpoint)
        parts: list[Part] = []
        each: list[Response] = found if isinstance(found, list) else [found]
        for response in each:
            parts += self._take(response, event.data)
        return parts

    def rest(self) -> list[Part]:
        """See `Answer`."""
        return [ToolCallPart(call) for call in self.reply().calls]

    def reply(self) -> Reply:
        """See `Answer`.

        Raises:
            ModelRefusalError: the prompt is blocked, or all that was to be said.
            ModelProtocolError: there is nothing, and it does not say why.
        """
        reply = self._draft.reply()
        if not self._calls and not reply.text:
            self._refuse(reply)
        is_signed = self._calls or any("thoughtSignature" in part for part in self._parts)
        native = Native("gemini", self._parts) if is_signed else None
        return with_calls(reply, self._calls, native)

    def _refuse(self, reply: Reply) -> None:
        """Raise for an answer with nothing in it, unless a limit ended it while the model thought."""
        model = self._endpoint.model
        if self._blocked:
            raise ModelRefusalError(model, self._blocked)
        if reply.finish == "filter":
            raise ModelRefusalError(model, self._reason)
        if not self._has_candidate:
            sentence = f"{model}: the answer holds no candidate"
            raise ModelProtocolError(sentence)
        if reply.finish != "length":
            sentence = f"{model}: the answer is empty ({self._reason or 'no reason given'}) {self._message}".rstrip()
            raise ModelProtocolError(sentence)

    def _take(self, response: Response, data: bytes) -> list[Part]:
        if response.error is not None:
            code = response.error.code or _SERVER_ERROR
            raise status_error(self._endpoint, code if code in _STATUSES else _SERVER_ERROR, data, {})
        self._draft.model = response.model_version or self._draft.model
        if response.usage is not None:
            self._draft.usage = response.usage.usage()
        if response.feedback is not None:
            self._blocked = response.feedback.block_reason or self._blocked
        parts: list[Part] = []
        for candidate in response.candidates or ():
            if not candidate.index:  # only one was asked for
                parts += self._hear(candidate)
        return parts

    def _hear(self, candidate: Candidate) -> list[Part]:
        self._has_candidate = True
        parts: list[Part] = []
        for part in (candidate.content and candidate.content.parts) or ():
            parts += self._add(part)
        if candidate.finish_reason:
            self._reason, self._message = candidate.finish_reason, candidate.finish_message or ""
            self._draft.finish = FINISHES.get(self._reason, ERRORS)
        return parts

    def _add(self, part: dict[str, Any]) -> list[Part]:
        self._keep(part)
        if isinstance(call := part.get("functionCall"), dict):
            self._call(cast("JsonObject", call))
            return []
        text = part.get("text")
        if not isinstance(text, str):
            return []  # a file, or what a later version adds
        return [*(self._draft.add("", text) if part.get("thought") else self._draft.add(text, ""))]

    def _keep(self, part: dict[str, Any]) -> None:
        """Keep *part* as it is, but join a text to the one before: a stream cuts anywhere, a signature stays."""
        last = self._parts[-1] if self._parts else {}
        if _is_plain(part) and _is_plain(last) and part.get("thought") == last.get("thought"):
            last["text"] += part["text"]
        else:
            self._parts.append(dict(part))

    def _call(self, call: JsonObject) -> None:
        identity, name = call.get("id"), call.get("name")
        if not isinstance(identity, str) or not identity:
            identity = f"call_{self._calls_before + len(self._calls)}"
        if any(other.id == identity for other in self._calls):
            sentence = f"{self._endpoint.model}: two calls have the id {identity[:80]!r}"
            raise ModelProtocolError(sentence)
        self._calls.append(call_of_value(identity, name if isinstance(name, str) else "", call.get("args")))


def _is_plain(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str) and {"text", "thought"}.issuperset(part)
