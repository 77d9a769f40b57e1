"""Cassettes: what was recorded is replayed, from nowhere else, and what differs is shown."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import uvloop

from ceylon import Agent, BlockingMesh, Budget, Context, HandlerError, LlmAgent, Mesh
from ceylon.errors import ModelTimeoutError
from ceylon.models.http import HttpClient
from ceylon.models.openai import OpenAIModel
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Reply, Request, Turn, Usage
from ceylon.settings import DEFAULTS
from ceylon.testing import CassetteError, Step, record
from ceylon.testing.model_server import ModelServer
from support.llm import llm
from support.recorded import ForbiddenModel, transcript
from support.virtual_time import run_virtually

RUNS = 100


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "tea.cassette"


def text_of(tape: Path) -> str:
    return tape.read_text(encoding="utf-8")


def change(tape: Path, old: str, new: str) -> None:
    """Tamper with a cassette."""
    tape.write_text(text_of(tape).replace(old, new), encoding="utf-8")


def put(tape: Path, text: str) -> None:
    """Write *text*, line ends and all, over a cassette."""
    tape.write_text(text, encoding="utf-8", newline="")


def files_beside(tape: Path) -> list[Path]:
    return list(tape.parent.parent.rglob("*.cassette*"))


async def ask(*questions: str, model: Any = None, **settings: Any) -> list[str]:
    """Return the answers to *questions*, asked one after the other."""
    async with Mesh("market") as mesh:
        agent = LlmAgent("tutor", model or ScriptedModel([f"answer {each}" for each in range(9)]), **settings)
        mesh.add(agent)
        return [await agent.send_message_async(each) for each in questions]


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, RUNS), marks=pytest.mark.slow)], ids=["twenty", "a hundred"]
)
async def test_a_hundred_runs_at_random_replay_to_the_same_transcripts(
    tmp_path: Path, anyio_backend: str, seeds: range
) -> None:
    for seed in seeds[::2] if anyio_backend == "asyncio" else seeds[1::2]:  # each loop half of them
        path = tmp_path / f"{seed}.cassette"
        with record(path):
            recorded = await transcript(seed)
        written = text_of(path)
        with record(path) as replaying:
            replayed = await transcript(seed, ForbiddenModel())
        assert replaying.is_replay
        assert replayed == recorded, seed
        assert text_of(path) == written


async def test_a_changed_prompt_stops_at_the_first_request_that_differs(tape: Path) -> None:
    with record(tape):
        await ask("one", "two", "three", system_prompt="Be brief.")

    with pytest.raises(CassetteError) as caught, record(tape):
        await ask("one", "2", "three", model=ForbiddenModel(), system_prompt="Be brief.")

    assert "the nearest is exchange 2" in str(caught.value)
    assert str(caught.value).splitlines()[1:] == [
        "--- recorded",
        "+++ asked now",
        "@@ -5,4 +5,4 @@",
        "     - role: system",
        "       text: Be brief.",
        "     - role: user",
        "-      text: two",
        '+      text: "2"',
    ]


@pytest.mark.parametrize("change", [{"temperature": 0.1}, {"max_tokens": 5}, {"seed": 1}, {"stop": "x"}])
async def test_a_changed_setting_is_a_request_that_differs(tape: Path, change: dict[str, Any]) -> None:
    with record(tape):
        await ask("one")

    with pytest.raises(CassetteError, match=rf"\n\+ +{next(iter(change))}:"), record(tape):
        await ask("one", model=ForbiddenModel(), **change)


async def test_after_the_first_request_that_differs_none_is_answered(tape: Path) -> None:
    with record(tape):
        await ask("one", "two")
    agent = LlmAgent("tutor", ForbiddenModel())

    with pytest.raises(CassetteError, match="differs"), record(tape):
        async with Mesh() as mesh:
            mesh.add(agent)
            for question in ("other", "one"):
                with pytest.raises(CassetteError, match="text: other"):
                    await agent.send_message_async(question)


async def test_a_mismatch_that_somebody_swallows_is_raised_at_the_end(tape: Path) -> None:
    with record(tape):
        await ask("one")

    with pytest.raises(CassetteError, match="text: two"), record(tape), contextlib.suppress(CassetteError):
        await ask("two", model=ForbiddenModel())


async def test_a_recorded_request_that_is_never_made_fails_the_replay(tape: Path) -> None:
    with record(tape):
        await ask("one", "two")

    with pytest.raises(CassetteError, match=r"1 recorded requests were never made(.|\n)*text: two"), record(tape):
        await ask("one", model=ForbiddenModel())
    with record(tape, allow_unused=True):
        await ask("one", model=ForbiddenModel())


async def test_a_request_more_than_was_recorded_fails_the_replay(tape: Path) -> None:
    with record(tape):
        await ask("one")

    with pytest.raises(CassetteError, match=r"a request more than was recorded(.|\n)*text: two"), record(tape):
        await ask("one", "two", model=ForbiddenModel())


async def test_requests_may_come_in_another_order_and_equal_ones_keep_theirs(tape: Path) -> None:
    with record(tape):
        assert await ask("one", "two", "one") == ["answer 0", "answer 1", "answer 2"]

    with record(tape):
        assert await ask("two", "one", "one", model=ForbiddenModel()) == ["answer 1", "answer 0", "answer 2"]


async def test_another_model_is_another_question(tape: Path) -> None:
    with record(tape):
        await ask("one")

    with pytest.raises(CassetteError, match=r"-model: scripted::model\n\+model: other::model"), record(tape):
        await ask("one", model=ForbiddenModel("other::model"))


async def test_a_replay_needs_neither_key_nor_server(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer("You asked: {}".format) as server, record(tape):
        async with Mesh() as mesh:
            agent = llm(server)
            mesh.add(agent)
            recorded = await agent.complete("What is tea?")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with record(tape):
        async with Mesh() as mesh:
            mesh.add(keyless := LlmAgent("tutor", "openai::test-model"))
            assert await keyless.complete("What is tea?") == recorded
            assert recorded.text == "You asked: What is tea?"


def connect() -> None:
    with socket.socket() as made:
        made.connect(("127.0.0.1", 9))


def connect_quietly() -> None:
    with socket.socket() as made:
        made.connect_ex(("127.0.0.1", 9))


def send() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as made:
        made.sendto(b"x", ("127.0.0.1", 9))


def look_up() -> None:
    socket.getaddrinfo("example.invalid", 80)


@pytest.mark.parametrize("reach", [connect, connect_quietly, send, look_up])
def test_a_socket_in_a_replay_is_an_error_that_names_the_cassette(tape: Path, reach: Callable[[], None]) -> None:
    with record(tape):
        pass
    before = socket.getaddrinfo, socket.socket.connect

    with pytest.raises(CassetteError, match=r"tea\.cassette is replayed: a replay uses no network"), record(tape):
        reach()

    assert (socket.getaddrinfo, socket.socket.connect) == before
    assert "connect" not in vars(socket.socket)


async def test_a_socket_that_a_task_opens_is_an_error_too(tape: Path) -> None:
    with record(tape):
        pass

    with pytest.raises(CassetteError, match="a socket to"), record(tape):
        await anyio.connect_tcp("127.0.0.1", 9)


async def connect_by_the_loop(loop: Any) -> None:
    await loop.create_connection(asyncio.Protocol, "127.0.0.1", 9)


async def send_by_the_loop(loop: Any) -> None:
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", 9))


async def look_up_by_the_loop(loop: Any) -> None:
    await loop.getaddrinfo("example.invalid", 80)


async def connect_a_socket_by_the_loop(loop: Any) -> None:
    with socket.socket() as made:
        made.settimeout(0)
        await loop.sock_connect(made, ("127.0.0.1", 9))


@pytest.mark.parametrize(
    "reach", [connect_by_the_loop, send_by_the_loop, look_up_by_the_loop, connect_a_socket_by_the_loop]
)
def test_a_socket_of_uvloop_in_a_replay_is_an_error_too(tape: Path, reach: Callable[[Any], Any]) -> None:
    with record(tape):
        pass
    before = uvloop.Loop.create_connection

    async def run() -> None:
        await reach(asyncio.get_running_loop())

    with pytest.raises(CassetteError, match=r"a (socket to|look-up of) .*, while "), record(tape):
        uvloop.run(run())

    assert uvloop.Loop.create_connection == before
    assert not {"create_connection", "getaddrinfo"} & set(vars(uvloop.Loop))


def test_without_its_guard_uvloop_gets_out(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage: nobody listens there, and that is what is heard."""
    monkeypatch.setattr("ceylon.testing.seclusion._UVLOOP_METHODS", ())
    with record(tape):
        pass

    async def run() -> None:
        await connect_by_the_loop(asyncio.get_running_loop())

    with record(tape), pytest.raises(ConnectionRefusedError):
        uvloop.run(run())


