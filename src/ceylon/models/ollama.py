"""Ollama's own API: `/api/chat`, newline-delimited JSON, an answer ends with ``"done": true``."""

import os
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from ceylon.errors import IncompleteStreamError, ModelError, ModelNotFoundError, ModelProtocolError, ModelStatusError
from ceylon.models.adapting import by_schema
from ceylon.models.bodies import check_options, encode, read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint, check_url
from ceylon.models.ollama_chat import KNOWN, chat_body, chunks, take
from ceylon.models.ollama_host import DEFAULT_HOST, host_url
from ceylon.models.port import Abilities
from ceylon.models.schema_steps import in_words
from ceylon.models.secret import Secret
from ceylon.models.think_tags import THINK, Tags, tags_of
from ceylon.models.turns import Part, Reply, ReplyPart, Request

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["InstalledModel", "OllamaModel", "OllamaSession", "installed_models", "ollama_endpoint"]

_CLOUD: Final = "ollama.com"  # the only server that gets the key of the environment
_REMOTE: Final = (":cloud", "-cloud")  # models that only seem to be here; a `format` does not bind them
_TAGS_SECONDS: Final = 5.0
_ALL: Final = ("completion", "tools", "thinking")
_NOT_FOUND: Final = 404


class _Details(msgspec.Struct):
    family: str | None = None


class InstalledModel(msgspec.Struct, frozen=True):
    """One line of `/api/tags`."""

    name: str
    details: _Details | None = None
    capabilities: list[str] | None = None


class _Shown(msgspec.Struct):
    """The answer of `/api/show`, as far as it is asked for."""

    capabilities: list[str] | None = None


class _Tags(msgspec.Struct):
    models: list[InstalledModel] | None = None


_tags: Final = msgspec.json.Decoder(_Tags, strict=False)
_shown: Final = msgspec.json.Decoder(_Shown, strict=False)


class OllamaModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that an Ollama server runs; without `base_url` the server is where `OLLAMA_HOST` says.

    `options` holds Ollama's own (``num_ctx``, ``top_k``, …) and ``keep_alive``, ``think`` and ``format``.
    Keep ``num_ctx`` the same for all agents of a model: Ollama loads the model anew when it changes.
    """

    model: str
    base_url: str | None = None
    api_key: Secret | None = None
    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The canonical spelling, ``ollama::model``."""
        return f"ollama::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for a wrong address or an unknown option."""
        ollama_endpoint(self)
        check_options(self.name, self.options, KNOWN)
        tags_of(self.name, self.options, THINK)

    async def open(self, client: "HttpClient") -> "OllamaSession":
        """Return a session; nothing is sent before the first request."""
        self.check()
        return OllamaSession(self, ollama_endpoint(self), client)


