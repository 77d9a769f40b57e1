"""OpenAI's chat completions, and every server that speaks them under another `base_url`."""

import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from ceylon.errors import (
    IncompleteStreamError,
    ModelConfigError,
    ModelError,
    ModelNotFoundError,
    ModelProtocolError,
    ModelStatusError,
)
from ceylon.models.bodies import check_options, encode, read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint, check_url
from ceylon.models.lines import DONE
from ceylon.models.openai_options import OFFICIAL_OPTIONS, OTHER_OPTIONS
from ceylon.models.openai_request import messages, settings
from ceylon.models.openai_wire import Completion, Failure, ModelList, take
from ceylon.models.port import Abilities
from ceylon.models.quirks import OPENAI, Quirks, Service
from ceylon.models.secret import Secret, redact
from ceylon.models.statuses import status_error
from ceylon.models.think_tags import NO_TAGS, OPTION, Tags, tags_of
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["OPENAI", "OpenAIModel", "OpenAISession", "Service"]

_PATH: Final = "/chat/completions"
_LIST_SECONDS: Final = 5.0
_BAD_REQUEST: Final = 400  # what some answer for an unknown model
_NOT_FOUND: Final = 404
_STATUSES: Final = range(400, 600)
_UNKNOWN_MODEL: Final = ("model_not_found", "model not exist", "not a valid model", "unknown model")

_completions: Final = msgspec.json.Decoder(Completion, strict=False)
_lists: Final = msgspec.json.Decoder(ModelList, strict=False)


class OpenAIModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model behind chat completions; key and address come from the environment unless given.

    A key is required only at the service's own address. `options` are the service's own, by its names;
    ``extra_body={...}`` carries what is not known here.
    """

    model: str
    base_url: str | None = None
    api_key: Secret | None = None
    options: dict[str, Any] = {}
    service: Service = OPENAI

    @property
    def name(self) -> str:
        """The canonical spelling, ``provider::model``."""
        return f"{self.service.provider}::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for a wrong address, a missing key or an unknown option."""
        endpoint = self.endpoint()
        is_home = self.service.base_url in {"", endpoint.base_url}
        if endpoint.key is None and self.service.needs_key and is_home:
            variable = self.service.key_variable
            sentence = (
                f"{self.name} needs a key: set {variable} in the environment, or pass `api_key=`; "
                "without one, the embedded model 'local::smollm2' answers"
            )
            raise ModelConfigError(sentence)
        self.check_options(self.options)
        tags_of(self.name, self.options, NO_TAGS)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise `ModelConfigError` for an option the service is not known to have."""
        if not options:
            return  # whether a server is the official one takes long to say: a twentieth of a request
        known = OFFICIAL_OPTIONS if self.is_official else OFFICIAL_OPTIONS | OTHER_OPTIONS
        check_options(self.name, options, known, "; what is not listed goes into `extra_body={...}`")

    @property
    def quirks(self) -> Quirks:
        """What the server does its own way; who only borrows OpenAI's name by a `base_url` has the usual ones."""
        return Quirks() if self.service is OPENAI and not self.is_official else self.service.quirks

    @property
    def is_official(self) -> bool:
        """Whether the server is OpenAI's own, which is stricter than those that speak its language."""
        return urlsplit(self.endpoint().base_url).hostname == urlsplit(OPENAI.base_url).hostname

    def endpoint(self) -> Endpoint:
        """Return where the model is served, and with which key."""
        url_variable, key_variable = self.service.url_variable, self.service.key_variable
        from_environment = os.environ.get(url_variable) if url_variable else None
        if not (self.base_url or from_environment or self.service.base_url):
            sentence = f"{self.name} has no address: pass `base_url=`, or set {url_variable}"
            raise ModelConfigError(sentence)
        base_url = (self.base_url or from_environment or self.service.base_url).strip().rstrip("/")
        check_url(base_url, source="base_url" if self.base_url else url_variable or "base_url")
        key = self.api_key or Secret.of(os.environ.get(key_variable))
        if key is not None:
            key.check("api_key" if self.api_key else key_variable)
        advice = (
            "Start that server or correct `base_url`, or use the embedded model 'local::smollm2', which needs none."
        )
        return Endpoint(model=self.name, base_url=base_url, advice=advice, key=key)

    async def open(self, client: "HttpClient") -> "OpenAISession":
        """Return a session; nothing is sent before the first request."""
        self.check()
        return OpenAISession(self, self.endpoint(), client)