def test_what_stays_on_this_machine_may_go_on_under_uvloop(tape: Path, tmp_path: Path) -> None:
    """A socket that is a file, an address that is a number; and a process, whose pipes are none of them."""
    with record(tape):
        pass

    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("127.0.0.1", 80)
        heard: list[bytes] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readline())
            writer.close()

        server = await asyncio.start_unix_server(hear, tmp_path / "s")
        async with server:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b"tea\n")
            await reader.read()
            writer.close()
        return heard[0]

    with record(tape):
        assert uvloop.run(run()) == b"tea\n"


async def test_a_model_server_is_refused_before_its_socket(tape: Path) -> None:
    with record(tape):
        pass
    model = OpenAIModel(model="test", base_url="http://127.0.0.1:9/v1", api_key=None)

    with pytest.raises(CassetteError, match="a request to http://127"), record(tape):
        async with HttpClient() as client:
            session = await model.open(client)
            await session.complete(Request(turns=(Turn("user", "hi"),), timeout=5.0))


class Teller(Agent):
    """Says what it reads."""

    async def on_message(self, message: str, context: Context) -> list[float]:
        return [context.now, context.random.random(), context.random.randrange(1 << 100)]


class Threaded(Agent):
    """Says what it reads in a thread."""

    def on_message(self, message: str, context: Any) -> list[float]:
        return [context.now, context.random.random()]


