"""Ollama's own API: `/api/chat`, newline-delimited JSON, an answer ends with ``"done": true``."""

import os
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from ceylon.errors import IncompleteStreamError, ModelError, ModelNotFoundError, ModelProtocolError, ModelStatusError
from ceylon.models.bodies import check_options, encode, read
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint, check_url
from ceylon.models.ollama_host import DEFAULT_HOST, host_url
from ceylon.models.port import Abilities
from ceylon.models.secret import Secret, redact
from ceylon.models.turns import Finish, Part, Reply, ReplyPart, Request, Usage

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["InstalledModel", "OllamaModel", "OllamaSession", "installed_models", "ollama_endpoint"]

_OPTIONS: Final = frozenset(
    {
        *("num_ctx", "num_predict", "num_keep", "num_gpu", "num_thread", "num_batch", "main_gpu", "use_mmap"),
        *("temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "stop", "draft_num_predict"),
        *("repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty"),
    }
)
_FIELDS: Final = frozenset({"keep_alive", "think", "format", "truncate", "shift"})  # beside the options, not in them
_FINISHES: Final[Mapping[str, Finish]] = {"length": "length"}
_CLOUD: Final = "ollama.com"  # the only server that gets the key of the environment
_NANOSECONDS: Final = 1e9
_TAGS_SECONDS: Final = 5.0
_NOT_FOUND: Final = 404


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class _Details(msgspec.Struct):
    family: str | None = None


class InstalledModel(msgspec.Struct, frozen=True):
    """One line of `/api/tags`."""

    name: str
    details: _Details | None = None
    capabilities: list[str] | None = None


class _Tags(msgspec.Struct):
    models: list[InstalledModel] | None = None


_chunks: Final = msgspec.json.Decoder(_Chunk, strict=False)
_tags: Final = msgspec.json.Decoder(_Tags, strict=False)


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
        check_options(self.name, self.options, _OPTIONS | _FIELDS)

    async def open(self, client: "HttpClient") -> "OllamaSession":
        """Return a session; nothing is sent before the first request."""
        self.check()
        return OllamaSession(self, ollama_endpoint(self), client)


class OllamaSession:
    """Talks to one Ollama server."""

    def __init__(self, model: OllamaModel, endpoint: Endpoint, client: "HttpClient") -> None:
        self._model, self._endpoint, self._client = model, endpoint, client

    @property
    def abilities(self) -> Abilities:
        """See `Session`."""
        return Abilities(tool_choice=False, output_with_tools=False)

    async def complete(self, request: Request) -> Reply:
        """Return the whole answer."""
        body, timeout = self._body(request, stream=False), self._timeout(request)
        try:
            answer = await self._client.post_json(self._endpoint, "/api/chat", body, timeout=timeout)
        except ModelStatusError as error:
            raise await self._explain(error) from error
        draft = Draft()
        chunk = read(_chunks, answer, self._endpoint)
        if chunk.message is None and chunk.error is None and not chunk.done:
            sentence = f"{self._endpoint.model}: the answer holds no message"
            raise ModelProtocolError(sentence)
        self._take(draft, chunk)
        return draft.reply()

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes."""
        body, timeout = self._body(request, stream=True), self._timeout(request)
        draft = Draft()
        try:
            async with self._client.stream_lines(self._endpoint, "/api/chat", body, timeout=timeout) as lines:
                async for line in lines:
                    for part in self._take(draft, read(_chunks, line, self._endpoint)):
                        yield part
                    if draft.finish is not None:
                        await lines.drain()
                        break
                cut = lines.cut
        except ModelStatusError as error:
            raise await self._explain(error) from error
        if draft.finish is None:
            raise IncompleteStreamError(self._endpoint.model, draft.text) from cut
        yield ReplyPart(draft.reply())

    async def aclose(self) -> None:
        """Nothing to give back: the connections are the client's."""

    def _timeout(self, request: Request) -> float:
        return self._client.settings.model_timeout if request.timeout is None else request.timeout

    def _body(self, request: Request, *, stream: bool) -> bytes:
        given = {**self._model.options, **request.options}
        check_options(self._endpoint.model, given, _OPTIONS | _FIELDS)
        options = {name: value for name, value in given.items() if name in _OPTIONS}
        named = {"temperature": request.temperature, "num_predict": request.max_tokens, "seed": request.seed}
        options |= {name: value for name, value in named.items() if value is not None}
        if request.stop:
            options["stop"] = list(request.stop)
        body: dict[str, Any] = {
            "model": self._model.model,
            "messages": [{"role": turn.role, "content": turn.text} for turn in request.turns],
            "stream": stream,
        }
        body |= {name: value for name, value in given.items() if name in _FIELDS}
        if options:
            body["options"] = options
        return encode(self._endpoint.model, body)

    def _take(self, draft: Draft, chunk: _Chunk) -> list[Any]:
        """Add *chunk* to the draft and return its parts."""
        if chunk.error is not None:
            words = redact(chunk.error, self._endpoint.key)
            sentence = f"{self._endpoint.model}: the server failed while it answered: {words}"
            raise ModelProtocolError(sentence)
        message = chunk.message or _Message()
        draft.model = chunk.model or draft.model
        if chunk.done:
            draft.finish = _FINISHES.get(chunk.done_reason or "", "stop")
            draft.usage = Usage(input=chunk.prompt_eval_count or 0, output=chunk.eval_count or 0)
            if chunk.eval_count and chunk.eval_duration:
                draft.tokens_per_second = chunk.eval_count / chunk.eval_duration * _NANOSECONDS
        return draft.add(message.content or "", message.thinking or "")

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
    if key is None and (urlsplit(base_url).hostname or "").endswith(_CLOUD):
        key, variable = Secret.of(os.environ.get("OLLAMA_API_KEY")), "OLLAMA_API_KEY"
    if key is not None:
        key.check(variable)
    advice = (
        f"Start Ollama (`ollama serve`) and get the model (`ollama pull {model.model}`), "
        "or use the embedded model 'local::smollm2', which needs no server."
    )
    return Endpoint(model=model.name, base_url=base_url, advice=advice, key=key)


async def installed_models(
    client: "HttpClient", endpoint: Endpoint, *, timeout: float = _TAGS_SECONDS
) -> list[InstalledModel]:
    """Return the models the server has, in its own order: last changed first."""
    answer = await client.get_json(endpoint, "/api/tags", timeout=timeout)
    return read(_tags, answer, endpoint).models or []
