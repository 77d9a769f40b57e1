"""Classes of a user's own on top of `LlmAgent`: with an `__init__`, handlers, actions and hooks, in any mesh."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from ceylon import BlockingContext, Context, LlmAgent, Mesh, Message, Ref, action, default_mesh, on
from ceylon.core.ports import OnFailure
from ceylon.models.scripted import ScriptedModel
from ceylon.testing.model_server import ModelServer
from support.leftovers import eventually, wait_until_collected
from support.llm import llm_of


class Translate(Message[str]):
    text: str


class TranslateBlocking(Message[str]):
    text: str


class Translator(LlmAgent):
    """Asks its own model from its handlers and actions, and keeps `self` wherever user code may."""

    def __init__(self, name: str, url: str, language: str = "Sinhala", **options: Any) -> None:
        super().__init__(name, "openai::test-model", base_url=url, api_key="sk-none", **options)
        self.language = language
        self.asked = 0
        self.kept: list[Any] = []

    @on
    async def translate(self, wish: Translate, context: Context) -> str:
        self.asked += 1
        self.kept.append(self)
        return await self.send_message_async(f"{wish.text} in {self.language}")

    @on
    def translate_blocking(self, wish: TranslateBlocking, context: BlockingContext) -> str:
        self.asked += 1
        return self.send_message(f"{wish.text} in {self.language}")

    async def on_message(self, message: Any, context: Context) -> str:
        return f"{await self.conversation('all').send(str(message))}!"

    @action
    async def count(self) -> int:
        """How often it was asked."""
        return self.asked

    @action
    def shout(self, text: str) -> str:
        """Translate loudly."""
        return self.send_message(text).upper()


@contextlib.asynccontextmanager
async def _in_a_mesh(agent: LlmAgent, where: str) -> AsyncIterator[Ref]:
    """Give a ref to *agent*, in a mesh of its own or in the default one."""
    if where == "the default mesh":
        await agent.conversation("warm up").history()
        yield agent.ref
    else:
        async with Mesh() as mesh:
            yield mesh.add(agent)


@pytest.fixture(params=["a mesh", "the default mesh"])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_handlers_and_actions_work_and_may_ask_the_agent_s_own_model(
    where: str, server: ModelServer, anyio_backend: str
) -> None:
    agent = Translator("translator", server.openai_url, language="Tamil")
    async with _in_a_mesh(agent, where) as translator:
        assert await translator.ask(Translate("tea")) == "echo: tea in Tamil"
        assert await translator.ask(TranslateBlocking("tea")) == "echo: tea in Tamil"
        assert await translator.call("count") == 2
        assert await translator.call("shout", text="tea") == "ECHO: TEA"
        assert agent.asked == 2


async def test_an_on_message_of_its_own_does_not_take_what_the_verbs_send(
    where: str, server: ModelServer, anyio_backend: str
) -> None:
    agent = Translator("translator", server.openai_url)
    async with _in_a_mesh(agent, where) as translator:
        assert await translator.ask("hi") == "echo: hi!"
        assert await agent.send_message_async("hi") == "echo: hi"
        assert len(await agent.conversation("all").history()) == 2


async def test_what_a_handler_keeps_of_self_is_the_agent(where: str, server: ModelServer, anyio_backend: str) -> None:
    agent = Translator("translator", server.openai_url)
    async with _in_a_mesh(agent, where) as translator:
        await translator.ask(Translate("tea"))

        assert agent.kept == [agent]
        assert agent.kept[0] is agent
        agent.kept.clear()


@pytest.mark.parametrize("message", [Translate("tea"), TranslateBlocking("tea")], ids=["async", "sync"])
@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_handlers_that_wait_for_their_own_model_do_not_wait_for_each_other(
    concurrency: int, message: Message[str], where: str, server: ModelServer, anyio_backend: str
) -> None:
    agent, answers = Translator("translator", server.openai_url, concurrency=concurrency), list[str]()

    async def ask() -> None:
        answers.append(await translator.ask(message, timeout=30))

    async with _in_a_mesh(agent, where) as translator, anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(ask)

    assert answers == ["echo: tea in Sinhala"] * 30
    assert server.most_in_flight <= concurrency


class Twofold(LlmAgent):
    """Streams its own model's answer, and goes on with the conversation that it was addressed in."""

    @on
    async def stream_on(self, wish: Translate, context: Context) -> AsyncIterator[str]:
        async for delta in self.stream(wish.text):
            yield delta.upper()

    @on
    async def go_on(self, wish: TranslateBlocking, context: Context) -> str:
        chat = self.conversation(context.recipient.partition("/")[2])
        await chat.send(wish.text)
        return await chat.send("and on")


async def test_handlers_that_stream_their_own_model_do_not_wait_for_each_other(
    server: ModelServer, anyio_backend: str
) -> None:
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        twofold = mesh.add(llm_of(Twofold, server, concurrency=2))
        for _ in range(10):
            tasks.start_soon(_stream_to_the_end, twofold)

    assert server.answered == 10