@pytest.mark.parametrize("kind", [Teller, Threaded])
async def test_clock_and_chance_are_read_again_as_they_were(tape: Path, kind: type[Agent]) -> None:
    async def read() -> list[Any]:
        async with Mesh("market") as mesh:
            refs = [mesh.add(kind(name)) for name in ("one", "two")]
            return [await ref.ask("now") for ref in refs for _ in range(3)]

    with record(tape):
        recorded = await read()
    with record(tape):
        assert await read() == recorded
    assert await read() != recorded


async def test_a_read_more_than_was_recorded_fails_the_replay(tape: Path) -> None:
    async def read(times: int) -> None:
        async with Mesh("market") as mesh:
            teller = mesh.add(Teller("teller"))
            for _ in range(times):
                await teller.ask("now")

    with record(tape):
        await read(1)
    with pytest.raises(CassetteError, match="market: teller clock is read more often than was recorded"), record(tape):
        await read(2)


async def test_the_pauses_of_a_mesh_are_kept_too(tape: Path) -> None:
    with record(tape):
        async with Mesh("market") as mesh:
            drawn = mesh.interior.random.uniform(0.0, 1.0)
    with record(tape):
        async with Mesh("market") as mesh:
            assert mesh.interior.random.uniform(0.0, 1.0) == drawn


async def test_a_stream_that_was_left_early_is_replayed_as_far(tape: Path) -> None:
    async def first_words(model: Any) -> list[str]:
        async with Mesh() as mesh:
            agent = LlmAgent("tutor", model)
            mesh.add(agent)
            heard: list[str] = []
            async with agent.stream("a long story") as words:
                async for word in words:
                    heard.append(word)
                    if len(heard) == 2:
                        break
            return heard

    with record(tape):
        recorded = await first_words(ScriptedModel([[str(each) for each in range(1000)]]))
    with record(tape):
        assert await first_words(ForbiddenModel()) == recorded == ["0", "1"]
    assert "left: true" in text_of(tape)