class OpenAISession:
    """Talks to one server in OpenAI's language."""

    def __init__(self, model: OpenAIModel, endpoint: Endpoint, client: "HttpClient") -> None:
        self._model, self._endpoint, self._client = model, endpoint, client
        self._quirks = model.quirks
        self._tags = tags_of(model.name, model.options, self._quirks.think_tags)

    @property
    def abilities(self) -> Abilities:
        """See `Session`."""
        quirks = self._quirks
        return Abilities(
            tools=quirks.tools,
            tool_choice=quirks.tool_choice,
            output=quirks.output,
            output_with_tools=quirks.output_with_tools,
        )

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        body, timeout = self._body(request, stream=False), self._client.seconds(request.timeout)
        try:
            answer = await self._client.post_json(self._endpoint, _PATH, body, timeout=timeout)
        except ModelStatusError as error:
            raise await self._explain(error) from error
        draft = Draft(request.turns, self._tags_of(request))
        completion = self._read(answer)
        if not completion.choices:
            sentence = f"{self._endpoint.model}: the answer holds no choice"
            raise ModelProtocolError(sentence)
        take(draft, completion)
        draft.rest()
        return draft.reply()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes; it is complete with ``[DONE]``, or at least a finish reason."""
        body, timeout = self._body(request, stream=True), self._client.seconds(request.timeout)
        draft = Draft(request.turns, self._tags_of(request))
        has_choice = is_done = False
        try:
            async with self._client.stream_events(self._endpoint, _PATH, body, timeout=timeout) as events:
                async for event in events:
                    if event.data.strip() == DONE:
                        is_done = True
                        await events.drain()
                        break
                    completion = self._read(event.data)
                    has_choice = has_choice or bool(completion.choices)
                    for part in take(draft, completion):
                        yield part
                cut = events.cut
        except ModelStatusError as error:
            raise await self._explain(error) from error
        for part in draft.rest():
            yield part
        if draft.finish is None and not (is_done and has_choice):
            raise IncompleteStreamError(self._endpoint.model, draft.text) from cut
        for call in draft.call_parts():
            yield call
        yield ReplyPart(draft.reply())

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    def _tags_of(self, request: Request) -> Tags:
        return tags_of(self._endpoint.model, request.options, self._tags) if request.options else self._tags

    def _body(self, request: Request, *, stream: bool) -> bytes:
        options = {**self._model.options, **request.options}
        self._model.check_options(options)
        extra = options.pop("extra_body", {})
        options.pop(OPTION, None)
        body: dict[str, Any] = {"model": self._model.model, "messages": messages(request, self._quirks)}
        body |= options | settings(self._endpoint.model, request, self._quirks)
        if stream:
            body["stream"] = True
            if self._quirks.stream_usage:
                body["stream_options"] = {"include_usage": True}
        return encode(self._endpoint.model, {**body, **extra})

    def _read(self, data: bytes) -> Completion:
        """Return what *data* says, unless it says that something failed."""
        completion = read(_completions, data, self._endpoint)
        if completion.error is None:
            return completion
        failure = Failure(message=completion.error) if isinstance(completion.error, str) else completion.error
        if isinstance(failure.code, int) and failure.code in _STATUSES:
            raise status_error(self._endpoint, failure.code, data, {})
        words = redact(failure.message or failure.type or "no words", self._endpoint.key)
        sentence = f"{self._endpoint.model}: the server failed while it answered: {words}"
        raise ModelProtocolError(sentence)

    async def _explain(self, error: ModelStatusError) -> ModelError:
        """Return *error*, or for an unknown model one that lists the known ones."""
        if error.status not in {_BAD_REQUEST, _NOT_FOUND}:
            return error
        try:
            answer = await self._client.get_json(self._endpoint, "/models", timeout=_LIST_SECONDS)
            names = [each.id for each in read(_lists, answer, self._endpoint).data or ()]
        except ModelError:
            return error
        model = self._model.model
        says_so = any(words in error.body.lower() for words in _UNKNOWN_MODEL)
        if not says_so and (error.status != _NOT_FOUND or not names or model in names):
            return error
        return ModelNotFoundError(model, names, f"Name one of those, as '{self._model.service.provider}::…'.")
