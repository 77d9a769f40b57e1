"""An Ollama server without Ollama: its native API in front of the embedded engine.

    with OllamaServer() as server:
        model = resolve("ollama::smollm2:135m", base_url=server.base_url)

A real model answers, so the whole road of an ``ollama::`` agent is exercised where no Ollama is installed.
`python -m ceylon.testing.ollama_server --port 11434` runs it as a process of its own.
"""

import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

import anyio
import msgspec

from ceylon.errors import ModelError, ModelStatusError
from ceylon.models.endpoint import Endpoint
from ceylon.models.http import HttpClient
from ceylon.models.lines import DONE
from ceylon.models.local import LocalModel, LocalSession
from ceylon.testing.http_server import Connection, HttpRequest, ServerThread, announce, run_as_process, serve
from ceylon.testing.ollama_wire import (
    Ending,
    EngineChunk,
    Generation,
    engine_body,
    last_line,
    line,
    merged,
    shown,
    tagged,
)

__all__ = ["OllamaServer"]

_MODEL: Final = "smollm2:135m"
_NAMES: Final = (_MODEL, "smollm2", "smollm2:latest")
_VERSION: Final = "0.13.0"
_JSON: Final = {"content-type": "application/json; charset=utf-8"}
_LINES: Final = {"content-type": "application/x-ndjson"}
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_ENGINE_SECONDS: Final = 600.0

_generations: Final = msgspec.json.Decoder(Generation)
_chunks: Final = msgspec.json.Decoder(EngineChunk)