async def test_a_turn_that_timed_out_times_out_again(tape: Path) -> None:
    with record(tape), pytest.raises(ModelTimeoutError):
        await ask("one", model=ScriptedModel([Step("late", gate=anyio.sleep_forever)]), timeout=0.05)
    with record(tape), pytest.raises(ModelTimeoutError):
        await ask("one", model=ForbiddenModel(), timeout=0.05)


def test_the_blocking_verbs_and_the_default_mesh_take_part(tape: Path) -> None:
    def talk(model: Any) -> list[str]:
        agent = LlmAgent("tutor", model)
        with BlockingMesh() as mesh:
            mesh.add(other := LlmAgent("other", model))
            return [agent.send_message("one"), *agent.blocking.stream("two"), other.send_message("three")]

    with record(tape):
        recorded = talk(ScriptedModel(["1", "2", "3"]))
    with record(tape):
        assert talk(ForbiddenModel()) == recorded == ["1", "2", "3"]


async def test_an_agent_that_spoke_before_the_block_takes_part_in_it(tape: Path) -> None:
    model = ScriptedModel(["before", "recorded", "after"])
    async with Mesh() as mesh:
        mesh.add(agent := LlmAgent("tutor", model))
        assert await agent.send_message_async("0") == "before"
        with record(tape):
            assert await agent.send_message_async("1") == "recorded"
        with record(tape):
            assert await agent.send_message_async("1") == "recorded"
        assert await agent.send_message_async("2") == "after"


async def test_a_model_with_others_to_fall_back_on_is_recorded_as_one(tape: Path) -> None:
    async def talk(*models: Any) -> str:
        async with Mesh() as mesh:
            mesh.add(agent := LlmAgent("tutor", models[0], fallback=list(models[1:])))
            return await agent.send_message_async("one")

    with record(tape):
        first = ScriptedModel([ModelTimeoutError("first::model", 1.0)] * 9, name="first::model")
        assert await talk(first, ScriptedModel(["from the second"], name="second::model")) == "from the second"
    with record(tape):
        assert await talk(ForbiddenModel("first::model"), ForbiddenModel("second::model")) == "from the second"


# -- modes -------------------------------------------------------------------------------------------------------------


async def test_a_block_that_fails_leaves_no_cassette(tape: Path) -> None:
    with pytest.raises(ZeroDivisionError), record(tape):
        await ask("one")
        _ = 1 / 0

    assert not files_beside(tape)


async def test_mode_replay_and_the_variable_0_never_record(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CassetteError, match=r"there is no cassette .*CEYLON_RECORD=1"), record(tape, mode="replay"):
        pass
    monkeypatch.setenv("CEYLON_RECORD", "0")
    with pytest.raises(CassetteError, match="there is no cassette"), record(tape):
        pass
    monkeypatch.setenv("CEYLON_RECORD", "1")
    with pytest.raises(CassetteError, match="there is no cassette"), record(tape, mode="replay"):
        pass


