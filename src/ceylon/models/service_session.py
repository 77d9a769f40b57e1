"""One way to ask and one to listen, for every service with a format of its own; each has a `Dialect`."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from ceylon.errors import IncompleteStreamError, ModelError, ModelNotFoundError, ModelStatusError
from ceylon.models.bodies import encode, read
from ceylon.models.endpoint import Endpoint
from ceylon.models.lines import Event
from ceylon.models.port import Abilities
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient
    from ceylon.models.service import ServiceModel

__all__ = ["Answer", "Dialect", "ServiceSession"]

_LIST_SECONDS: Final = 5.0
_BAD_REQUEST: Final = 400  # what some answer for an unknown model
_NOT_FOUND: Final = 404
_UNKNOWN_MODEL: Final = ("model_not_found", "does not exist", "not found", "unknown model")


class Answer(Protocol):
    """One answer on its way in."""

    @property
    def text(self) -> str:
        """The answer so far."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the terminal event came: nothing is to follow."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether all of the answer came."""
        ...

    def take_whole(self, data: bytes) -> None:
        """Take in the body of an answer that is not streamed."""
        ...

    def take(self, event: Event) -> list[Part]:
        """Take in an event and return what it adds."""
        ...

    def rest(self) -> list[Part]:
        """Return what is certain only now that the answer is complete."""
        ...

    def reply(self) -> Reply:
        """Return the whole answer."""
        ...


class Dialect(Protocol):
    """How a service writes and reads."""

    @property
    def abilities(self) -> Abilities:
        """What the model does by itself."""
        ...

    def path(self, *, stream: bool) -> str:
        """Return where a request goes."""
        ...

    def body(self, request: Request, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        """Return what is sent; *options* are known to be the service's own."""
        ...

    def answer(self, request: Request, endpoint: Endpoint) -> Answer:
        """Return what reads the answer to *request*."""
        ...


class _Listed(msgspec.Struct):
    id: str = ""
    name: str = ""


class _List(msgspec.Struct):
    """The models of a service, under one name or the other."""

    data: list[_Listed] | None = None
    models: list[_Listed] | None = None


_lists: Final = msgspec.json.Decoder(_List)


class ServiceSession:
    """Talks to one service, in its dialect."""

    def __init__(self, model: "ServiceModel", dialect: Dialect, client: "HttpClient") -> None:
        self._model, self._dialect, self._client = model, dialect, client
        self._endpoint = model.endpoint()

    @property
    def abilities(self) -> Abilities:
        """See `Session`."""
        return self._dialect.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        body, timeout = self._body(request, stream=False), self._client.seconds(request.timeout)
        path = self._dialect.path(stream=False)
        try:
            data = await self._client.post_json(self._endpoint, path, body, timeout=timeout)
            answer = self._dialect.answer(request, self._endpoint)
            answer.take_whole(data)
        except ModelStatusError as error:
            raise await self._explain(error) from error
        return answer.reply()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes; calls come out of a complete one only."""
        body, timeout = self._body(request, stream=True), self._client.seconds(request.timeout)
        answer, path = self._dialect.answer(request, self._endpoint), self._dialect.path(stream=True)
        try:
            async with self._client.stream_events(self._endpoint, path, body, timeout=timeout) as events:
                async for event in events:
                    for part in answer.take(event):
                        yield part
                    if answer.is_over:
                        await events.drain()
                        break
                cut = events.cut
        except ModelStatusError as error:
            raise await self._explain(error) from error
        if not answer.is_complete:
            raise IncompleteStreamError(self._endpoint.model, answer.text) from cut
        for part in answer.rest():
            yield part
        yield ReplyPart(answer.reply())

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    def _body(self, request: Request, *, stream: bool) -> bytes:
        options = {**self._model.options, **request.options}
        self._model.check_options(options)
        extra = options.pop("extra_body", {})
        return encode(self._endpoint.model, {**self._dialect.body(request, options, stream=stream), **extra})

    async def _explain(self, error: ModelStatusError) -> ModelError:
        """Return *error*, or for an unknown model one that lists the known ones."""
        if error.status not in {_BAD_REQUEST, _NOT_FOUND}:
            return error
        model = self._model.model.removeprefix("models/")
        says_so = model in error.body and any(words in error.body.lower() for words in _UNKNOWN_MODEL)
        if error.status == _BAD_REQUEST and not says_so:
            return error
        try:
            answer = await self._client.get_json(self._endpoint, self._model.host.models_path, timeout=_LIST_SECONDS)
            found = read(_lists, answer, self._endpoint)
        except ModelError:
            return error
        names = [(each.id or each.name).removeprefix("models/") for each in found.data or found.models or ()]
        if not says_so and (not names or model in names):
            return error
        return ModelNotFoundError(model, names, f"Name one of those, as '{self._model.host.provider}::…'.")
