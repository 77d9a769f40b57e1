"""Actions that ask first: nothing runs but what was shown, to whoever asks, once, and only after a yes."""

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec
import pytest

from ceylon import (
    Agent,
    ApprovalDesk,
    ApprovalRequest,
    Approved,
    AskTimeoutError,
    BlockingContext,
    Budget,
    CeylonError,
    Context,
    Denied,
    LlmAgent,
    Mesh,
    Ref,
    TerminalApprover,
    ToolCall,
    action,
    on,
)
from ceylon.agents.approvers import question, visible
from ceylon.errors import (
    ActionArgumentsError,
    ApprovalDeniedError,
    ArgumentError,
    BudgetError,
    HandlerError,
    InterruptedTurnError,
)
from ceylon.models.scripted import ScriptedModel
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, check_history, run_simulation
from ceylon.testing.sabotage import unbind_approvals
from support.turns import results, run_at_once, wants

EPISODES: Final = 10  # in one run


class Order(msgspec.Struct):
    """What is bought."""

    item: str
    count: int = 1


@contextlib.contextmanager
def any_end() -> Generator[None]:
    """Bear whatever Ceylon says: what counts is what was done."""
    with contextlib.suppress(CeylonError):
        yield


class Till(LlmAgent):
    """Pays, if the operator says so."""

    def _begin(self) -> None:
        super()._begin()
        self.paid: list[Any] = []

    @action(effect=True, approve="operator")
    async def pay(self, amount: int, note: str = "") -> str:
        """Pay somebody."""
        self.paid.append((amount, note))
        return f"paid {amount}"

    @action(effect=True, approve="operator")
    def buy(self, order: Order) -> str:
        """Buy something, in a thread."""
        self.paid.append(order)
        return order.item

    @action(approve="operator")
    def look(self, context: BlockingContext) -> str:
        """Look at something private."""
        self.paid.append("looked")
        return context.address