async def test_mode_record_and_the_variable_1_record_anew(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record(tape):
        await ask("one")
    with record(tape, mode="record") as recording:
        await ask("two")
    assert not recording.is_replay
    assert "text: two" in text_of(tape)
    monkeypatch.setenv("CEYLON_RECORD", "1")
    with record(tape):
        await ask("three")
    assert "text: three" in text_of(tape)
    monkeypatch.setenv("CEYLON_RECORD", "always")
    with pytest.raises(CassetteError, match="it can be 1"), record(tape):
        pass


async def test_a_decorated_function_is_recorded_and_replayed_each_time_it_is_called(tape: Path) -> None:
    @record(tape)
    async def talk(model: Any) -> list[str]:
        """Talk."""
        return await ask("one", model=model)

    assert talk.__doc__ == "Talk."
    assert await talk(ScriptedModel(["1"])) == await talk(ForbiddenModel()) == ["1"]


def test_a_decorated_plain_function_is_too(tape: Path) -> None:
    @record(tape)
    def talk(model: Any) -> str:
        return LlmAgent("tutor", model).send_message("one")

    assert talk(ScriptedModel(["1"])) == talk(ForbiddenModel()) == "1"


def test_one_cassette_at_a_time(tape: Path) -> None:
    with record(tape):
        with pytest.raises(CassetteError, match=r"tea\.cassette is in use"), record(tape.with_name("other.cassette")):
            pass
        with pytest.raises(CassetteError, match="is in use"), record(tape):
            pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a value 0 columns in is missing"),
        ("cassette: 1\n  exchanges: 3\n", "line 2"),
        ("cassette: 1\nexchanges: tea\n", "Expected `array`"),
        ("cassette: 2\n", "of version 2"),
        ("cassette: {[\n", "neither plain text nor JSON"),
    ],
)
def test_a_file_that_is_no_cassette_is_refused_with_its_line(tape: Path, text: str, words: str) -> None:
    tape.parent.mkdir()
    tape.write_text(text)

    with pytest.raises(CassetteError, match=words), record(tape):
        pass


# -- the checks can fail -----------------------------------------------------------------------------------------------


async def test_a_replay_that_is_tampered_with_is_not_the_same_transcript(tape: Path) -> None:
    with record(tape):
        recorded = await ask("one", "two")
    change(tape, "answer 1", "answer X")

    with record(tape):
        assert await ask("one", "two", model=ForbiddenModel()) != recorded


async def test_a_question_that_is_tampered_with_is_found(tape: Path) -> None:
    with record(tape):
        await ask("one")
    change(tape, "text: one", "text: uno")

    with pytest.raises(CassetteError, match=r"-      text: uno\n\+      text: one"), record(tape):
        await ask("one", model=ForbiddenModel())


async def test_the_error_reaches_who_asks_over_the_mesh(tape: Path) -> None:
    with record(tape):
        await ask("one")

    with pytest.raises(CassetteError, match="text: two"), record(tape):
        async with Mesh() as mesh:
            tutor = mesh.add(LlmAgent("tutor", ForbiddenModel()))
            with pytest.raises(HandlerError) as caught:
                await tutor.ask("two")
            assert isinstance(caught.value.root, CassetteError)


# -- a replay beside the governor --------------------------------------------------------------------------------------


_PATIENT = msgspec.structs.replace(DEFAULTS, model_first_part_timeout=3_600.0)  # longer than all pauses of a request


def patient(backend: str, path: Path, seed: int, model: Any = None) -> tuple[list[Any], float]:
    """Play the run *seed* with the retries and pauses of every day; return its transcript, and how long it took."""

    async def play() -> tuple[list[Any], float]:
        began = anyio.current_time()
        with record(path):
            heard = await transcript(seed, model, settings=_PATIENT)
        return heard, anyio.current_time() - began

    return run_virtually(backend, play)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_runs_that_were_refused_and_timed_out_replay_the_same_and_wait_for_nothing(
    tmp_path: Path, backend: str
) -> None:
    waited = 0.0
    for seed in range(12):
        path = tmp_path / f"{seed}.cassette"
        recorded, seconds = patient(backend, path, seed)
        replayed, again = patient(backend, path, seed, ForbiddenModel())

        assert replayed == recorded, seed
        assert again < 0.01
        waited += seconds
    assert waited > 10.0