class _RefusalError(Exception):
    """An answer that is a status and a sentence."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


_Answerer = Callable[[Connection, Generation], Awaitable[None]]


class OllamaServer:
    """Speaks `/api/chat`, `/api/generate`, `/api/tags`, `/api/show`, `/api/ps` and `/api/version`.

    The engine starts with the first question and stops with the server. A client that leaves stops its generation.
    """

    def __init__(self, model: LocalModel | None = None) -> None:
        self._local = LocalModel() if model is None else model
        self._thread = ServerThread(self.handle, lifespan=self.lifespan)
        self._starting: anyio.Lock | None = None
        self._client: HttpClient | None = None
        self._session: LocalSession | None = None
        self._answerers: dict[str, _Answerer] = {
            "/api/chat": functools.partial(self._generate, chat=True),
            "/api/generate": self._generate,
            "/api/show": self._show,
            "/api/embed": self._embed,
            "/api/embeddings": self._embed,
        }
        self.clients_left = 0  # who closed the connection before the answer was complete

    @property
    def base_url(self) -> str:
        """The address: what `OLLAMA_HOST` holds."""
        return self._thread.url

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.__exit__(kind, error, traceback)

    async def handle(self, connection: Connection) -> None:
        """Serve one client until it leaves."""
        while (request := await connection.read_request()) is not None:
            try:
                await self._route(connection, request)
            except _RefusalError as refusal:
                await connection.reply(refusal.status, msgspec.json.encode({"error": refusal.words}), _JSON)

    async def _route(self, connection: Connection, request: HttpRequest) -> None:
        key = (request.method, request.path.partition("?")[0])
        fixed: dict[tuple[str, str], Any] = {
            ("GET", "/api/version"): {"version": _VERSION},
            ("GET", "/api/tags"): {"models": [tagged(_MODEL, 98_362_432)]},
            ("GET", "/api/ps"): {"models": [tagged(_MODEL, 98_362_432)] if self._session else []},
        }
        if key in fixed:
            await connection.reply(200, msgspec.json.encode(fixed[key]), _JSON)
        elif key in {("GET", "/"), ("HEAD", "/")}:
            await connection.reply(200, b"Ollama is running" if request.method == "GET" else b"", _TEXT)
        elif key[0] == "POST" and (answer := self._answerers.get(key[1])):
            await answer(connection, _read(request.body))
        else:
            await connection.reply(404, b"404 page not found", _TEXT)

    async def _show(self, connection: Connection, generation: Generation) -> None:
        _check_model(generation)
        await connection.reply(200, msgspec.json.encode(shown(self._local.context)), _JSON)

    async def _embed(self, connection: Connection, generation: Generation) -> None:
        del connection
        _check_model(generation)
        raise _RefusalError(501, "this model does not support embeddings")

    async def _generate(self, connection: Connection, generation: Generation, *, chat: bool = False) -> None:
        """Answer, unless the client leaves first."""
        _check_model(generation)
        _check_abilities(generation)
        if not generation.conversation():
            last = last_line(generation.model, "", Ending("load"), chat=chat)
            await connection.reply(200, msgspec.json.encode(last), _JSON)
            return
        refusal: _RefusalError | None = None
        is_whole = False
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await connection.until_left()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                await self._answer(connection, generation, chat=chat)
                is_whole = True
            except _RefusalError as error:
                refusal, is_whole = error, True
            except anyio.BrokenResourceError:
                pass  # the client has left while it was written to
            tasks.cancel_scope.cancel()
        self.clients_left += not is_whole
        if refusal is not None:
            raise refusal
        if not is_whole:
            raise anyio.EndOfStream

    async def _answer(self, connection: Connection, generation: Generation, *, chat: bool) -> None:
        """Pass the engine's answer on, streamed or whole."""
        if generation.stream is False:
            chunks = [chunk async for chunk in self._ask(generation)]
            text = "".join(chunk.text for chunk in chunks)
            last = last_line(generation.model, text, merged(chunks), chat=chat)
            await connection.reply(200, msgspec.json.encode(last), _JSON)
            return
        has_begun = False
        ends: list[EngineChunk] = []
        try:
            async with contextlib.aclosing(self._ask(generation)) as answer:
                async for chunk in answer:
                    if not has_begun:
                        await connection.begin(200, _LINES)
                        has_begun = True
                    if chunk.text:
                        await connection.send(_line(line(generation.model, chunk.text, chat=chat)))
                    else:
                        ends.append(chunk)
        except _RefusalError as refusal:
            if not has_begun:
                raise
            await connection.send(_line({"error": refusal.words}))
        else:
            await connection.send(_line(last_line(generation.model, "", merged(ends), chat=chat)))
        await connection.end()

    async def _ask(self, generation: Generation) -> AsyncGenerator[EngineChunk, None]:
        """Yield what the engine answers; closing this stops it."""
        session, client = await self._ready()
        endpoint = Endpoint(model=_MODEL, base_url=session.engine_url, advice="The engine has ended.")
        body = engine_body(generation)
        try:
            async with client.stream_events(endpoint, "/chat/completions", body, timeout=_ENGINE_SECONDS) as events:
                async for event in events:
                    if event.data == DONE:
                        await events.drain()
                        break
                    yield _chunks.decode(event.data)
        except ModelStatusError as error:
            raise _RefusalError(error.status, error.body) from error
        except ModelError as error:
            raise _RefusalError(500, str(error)) from error

    async def _ready(self) -> tuple[LocalSession, HttpClient]:
        """Return the engine's session, started by whoever asks first."""
        if self._client is None or self._starting is None:
            sentence = "the server is not running"
            raise RuntimeError(sentence)
        async with self._starting:
            if self._session is None:
                self._session = await self._local.open(self._client)
        return self._session, self._client

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None, None]:
        """Keep what lives as long as the server does: the client, and the engine once somebody asked."""
        async with HttpClient() as client:
            self._client, self._starting = client, anyio.Lock()
            try:
                yield
            finally:
                session, self._session = self._session, None
                if session is not None:
                    await session.aclose()


def _read(body: bytes) -> Generation:
    if not body:
        raise _RefusalError(400, "missing request body")
    try:
        return _generations.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _RefusalError(400, str(error)) from error


def _check_model(generation: Generation) -> None:
    if not generation.model:
        raise _RefusalError(400, "model is required")
    if generation.model not in _NAMES:
        raise _RefusalError(404, f"model '{generation.model}' not found")


def _check_abilities(generation: Generation) -> None:
    if generation.tools:
        raise _RefusalError(400, f"registry.ollama.ai/library/{generation.model} does not support tools")
    if generation.think:
        raise _RefusalError(400, f'"{generation.model}" does not support thinking')


def _line(content: dict[str, Any]) -> bytes:
    return msgspec.json.encode(content) + b"\n"


async def _run(port: int) -> None:
    """Serve until the process is told to end."""
    server = OllamaServer()
    async with server.lifespan(), anyio.create_task_group() as tasks:
        _, url = await tasks.start(serve, server.handle, port)
        announce(url)


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the server as a process."""
    run_as_process(
        _run, "Ollama's native API in front of the embedded model.", "0: any free one; Ollama's own is 11434", arguments
    )


if __name__ == "__main__":
    main()