class Safe(Agent):
    """Pays out of a box, without a model."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.paid: list[int] = []

    @action(effect=True, approve="operator")
    def pay(self, amount: int) -> str:
        """Pay somebody."""
        self.paid.append(amount)
        return f"paid {amount}"


class Operator(Agent):
    """Answers as it is told to, and keeps what it was asked."""

    concurrency = 8

    def __init__(self, name: str = "operator", *answers: Any) -> None:
        super().__init__(name)
        self.answers: list[Any] = list(answers)
        self.asked: list[ApprovalRequest] = []

    @on
    async def decide(self, request: ApprovalRequest) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else Approved()
        if callable(answer):
            answering: Any = answer
            return await answering(request)
        return answer


def till(*steps: Any, **options: Any) -> Till:
    return Till("till", ScriptedModel(steps), **options)


def pay(number: str = "1", amount: Any = 5, **more: Any) -> ToolCall:
    return ToolCall(number, "pay", {"amount": amount, **more})


async def test_a_call_of_the_model_runs_after_a_yes_with_what_was_shown(mesh: Mesh) -> None:
    operator = Operator()
    mesh.add(operator)
    agent = till(wants(pay(note="rent")), "done")
    mesh.add(agent)

    assert await agent.send_message_async("pay the rent") == "done"

    (request,) = operator.asked
    assert (request.agent, request.action, request.arguments) == ("till", "pay", {"amount": 5, "note": "rent"})
    assert request.call == "1"
    assert agent.paid == [(5, "rent")]
    assert (agent.calls.called, agent.calls.denied) == (1, 0)


async def test_a_no_is_told_to_the_model_and_counted_and_nothing_runs(mesh: Mesh) -> None:
    mesh.add(Operator("operator", Denied("too much")))
    agent = till(wants(pay()), "a pity")
    mesh.add(agent)

    reply = await agent.complete("pay")

    (result,) = reply.turns[1].results
    assert result.is_error
    assert "'operator': too much" in result.text
    assert (agent.paid, agent.calls.denied) == ([], 1)


@pytest.mark.parametrize("answer", [None, True, "yes", "Approved", Approved("another")])
async def test_only_an_approved_for_this_request_is_a_yes(mesh: Mesh, answer: Any) -> None:
    mesh.add(Operator("operator", answer))
    agent = till(wants(pay()), "a pity")
    mesh.add(agent)
    await agent.complete("pay")

    assert (agent.paid, agent.calls.denied) == ([], 1)


async def test_without_an_approver_nothing_runs(mesh: Mesh) -> None:
    agent = till(wants(pay()), "a pity")
    mesh.add(agent)

    assert "UnknownAgentError" in results(await agent.complete("pay"))[0]
    with pytest.raises(ApprovalDeniedError, match="could not be asked"):
        await agent.ref.call("pay", amount=1)
    assert agent.paid == []


async def test_an_approver_that_fails_is_no_yes(mesh: Mesh) -> None:
    async def fail(_: ApprovalRequest) -> None:
        message = "no idea"
        raise RuntimeError(message)

    mesh.add(Operator("operator", fail))
    agent = till(wants(pay()), "a pity")
    mesh.add(agent)

    assert "no idea" in results(await agent.complete("pay"))[0]
    assert agent.paid == []


async def test_over_the_mesh_whoever_calls_is_asked_for_and_gets_a_typed_error(mesh: Mesh) -> None:
    operator = Operator("operator", Approved(), Denied("closed"), Approved(), Denied(), Approved())
    mesh.add(operator)
    ref = mesh.add(till())
    agent = ref.__ceylon_target__
    assert isinstance(agent, Till)

    assert await ref.call("pay", amount=1) == "paid 1"
    with pytest.raises(ApprovalDeniedError) as caught:
        await ref.call("pay", amount=2)
    assert await ref.call("buy", order={"item": "tea"}) == "tea"
    with pytest.raises(ApprovalDeniedError):
        await ref.call("buy", order=Order("gold"))
    assert await ref.call("look") == "till"

    assert (caught.value.agent, caught.value.action, caught.value.approver) == ("till", "pay", "operator")
    assert agent.paid == [(1, ""), Order("tea"), "looked"]
    assert operator.asked[2].arguments == {"order": {"item": "tea", "count": 1}}
    assert len({request.digest for request in operator.asked}) == 5


async def test_another_agents_model_is_no_way_round(mesh: Mesh) -> None:
    mesh.add(Operator("operator", Denied("no"), Approved()))
    target = Safe("safe")
    ref = mesh.add(target)
    caller = LlmAgent("caller", ScriptedModel([wants(pay("1"), pay("2")), "done"]), tools=[ref])
    mesh.add(caller)

    reply = await caller.complete("pay")

    assert sorted(result.is_error for result in reply.turns[1].results) == [False, True]
    assert len(target.paid) == 1
    assert (caller.calls.called, caller.calls.denied) == (1, 1)


async def test_a_function_given_as_a_tool_asks_too(mesh: Mesh) -> None:
    sent: list[str] = []

    @action(approve="operator")
    def send(text: str) -> None:
        """Send a letter."""
        sent.append(text)

    mesh.add(Operator("operator", Denied("no"), Approved()))
    steps = [wants(ToolCall(str(number), "send", {"text": f"letter {number}"})) for number in (1, 2)]
    agent = LlmAgent("clerk", ScriptedModel([*steps, "done"]), tools=[send])
    mesh.add(agent)
    await agent.complete("send")

    assert sent == ["letter 2"]


async def test_wrong_arguments_are_not_even_asked_for(mesh: Mesh) -> None:
    operator = Operator()
    mesh.add(operator)
    agent = till(wants(pay(amount="much")), "a pity")
    ref = mesh.add(agent)
    await agent.complete("pay")
    with pytest.raises(ActionArgumentsError):
        await ref.call("pay", amount="much")

    assert (operator.asked, agent.calls.invalid) == ([], 1)


async def test_what_cannot_be_shown_as_data_is_not_run(mesh: Mesh) -> None:
    class Mover(Agent):
        """Moves anything."""

        @action(approve="operator")
        async def move(self, thing):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            """Move it."""
            moved.append(thing)

    moved: list[object] = []
    operator = Operator()
    mesh.add(operator)
    ref = mesh.add(Mover("mover"))
    with pytest.raises(ActionArgumentsError, match="cannot be shown to 'operator'"):
        await ref.call("move", thing=object())
    await ref.call("move", thing={"a": (1, 2)})

    assert moved == [{"a": [1, 2]}]
    assert [request.arguments for request in operator.asked] == [{"thing": {"a": [1, 2]}}]


async def test_what_is_changed_after_it_was_shown_changes_nothing(mesh: Mesh) -> None:
    call = pay(amount=5)
    given = {"item": "tea"}

    async def change(request: ApprovalRequest) -> Approved:
        request.arguments["amount"] = call.arguments["amount"] = 1_000_000
        if request.action == "buy":
            given["item"] = "gold"
        return Approved(request.digest)

    mesh.add(Operator("operator", change, change))
    agent = till(wants(call), "done")
    ref = mesh.add(agent)
    await agent.complete("pay")
    await ref.call("buy", order=given)

    assert agent.paid == [(5, ""), Order("tea")]


async def test_an_answer_that_was_given_once_is_good_for_nothing_else(mesh: Mesh) -> None:
    kept: list[Approved] = []

    async def keep(request: ApprovalRequest) -> Approved:
        kept.append(Approved(request.digest))
        return kept[0]

    mesh.add(Operator("operator", keep, keep, keep))
    agent = till(wants(pay("1")), wants(pay("2")), "done", wants(pay("1")), "done")
    mesh.add(agent)
    await agent.complete("pay")
    await agent.complete("pay again")

    assert agent.paid == [(5, "")]
    assert agent.calls.denied == 2


async def test_a_plain_handler_is_asked_on_the_loop_so_no_thread_is_held(mesh: Mesh) -> None:
    async def look(_: ApprovalRequest) -> Approved:
        threads.append(mesh.statistics().threads.running)
        return Approved()

    threads: list[int] = []
    mesh.add(Operator("operator", look))
    ref = mesh.add(till())
    await ref.call("buy", order=Order("tea"))

    assert threads == [0]


# -- waiting -----------------------------------------------------------------------------------------------------------


class Chain(Agent):
    """Asks the next one, with little patience."""

    handler_timeout = 2.0

    def __init__(self, name: str, below: str) -> None:
        super().__init__(name)
        self.below = below
        self.left: float | None = None

    @on
    async def go(self, wish: str, context: Context) -> Any:
        answer = await context.ask(self.below, wish, timeout=1.5)
        self.left = context.remaining
        return answer


class Thread(Chain):
    """The same in a thread."""

    @on
    def go(self, wish: str, context: BlockingContext) -> Any:  # type: ignore[override]
        return context.ask(self.below, wish, timeout=1.2)


class Streamed(Chain):
    """The same for a stream, with little patience between its parts."""

    @on
    async def go(self, wish: str, context: Context) -> Any:
        async with context.stream(self.below, wish, timeout=1.0, idle_timeout=0.5) as parts:
            return [type(part).__name__ async for part in parts][-1]


def slow(seconds: float, answer: Any) -> Callable[[ApprovalRequest], Awaitable[Any]]:
    async def wait(_: ApprovalRequest) -> Any:
        await anyio.sleep(seconds)
        return answer

    return wait


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kinds", [(Chain, Chain), (Streamed, Chain), (Thread, Chain)])
def test_waiting_for_a_person_stops_the_clock_of_everyone_who_waits(backend: str, kinds: tuple[Any, ...]) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved()), slow(300, Approved())))
            agent = till(wants(pay("1"), pay("2")), wants(pay("3")), "done", timeout=0.8)
            mesh.add(agent)
            inner, outer = kinds[0]("inner", "till"), kinds[1]("outer", "inner")
            mesh.add(inner)
            ref = mesh.add(outer)

            assert await ref.ask("pay", timeout=1.9) in {"done", "ReplyPart"}
            assert len(agent.paid) == 3
            assert outer.left is not None
            assert 0 < outer.left <= 1.9

    run_at_once(program, backend)


def test_what_was_left_of_the_time_is_what_is_left_afterwards() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved())))

            async def dawdle() -> str:
                await anyio.sleep(3.0)
                return "late"

            agent = till(wants(pay()), lambda _: dawdle())
            ref = mesh.add(agent)
            began = anyio.current_time()
            with pytest.raises(AskTimeoutError):
                await ref.ask("pay", timeout=2.0)
            assert anyio.current_time() - began == pytest.approx(502.0, abs=0.5)
            assert agent.paid

    run_at_once(program)


def test_an_action_of_another_agent_stops_the_clock_of_the_one_whose_model_calls_it() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved())))
            ref = mesh.add(Safe("safe"))
            caller = LlmAgent("caller", ScriptedModel([wants(pay()), "done"]), tools=[ref], timeout=1)
            mesh.add(caller)
            assert results(await caller.complete("look")) == ["paid 5"]

    run_at_once(program)


def test_nobody_who_answers_in_time_is_a_no() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            operator = Operator("operator", slow(601, Approved()), slow(601, Approved()))
            mesh.add(operator)
            agent = till(wants(pay()), "a pity")
            ref = mesh.add(agent)
            began = anyio.current_time()
            assert "600 s" in results(await agent.complete("pay"))[0]
            assert anyio.current_time() - began == pytest.approx(DEFAULTS.approval_timeout, abs=1.0)
            with pytest.raises(ApprovalDeniedError, match="did not answer"):
                await ref.call("pay", amount=1)
            await anyio.sleep(1000)
            assert agent.paid == []

    run_at_once(program)


async def test_whoever_leaves_takes_the_question_back(mesh: Mesh) -> None:
    desk = mesh.add(ApprovalDesk("operator"))
    ref, requests = mesh.add(till()), list[ApprovalRequest]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ref.call("pay", amount=1))
        requests += await waiting(desk)
        tasks.cancel_scope.cancel()
    while await desk.call("waiting"):
        await anyio.lowlevel.checkpoint()
    with pytest.raises(HandlerError) as caught:
        await desk.call("approve", digest=requests[0].digest)

    assert isinstance(caught.value.root, ArgumentError)
    agent = ref.__ceylon_target__
    assert isinstance(agent, Till)
    assert agent.paid == []


async def test_a_stop_takes_the_question_back_and_nothing_runs_afterwards(mesh: Mesh) -> None:
    desk = mesh.add(ApprovalDesk("operator"))
    agent = till(wants(pay("1")), wants(pay("2")), "done")
    ref = mesh.add(agent)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            with any_end():
                await ref.ask("pay")

        tasks.start_soon(run)
        (request,) = await waiting(desk)
        await mesh.stop("till", at_once=True)
        with pytest.raises(HandlerError):
            await desk.call("approve", digest=request.digest)

    assert agent.paid == []


async def test_an_interruption_takes_the_question_back_too(mesh: Mesh) -> None:
    desk = mesh.add(ApprovalDesk("operator"))
    agent = till(wants(pay("1")), "stopped")
    mesh.add(agent)
    chat = agent.conversation("alice")
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send("pay")

        tasks.start_soon(first)
        await waiting(desk)
        assert await chat.send("stop", when="interrupt") == "stopped"

    assert agent.paid == []
    assert await desk.call("waiting") == []
    history = await chat.history()
    assert [result.text for turn in history for result in turn.results] == ["interrupted"]
    assert check_history(history) == []


def test_a_person_who_is_asked_stops_nobody_elses_clock() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved())))
            agent = till(wants(pay()), "done", concurrency=2)
            ref = mesh.add(agent)

            async def other() -> None:
                agent_of_others = LlmAgent("other", ScriptedModel([lambda _: anyio.sleep(1000)]))
                mesh.add(agent_of_others)
                with pytest.raises(AskTimeoutError):
                    await mesh.ask("other", "hi", timeout=5)
                assert anyio.current_time() < 100

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other)
                assert await ref.ask("pay", timeout=2.0) == "done"

    run_at_once(program)


# -- desks and terminals -----------------------------------------------------------------------------------------------


async def waiting(desk: Ref, number: int = 1) -> list[ApprovalRequest]:
    """Return the open requests when there are so many."""
    while len(found := await desk.call("waiting")) < number:
        await anyio.lowlevel.checkpoint()
    return list(found)


async def test_a_desk_lets_another_handler_answer_later(mesh: Mesh) -> None:
    desk = mesh.add(ApprovalDesk("operator"))
    agent = till(wants(pay("1", 1), pay("2", 2), pay("3", 3)), "done")
    mesh.add(agent)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.complete, "pay")
        requests = await waiting(desk, 3)
        by_amount = {request.arguments["amount"]: request.digest for request in requests}
        await desk.call("approve", digest=by_amount[2])
        await desk.call("deny", digest=by_amount[1], reason="not that")
        await desk.call("deny", digest=by_amount[3])

    assert agent.paid == [(2, "")]
    assert (agent.calls.called, agent.calls.denied) == (1, 2)


async def test_a_desk_answers_each_request_once(mesh: Mesh) -> None:
    desk = mesh.add(ApprovalDesk("operator"))
    ref = mesh.add(till())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ref.call("pay", amount=1))
        (request,) = await waiting(desk)
        await desk.call("approve", digest=request.digest)
        with pytest.raises(HandlerError, match="it was decided"):
            await desk.call("approve", digest=request.digest)


def request_for(**arguments: Any) -> ApprovalRequest:
    return ApprovalRequest("till", "pay", arguments, "run", "1", "digest")


class FakeTerminal(io.StringIO):
    """Standard input that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "is_yes"),
    [
        ("yes\n", 1),
        ("y\n", 1),
        (" YES \n", 1),
        ("no\n", 0),
        ("\n", 0),
        ("yes please\n", 0),
        ("", 0),
    ],
)
async def test_on_a_terminal_anything_but_a_yes_is_a_no(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, is_yes: int
) -> None:
    monkeypatch.setattr(sys, "stdin", FakeTerminal(line))
    mesh.add(TerminalApprover("operator"))
    ref = mesh.add(till())
    agent = ref.__ceylon_target__
    assert isinstance(agent, Till)
    if is_yes:
        await ref.call("pay", amount=7)
    else:
        with pytest.raises(ApprovalDeniedError):
            await ref.call("pay", amount=7)

    assert agent.paid == [(7, "")] * is_yes
    assert '"amount": 7' in capsys.readouterr().out