async def test_a_replay_counts_what_was_spent_and_what_is_left_of_a_budget(tape: Path) -> None:
    async def run(model: Any) -> tuple[Any, Any]:
        async with Mesh("market") as mesh:
            mesh.add(LlmAgent("tutor", model, prices={"scripted::model": (1.0, 10.0)}))
            frugal = mesh.add(Frugal("frugal"))
            left = await frugal.using(budget=Budget(tokens=5_000, usd=1.0, calls=5)).ask("go")
            return left, mesh.statistics().spending.total

    usage = Usage(input=100, output=20)
    with record(tape):
        recorded = await run(ScriptedModel([Reply(text="yes", usage=usage)] * 2))
    with record(tape):
        replayed = await run(ForbiddenModel())

    assert replayed == recorded
    assert recorded[0].tokens == 5_000 - 240
    assert recorded[1].requests == 2


class Frugal(Agent):
    """Asks twice, once for a stream, and says what is left."""

    async def on_message(self, message: str, context: Context) -> Any:
        await context.ask("tutor", message)
        async with context.stream("tutor", message) as parts:
            async for _ in parts:
                pass
        return context.budget


# -- files that somebody has edited ------------------------------------------------------------------------------------

ANSWERED = "    reply:\n      text: answer 0\n      model: scripted::model\n"


def failing(*lines: str) -> str:
    return "    error:\n" + "".join(f"      {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (ANSWERED, "", "exchange 1 cannot be replayed: .*no reply"),
        (ANSWERED, failing("kind: os.system", "words: x"), "exchange 1 .*no kind of error"),
        (ANSWERED, failing("kind: KeyboardInterrupt", "words: x"), "no kind of error"),
        (ANSWERED, failing("words: x"), "exchange 1 cannot be replayed"),
        (ANSWERED, "    reply:\n      txt: answer 0\n", "exchange 1 cannot be replayed.*text"),
        (ANSWERED, "    reply:\n      text: 5\n", "exchange 1 cannot be replayed.*str"),
        (ANSWERED, "    replay:\n      text: answer 0\n", "unknown field `replay`"),
        (ANSWERED, "    parts:\n      - bogus: x\n" + ANSWERED, "exchange 1 cannot be replayed"),
        (ANSWERED, ANSWERED * 2, "'reply' is there twice"),
        (ANSWERED, f"<<<<<<< HEAD\n{ANSWERED}=======\n{ANSWERED}>>>>>>> other\n", "conflict markers of a merge"),
        ("exchanges:", "exchanges: []\nexchanges:", "'exchanges' is there twice"),
        ("exchanges:", "models:\n  m:\n    tools: maybe\nexchanges:", "abilities of m cannot be"),
    ],
)
async def test_an_edit_that_no_replay_can_follow_is_told_before_anything_runs(
    tape: Path, old: str, new: str, words: str
) -> None:
    with record(tape):
        await ask("one", "two")
    assert old in text_of(tape)
    put(tape, text_of(tape).replace(old, new, 1))

    with pytest.raises(CassetteError, match=words), record(tape, mode="replay"):
        raise AssertionError("it has begun")


@pytest.mark.parametrize("spoil", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
async def test_a_cassette_that_an_editor_or_git_has_saved_its_own_way_is_the_same(
    tape: Path, spoil: Callable[[str], str]
) -> None:
    with record(tape):
        await ask("one\ntwo", "three")
    put(tape, spoil(text_of(tape)))

    with record(tape):
        assert await ask("one\ntwo", "three", model=ForbiddenModel()) == ["answer 0", "answer 1"]


@pytest.mark.parametrize("mode", ["record", "replay"])
async def test_a_directory_is_no_cassette_and_nothing_is_left_beside_it(tape: Path, mode: Any) -> None:
    os.makedirs(tape)  # noqa: PTH103 – no path method in an async function

    with pytest.raises(CassetteError, match=r"cannot be (read|written)"), record(tape, mode=mode):
        await ask("one")

    assert list(tape.parent.iterdir()) == [tape]


@pytest.mark.parametrize(
    "secret", ["AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "xoxb-1234-5678-abcdefgh"]
)
async def test_the_keys_of_other_services_are_known_by_their_shape(tape: Path, secret: str) -> None:
    with record(tape):
        await ask(f"it is {secret}, really")

    assert secret not in text_of(tape)
    assert "it is <secret 1>, really" in text_of(tape)