async def _stream_to_the_end(ref: Ref) -> None:
    assert "".join(await ref.stream(Translate("tea"), timeout=30).result()) == "ECHO: TEA"


async def test_a_handler_may_go_on_with_the_conversation_it_was_addressed_in(
    server: ModelServer, anyio_backend: str
) -> None:
    agent = llm_of(Twofold, server, concurrency=2)
    async with Mesh() as mesh:
        mesh.add(agent)
        assert await mesh.ask("tutor/alice", TranslateBlocking("tea"), timeout=30) == "echo: and on"

        assert len(await agent.conversation("alice").history()) == 4


async def test_a_fan_out_inside_a_handler_keeps_to_the_limit(server: ModelServer, anyio_backend: str) -> None:
    class Many(LlmAgent):
        @on
        async def many(self, wish: Translate) -> list[str]:
            return await self.send_messages_async([f"{wish.text} {number}" for number in range(20)])

    async with Mesh() as mesh:
        many = mesh.add(llm_of(Many, server, concurrency=3))

        answers: Any = await many.ask(Translate("tea"), timeout=30)
        assert answers == [f"echo: tea {number}" for number in range(20)]
    assert server.most_in_flight <= 4  # the handler lends its slot meanwhile


# -- hooks -------------------------------------------------------------------------------------------------------------


class Noted(LlmAgent):
    """Notes what is done with it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        super().__init__(name, ScriptedModel(["hello"] * 3))
        self.notes = notes

    async def on_start(self, context: Context) -> None:
        self.notes.append(f"started in {context.interior.name}")

    def on_stop(self, context: BlockingContext) -> None:
        self.notes.append(f"stopped in {context.interior.name}")


def test_hooks_run_in_the_default_mesh_also_when_the_last_reference_is_gone() -> None:
    notes: list[str] = []
    agent = Noted("noted", notes)
    assert agent.send_message("hi") == "hello"
    del agent

    wait_until_collected(lambda: notes == ["started in default", "stopped in default"])


async def test_a_move_ends_one_stay_before_it_begins_the_next(anyio_backend: str) -> None:
    notes: list[str] = []
    agent = Noted("noted", notes)
    await agent.send_message_async("hi")
    async with Mesh("market") as mesh:
        mesh.add(agent)
        await agent.send_message_async("hi")

    stays = [f"{what} in {where}" for where in ("default", "market") for what in ("started", "stopped")]
    assert notes == stays


class Connected(LlmAgent):
    """Has a lifespan, which holds it."""

    is_connected = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        self.is_connected = True
        try:
            yield
        finally:
            self.is_connected = False

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        async with self.connection():
            yield


async def test_a_lifespan_is_left_where_it_was_entered_when_the_agent_moves(
    server: ModelServer, anyio_backend: str
) -> None:
    agent = llm_of(Connected, server)
    await agent.send_message_async("hi")
    assert agent.is_connected
    async with Mesh() as mesh:
        mesh.add(agent)
        await agent.send_message_async("hi")
        assert agent.is_connected

    await eventually(lambda: not agent.is_connected)


class Fragile(LlmAgent):
    on_failure: OnFailure = "restart"
    made = 0

    def __init__(self, name: str, model: ScriptedModel) -> None:
        super().__init__(name, model)
        type(self).made += 1


class Decided(LlmAgent):
    decided = 0

    def on_failure(self, error: BaseException, envelope: Any) -> str:  # type: ignore[override]
        type(self).decided += 1
        return "resume"


def test_a_restart_in_the_default_mesh_keeps_the_handle_working() -> None:
    before = Fragile.made
    agent = Fragile("fragile", ScriptedModel([ValueError("oh"), "risen"]))
    with pytest.raises(ValueError, match="oh"):
        agent.send_message("burn")

    assert agent.send_message("rise") == "risen"
    assert Fragile.made == before + 2


def test_an_agent_that_was_restarted_leaves_with_its_first_handle(names_left: Callable[[str], list[str]]) -> None:
    agent = Fragile("fragile", ScriptedModel([ValueError("oh"), "risen"]))
    with contextlib.suppress(ValueError):
        agent.send_message("burn")
    agent.send_message("rise")
    del agent

    wait_until_collected(lambda: not names_left("fragile"))


def test_a_class_may_decide_by_a_function_of_its_own() -> None:
    agent = Decided("decided", ScriptedModel([ValueError("oh"), "on we go"]))
    with pytest.raises(ValueError, match="oh"):
        agent.send_message("burn")

    assert agent.send_message("well?") == "on we go"
    assert Decided.decided == 1


@pytest.fixture
def names_left() -> Callable[[str], list[str]]:
    """A function that says which addresses in the default mesh begin with a name."""
    return lambda name: [address for address in default_mesh().agents if address.startswith(f"{name}$")]