async def test_without_a_terminal_it_denies_with_the_reason(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    mesh.add(TerminalApprover("operator"))
    ref = mesh.add(till())

    with pytest.raises(ApprovalDeniedError, match="no terminal"):
        await ref.call("pay", amount=7)


def test_a_person_is_shown_everything_and_nothing_that_deceives() -> None:
    long = "x" * 100_000
    shown = question(request_for(to="\u202egnp.exe\x1b[2J\u200b", note=long, nested={"a": [1, 2.5, None]}, umlaut="ä"))

    assert long in shown
    assert "\\u202egnp.exe" in shown
    assert "ä" in shown
    assert not {char for char in shown if char < " " and char != "\n"}
    assert not set(shown) & {"\u202e", "\u200b", "\x1b"}
    assert visible("a\x07b\U000e0001") == "a\\u0007b\\U000e0001"


# -- interleavings -----------------------------------------------------------------------------------------------------


class Moody(Agent):
    """Approves, denies, approves again what it approved before, or never answers; what it approves is its consent."""

    concurrency = 64

    def __init__(self, simulation: Simulation, consents: Counter[Any]) -> None:
        super().__init__("operator")
        self.random, self.consents = simulation.random, consents
        self.given: list[Approved] = []
        self.open: list[tuple[ApprovalRequest, anyio.Event]] = []
        self.approves_all = False

    @on
    async def decide(self, request: ApprovalRequest) -> Any:
        shown = msgspec.json.encode(request.arguments, order="sorted")
        mood = self.random.choice(["approve", "approve", "deny", "change", "reuse", "expire", "wait"])
        await anyio.sleep(self.random.choice([0.0, 0.0, 0.5, 3.0]))
        if mood == "deny":
            return Denied("not now")
        if mood == "expire":
            await anyio.sleep(1000)
        if mood == "reuse" and self.given:
            return self.random.choice(self.given)
        if mood == "wait":  # until somebody approves all that is open
            entry = (request, anyio.Event())
            self.open.append(entry)
            await entry[1].wait()
        if mood == "change":
            request.arguments["amount"] = 666
        answer = Approved(request.digest)
        self.given.append(answer)
        self.consents[request.run, request.call.partition("_")[0], shown] += 1  # one that came twice has a second id
        return answer

    async def approve_all(self) -> None:
        """Let all that are open be approved, again and again."""
        for _ in range(EPISODES):
            await anyio.sleep(self.random.choice([0.1, 1.0, 4.0]))
            while self.open:
                self.open.pop()[1].set()


class Spender(Till):
    """Writes down what it does, and for which call."""

    def _begin(self) -> None:
        super()._begin()
        self.done: Counter[Any] = Counter()

    @action(effect=True, approve="operator")
    async def spend(self, amount: int, order: str, context: Context) -> str:
        """Spend money."""
        key = msgspec.json.encode({"amount": amount, "order": order}, order="sorted")
        self.done[context.message_id, order.partition(" ")[2], key] += 1
        return "spent"


async def run_interleavings(simulation: Simulation) -> tuple[Counter[Any], Counter[Any]]:
    """Let models and code want effects, all at once; return what was done, and what was consented to."""
    chance, consents = simulation.random, Counter[Any]()
    calls: list[ToolCall] = []

    def answer(_: Any) -> Any:
        number = len(calls)
        if number >= EPISODES or chance.random() < 0.2:
            return "done"
        some = [
            ToolCall(f"c{number + each}", "spend", {"amount": chance.randint(1, 9), "order": f"o c{number + each}"})
            for each in range(chance.randint(1, 3))
        ]
        calls.extend(some)
        return wants(*some, *chance.choices(some, k=chance.randint(0, 1)))  # perhaps one of them twice

    async def tamper() -> None:
        for _ in range(EPISODES):
            await anyio.sleep(chance.choice([0.0, 0.3, 2.0]))
            for call in calls:
                call.arguments["amount"] = 777

    async with simulation.mesh() as mesh:
        moody = Moody(simulation, consents)
        mesh.add(moody)
        agent = Spender("till", ScriptedModel([answer] * 100))
        ref = mesh.add(agent)

        async def call_it(number: int) -> None:
            await anyio.sleep(chance.choice([0.0, 0.5]))
            given = {"amount": number, "order": "o "}
            with any_end():
                await ref.call("spend", **given)

        async def ask_it() -> None:
            with anyio.move_on_after(chance.choice([0.4, 2.0, 5000.0])), any_end():
                await agent.complete("spend")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tamper)
            tasks.start_soon(moody.approve_all)
            for number in range(3):
                tasks.start_soon(ask_it)
                tasks.start_soon(call_it, number)
            await anyio.sleep(1500)
            while moody.open:
                moody.open.pop()[1].set()
    return agent.done, consents