class OllamaSession:
    """Talks to one Ollama server."""

    def __init__(self, model: OllamaModel, endpoint: Endpoint, client: "HttpClient") -> None:
        self._model, self._endpoint, self._client = model, endpoint, client
        self._by_schema = by_schema(self)
        self._known: Collection[str] | None = None
        self._tags = tags_of(model.name, model.options, THINK)

    @property
    def abilities(self) -> Abilities:
        """See `Session`."""
        is_remote = self._model.model.endswith(_REMOTE) or _is_cloud(self._endpoint.base_url)
        return Abilities(tool_choice=False, output_with_tools=False, output="prompt" if is_remote else "schema")

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        if await self._needs_steps(request):
            return await self._by_schema.complete(request)
        request = await self._as_it_can(request)
        body, timeout = self._body(request, stream=False), self._client.seconds(request.timeout)
        try:
            answer = await self._client.post_json(self._endpoint, "/api/chat", body, timeout=timeout)
        except ModelStatusError as error:
            raise await self._explain(error) from error
        draft = Draft(request.turns, self._tags_of(request))
        chunk = read(chunks, answer, self._endpoint)
        if chunk.message is None and chunk.error is None and not chunk.done:
            sentence = f"{self._endpoint.model}: the answer holds no message"
            raise ModelProtocolError(sentence)
        take(draft, self._endpoint, chunk)
        draft.rest()
        return draft.reply()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes."""
        if await self._needs_steps(request):
            async with aclosing(self._by_schema.stream(request)) as parts:
                async for part in parts:
                    yield part
            return
        request = await self._as_it_can(request)
        body, timeout = self._body(request, stream=True), self._client.seconds(request.timeout)
        draft = Draft(request.turns, self._tags_of(request))
        try:
            async with self._client.stream_lines(self._endpoint, "/api/chat", body, timeout=timeout) as lines:
                async for line in lines:
                    for part in take(draft, self._endpoint, read(chunks, line, self._endpoint)):
                        yield part
                    if draft.finish is not None:
                        await lines.drain()
                        break
                cut = lines.cut
        except ModelStatusError as error:
            raise await self._explain(error) from error
        for part in draft.rest():
            yield part
        if draft.finish is None:
            raise IncompleteStreamError(self._endpoint.model, draft.text) from cut
        for call in draft.call_parts():
            yield call
        yield ReplyPart(draft.reply())

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    def _tags_of(self, request: Request) -> Tags:
        return tags_of(self._endpoint.model, request.options, self._tags) if request.options else self._tags

    def _body(self, request: Request, *, stream: bool) -> bytes:
        given = {**self._model.options, **request.options}
        check_options(self._endpoint.model, given, KNOWN)
        body = {"model": self._model.model, **chat_body(self._endpoint.model, request, given), "stream": stream}
        return encode(self._endpoint.model, body)

    async def _needs_steps(self, request: Request) -> bool:
        """Return whether *request* has tools, and the model takes none."""
        if not request.tools or request.tool_choice == "none":
            return False
        return "tools" not in await self._capabilities()

    async def _as_it_can(self, request: Request) -> Request:
        """Return *request* without what Ollama would refuse: calls, or a wish to think, of a model without either."""
        changes: dict[str, Any] = {}
        if any(turn.calls or turn.results for turn in request.turns) and "tools" not in await self._capabilities():
            changes["turns"] = in_words(request.turns)
        wish = {**self._model.options, **request.options}.get("think")
        if wish and "thinking" not in await self._capabilities():
            changes["options"] = {**request.options, "think": False}
        return msgspec.structs.replace(request, **changes) if changes else request

    async def _capabilities(self) -> Collection[str]:
        """Return what the model can do, asked once; of a server that does not say, everything is thought."""
        if self._known is None:
            body = encode(self._endpoint.model, {"model": self._model.model})
            try:
                answer = await self._client.post_json(self._endpoint, "/api/show", body, timeout=_TAGS_SECONDS)
                self._known = read(_shown, answer, self._endpoint).capabilities or _ALL
            except (ModelStatusError, ModelProtocolError):
                self._known = _ALL  # no such question there; or what is wrong comes out with the real one
            except ModelError:
                return _ALL
        return self._known

    async def _explain(self, error: ModelStatusError) -> ModelError:
        """Return *error*, or for an unknown model one that lists the known ones."""
        if error.status != _NOT_FOUND:
            return error
        try:
            names = [each.name for each in await installed_models(self._client, self._endpoint)]
        except ModelError:
            return error
        model = self._model.model
        if model in names and "not found" not in error.body:
            return error
        return ModelNotFoundError(model, names, f"Run `ollama pull {model}`, or name one of those.")


def ollama_endpoint(model: OllamaModel) -> Endpoint:
    """Return where *model* is served.

    Raises:
        ModelConfigError: an address that is none.
    """
    source = "base_url" if model.base_url else "OLLAMA_HOST"
    base_url = host_url(model.base_url or os.environ.get("OLLAMA_HOST") or DEFAULT_HOST)
    check_url(base_url, source=source)
    key, variable = model.api_key, "api_key"
    if key is None and _is_cloud(base_url):
        key, variable = Secret.of(os.environ.get("OLLAMA_API_KEY")), "OLLAMA_API_KEY"
    if key is not None:
        key.check(variable)
    advice = (
        f"Start Ollama (`ollama serve`) and get the model (`ollama pull {model.model}`), "
        "or use the embedded model 'local::smollm2', which needs no server."
    )
    return Endpoint(model=model.name, base_url=base_url, advice=advice, key=key)


def _is_cloud(base_url: str) -> bool:
    return f".{urlsplit(base_url).hostname}".endswith(f".{_CLOUD}")


async def installed_models(
    client: "HttpClient", endpoint: Endpoint, *, timeout: float = _TAGS_SECONDS
) -> list[InstalledModel]:
    """Return the models the server has, in its own order: last changed first."""
    answer = await client.get_json(endpoint, "/api/tags", timeout=timeout)
    return read(_tags, answer, endpoint).models or []
