"""A model server without a model: answers at once in every dialect, records, holds, and breaks on command.

    with ModelServer() as server:
        model = resolve("openai::test-model", base_url=server.openai_url)

`python -m ceylon.testing.model_server --port 0` runs it as a process of its own and prints its URL.
"""

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.to_thread
import msgspec

from ceylon.testing.dialect_pieces import Asked, Payload
from ceylon.testing.dialects import Question
from ceylon.testing.every_dialect import answer, ask, dialect_at, failure, key_of, list_at, model_list
from ceylon.testing.faults import Fault, replaced, send_broken
from ceylon.testing.http_server import Connection, HttpRequest, ServerThread, announce, run_as_process, serve
from ceylon.testing.recorded import Recorded, Replier
from ceylon.testing.saying import Said

__all__ = ["Fault", "ModelServer", "Recorded", "Replier", "Said"]

_JSON: Final = {"content-type": "application/json"}
_NO_FAULT: Final = Fault()
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_UNAUTHORIZED: Final = 401
_WAIT_SECONDS: Final = 30.0


class ModelServer:
    """Speaks OpenAI's two formats, Anthropic's, Gemini's and Ollama's own, with no latency of its own.

    `reply` makes the answer out of the last message's text, or out of all of the request if it is a `Replier`; what
    `say` prepares comes before. `capabilities` are those of the models, as Ollama has them. `fail_once` may name a
    fault for a prompt, the first time it is asked. A `key` makes requests without it fail with 401.
    """

    def __init__(
        self,
        reply: Callable[[str], str | Said] | Replier = "echo: {}".format,
        *,
        models: Sequence[str] = ("test-model",),
        key: str | None = None,
        capabilities: Sequence[str] = ("completion", "tools", "thinking", "vision"),
        fail_once: Callable[[str], Fault | None] | None = None,
        records: bool = True,
    ) -> None:
        self._reply, self._key, self._fail_once, self._records = reply, key, fail_once, records
        self._failed: set[str] = set()
        self._prepared: deque[Said] = deque()
        self.capabilities = tuple(capabilities)
        self._faults: deque[Fault] = deque()
        self._gate: anyio.Event | None = None
        self._changed = threading.Condition()
        self._thread = ServerThread(self.handle)
        self.models = tuple(models)
        self.requests: list[Recorded] = []
        self.answered = self.in_flight = self.most_in_flight = 0
        self.connections = 0  # opened so far
        self.clients_left = 0  # who closed the connection before the answer was complete
        self.bytes_sent = 0  # of endless bodies
        self.shown = 0  # how often it was asked what the model can do

    # -- for tests, from any thread

    @property
    def base_url(self) -> str:
        """The address without a path: what `OLLAMA_HOST` holds."""
        return self._thread.url

    @property
    def openai_url(self) -> str:
        """The `base_url` of OpenAI's dialect."""
        return f"{self.base_url}/v1"

    def say(self, *answers: str | Said) -> None:
        """Prepare the next answers, one a request."""
        self._prepared.extend(map(Said.of, answers))

    def fail(self, *faults: Fault) -> None:
        """Let the next requests for an answer go wrong, one fault each."""
        self._faults.extend(faults)

    def hold(self) -> None:
        """Answer nothing from now on, until `release`."""
        self._thread.call(self._close_gate)

    def release(self) -> None:
        """Answer what was held, and everything after it."""
        self._thread.call(self._open_gate)

    def wait_until(self, condition: Callable[[], bool], *, timeout: float = _WAIT_SECONDS) -> None:
        """Wait until *condition* of this server's counters holds; raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                sentence = f"the server did not get there within {timeout:g} s: {self!r}"
                raise TimeoutError(sentence)

    async def until(self, condition: Callable[[], bool], *, timeout: float = _WAIT_SECONDS) -> None:
        """Wait like `wait_until`, without blocking the loop."""
        wait = functools.partial(self.wait_until, condition, timeout=timeout)
        await anyio.to_thread.run_sync(wait, abandon_on_cancel=True)

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

    def __repr__(self) -> str:
        return f"<ModelServer {self.base_url} {self.answered} answered, {self.in_flight} in flight>"

    # -- on the server's loop

    async def handle(self, connection: Connection) -> None:
        """Serve one client until it leaves."""
        self._count(connections=1)
        while (request := await connection.read_request()) is not None:
            dialect = dialect_at(request.path)
            if dialect is None:
                await self._other(connection, request)
            elif not await self._chat(connection, request, dialect):
                return

    async def _other(self, connection: Connection, request: HttpRequest) -> None:
        dialect = list_at(request.path, request.headers)
        if dialect is not None and self._may_enter(request):
            await connection.reply(200, model_list(dialect, self.models), _JSON)
        elif request.path == "/api/show":
            self.shown += 1
            await connection.reply(200, msgspec.json.encode({"capabilities": self.capabilities}), _JSON)
        elif request.path == "/":
            await connection.reply(200, b"Ollama is running", {"content-type": "text/plain"})
        else:
            await connection.reply(_NOT_FOUND, b"404 page not found", {"content-type": "text/plain"})

    async def _chat(self, connection: Connection, request: HttpRequest, dialect: str) -> bool:
        """Answer one question; return whether the connection goes on."""
        question = ask(dialect, request.path, request.body)
        if self._records:
            self.requests.append(Recorded(request.path, request.headers, request.body, question.prompt))
        visit = _Visit(self._count)
        try:
            if self._gate is not None and not await self._hold(connection):
                return False
            goes_on = await self._answer(connection, request, question, dialect, visit)
            visit.end(is_answered=True)
        finally:
            visit.end(is_answered=False)
        return goes_on

    async def _answer(
        self, connection: Connection, request: HttpRequest, question: Question | Asked, dialect: str, visit: "_Visit"
    ) -> bool:
        fault = self._fault(question.prompt)
        if fault is None and (refusal := self._refusal(request, question)) is not None:
            status, words = refusal
            fault = Fault(status=status, body=failure(dialect, status, words))
        payload = answer(dialect, question, self._said(request, question.prompt))
        if fault is None:
            fault = _NO_FAULT
        else:
            payload = replaced(payload, fault, dialect)
        if fault.is_broken:
            await send_broken(connection, fault, payload, self._note_bytes)
            return fault.ends_cleanly
        await self._send(connection, fault, payload, visit)
        return True

    async def _send(self, connection: Connection, fault: Fault, payload: Payload, visit: "_Visit") -> None:
        """Send *payload* as HTTP wants it, held in the middle if *fault* says so."""
        headers = {"content-type": payload.content_type, **fault.headers}
        if not payload.is_stream:
            visit.end(is_answered=True)
            await connection.reply(fault.status, payload.pieces[0], headers)
            return
        pieces = payload.pieces
        await connection.begin(fault.status, headers)
        if fault.hold_after is not None:
            await connection.send(*pieces[: fault.hold_after])
            pieces = pieces[fault.hold_after :]
            self._close_gate()
            self._count()
            if not await self._hold(connection):
                raise anyio.EndOfStream
        visit.end(is_answered=True)
        await connection.send(*pieces)
        await connection.end()

    async def _hold(self, connection: Connection) -> bool:
        """Wait for the gate; return whether the client did."""
        gate, is_open = self._gate, False
        if gate is None:
            return True
        async with anyio.create_task_group() as waits:

            async def watch() -> None:
                await connection.until_left()
                waits.cancel_scope.cancel()

            waits.start_soon(watch)
            await gate.wait()
            is_open = True
            waits.cancel_scope.cancel()
        return is_open

    def _said(self, request: HttpRequest, prompt: str) -> Said:
        if self._prepared:
            return self._prepared.popleft()
        if isinstance(self._reply, Replier):
            return self._reply.reply(Recorded(request.path, request.headers, request.body, prompt))
        return Said.of(self._reply(prompt))

    def _fault(self, prompt: str) -> Fault | None:
        if self._faults:
            return self._faults.popleft()
        if self._fail_once is None or prompt in self._failed:
            return None
        self._failed.add(prompt)
        return self._fail_once(prompt)

    def _refusal(self, request: HttpRequest, question: Question | Asked) -> tuple[int, str] | None:
        if not self._may_enter(request):
            return _UNAUTHORIZED, "Incorrect API key provided"
        if question.model not in self.models:
            return _NOT_FOUND, f"model {question.model!r} not found"
        if not isinstance(question, Question):
            return None
        if question.tools and "tools" not in self.capabilities:
            return _BAD_REQUEST, f"registry.ollama.ai/library/{question.model} does not support tools"
        if question.think and "thinking" not in self.capabilities:
            return _BAD_REQUEST, f'"{question.model}" does not support thinking'
        return None

    def _may_enter(self, request: HttpRequest) -> bool:
        return self._key is None or key_of(request.headers) == self._key

    def _note_bytes(self, count: int) -> None:
        self.bytes_sent += count

    def _count(self, **changes: int) -> None:
        with self._changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self._changed.notify_all()

    def _close_gate(self) -> None:
        if self._gate is None:
            self._gate = anyio.Event()

    def _open_gate(self) -> None:
        if self._gate is not None:
            self._gate.set()
            self._gate = None


class _Visit:
    """One question being answered; it ends before the last bytes leave: when they arrive, the next may come."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._count, self._is_over = count, False
        count(in_flight=1)

    def end(self, *, is_answered: bool) -> None:
        """Count how it ended; only the first time counts."""
        if not self._is_over:
            self._is_over = True
            self._count(in_flight=-1, answered=is_answered, clients_left=not is_answered)


async def _run(port: int) -> None:
    """Serve until the process is told to end."""
    async with anyio.create_task_group() as tasks:
        server = ModelServer(records=False)
        _, url = await tasks.start(serve, server.handle, port)
        announce(url)


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the server as a process."""
    run_as_process(_run, "A model server without a model, for benchmarks and tests.", "0: any free one", arguments)


if __name__ == "__main__":
    main()