def unapproved(seed: int) -> tuple[Counter[Any], int]:
    """Return what one seed's run has done without a consent, and how many effects were wanted or done."""
    found: list[tuple[Counter[Any], Counter[Any]]] = []

    async def program(simulation: Simulation) -> None:
        found.append(await run_interleavings(simulation))

    outcome = run_simulation(program, seed=seed * 2)
    assert outcome.error is None, f"seed {seed}: {outcome.error!r}"
    (done, consents) = found[0]
    return done - consents, done.total() + consents.total()


def sweep(seeds: range) -> tuple[int, int]:
    """Return how many effects ran without a consent, and how many decisions there were."""
    counted = [unapproved(seed) for seed in seeds]
    return sum(each.total() for each, _ in counted), sum(number for _, number in counted)


def test_no_effect_without_its_own_consent() -> None:
    without, decisions = sweep(range(25))

    assert without == 0
    assert decisions > 100


@pytest.mark.slow
def test_no_effect_without_its_own_consent_in_five_thousand_interleavings() -> None:
    without, decisions = sweep(range(1000, 2500))

    assert without == 0
    assert decisions > 5_000


def test_an_approval_that_is_not_bound_to_its_arguments_is_found() -> None:
    with unbind_approvals():
        without, _ = sweep(range(10))

    assert without > 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kinds", [(Chain, Chain), (Streamed, Chain), (Thread, Chain)])
def test_the_time_of_a_budget_stands_still_while_a_person_is_asked(backend: str, kinds: tuple[Any, ...]) -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved()), slow(300, Approved())))
            agent = till(wants(pay("1"), pay("2")), wants(pay("3")), "done")
            mesh.add(agent)
            inner, outer = kinds[0]("inner", "till"), kinds[1]("outer", "inner")
            mesh.add(inner)
            ref = mesh.add(outer)

            assert await ref.using(budget=Budget(seconds=1.9)).ask("pay") in {"done", "ReplyPart"}
            assert len(agent.paid) == 3

    run_at_once(program, backend)


def test_what_was_left_of_a_budgets_time_is_what_is_left_afterwards() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Operator("operator", slow(500, Approved())))

            async def dawdle() -> str:
                await anyio.sleep(3.0)
                return "late"

            agent = till(wants(pay()), lambda _: dawdle())
            ref = mesh.add(agent)
            began = anyio.current_time()
            with pytest.raises(BudgetError):
                await ref.using(budget=Budget(seconds=2.0)).ask("pay")
            assert anyio.current_time() - began == pytest.approx(502.0, abs=0.5)
            assert agent.paid

    run_at_once(program)
