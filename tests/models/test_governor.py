"""What stands before a model: a line with lanes, pauses that are obeyed once, few further tries, a breaker."""

import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec
import pytest

from ceylon import Budget, Context, LlmAgent, Mesh
from ceylon.agents.seat import Seat
from ceylon.agents.sessions import Sessions
from ceylon.core.budgets import NOTHING, Account
from ceylon.errors import (
    BudgetError,
    HandlerError,
    IncompleteStreamError,
    ModelAuthError,
    ModelError,
    ModelRateLimitError,
    ModelStatusError,
    ModelSuspendedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.governor.asker import Asker
from ceylon.models.governor.breaker import Breaker
from ceylon.models.governor.governor import Governor
from ceylon.models.governor.line import Place
from ceylon.models.governor.passage import Passage
from ceylon.models.turns import Reply, Request, TextPart, Turn, Usage
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import llm
from support.providers import Provider
from support.virtual_time import run_virtually

T = TypeVar("T")
PASSING = [408, 409, 429, 500, 502, 503, 504, 529]
FINAL = [400, 401, 403, 404, 413, 422]


@pytest.fixture(params=["asyncio", "trio"])
def virtually(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run something in virtual time."""
    return functools.partial(run_virtually, request.param)


class Moody(Provider):
    """Ends each request as *says*: an error, or nothing for an answer; then answers for good."""

    def __init__(self, *says: ModelError | None, seconds: float = 0.0, name: str = "openai::moody") -> None:
        super().__init__(name)
        self.says = list(says)
        self.prompts: list[str] = []
        self._seconds = seconds

    async def serve(self, request: Request) -> Reply:
        self.prompts.append(request.turns[-1].text)
        error = self.says.pop(0) if self.says else None
        reply = await super().serve(request)
        if error is not None:
            raise error
        await anyio.sleep(self._seconds)
        return reply


class Always(Moody):
    """Never answers."""

    def __init__(self, error: ModelError) -> None:
        super().__init__()
        self.error = error

    async def serve(self, request: Request) -> Reply:
        self.says.append(self.error)
        return await super().serve(request)


class Slow(Always):
    """Takes a while to say so, so that others wait behind it."""

    async def serve(self, request: Request) -> Reply:
        await anyio.sleep(0.01)
        return await super().serve(request)


def status(number: int, **facts: Any) -> ModelStatusError:
    kind = {429: ModelRateLimitError, 401: ModelAuthError, 403: ModelAuthError}.get(number, ModelStatusError)
    return kind("openai::moody", number, "no", **facts)


async def governor_of(mesh: Mesh, provider: Provider) -> Governor:
    sessions: Sessions = await Seat(mesh.interior, "nobody", 1).sessions()
    return sessions.governor(provider)


async def ask(provider: Provider, *, streamed: bool = False, count: int = 1) -> list[Any]:
    """Ask *count* times, one after the other; return answers and errors."""
    results: list[Any] = []
    agent = LlmAgent("tutor", provider)
    async with Mesh() as mesh:
        mesh.add(agent)
        for _ in range(count):
            try:
                results.append(await (agent.stream("hi").result() if streamed else agent.complete("hi")))
            except ModelError as error:
                results.append(error)
    return results


# -- further tries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("code", PASSING)
def test_a_fault_that_passes_is_met_by_another_try(virtually: Any, code: int, failures: int, streamed: bool) -> None:  # noqa: FBT001 – a parameter
    provider = Moody(*[status(code)] * failures)

    [reply] = virtually(functools.partial(ask, provider, streamed=streamed))

    assert reply.text == "yes"
    assert len(provider.asked) == failures + 1
    pauses = [later - earlier for earlier, later in zip(provider.asked, provider.asked[1:], strict=False)]
    most = [DEFAULTS.retry_first_pause * 2**number for number in range(failures)]
    if code != 429:  # there the line adds its own, see the pace
        assert all(0 <= pause <= longest for pause, longest in zip(pauses, most, strict=True))


@pytest.mark.parametrize("code", PASSING)
def test_after_four_tries_the_error_is_told(virtually: Any, code: int) -> None:
    provider = Always(status(code))

    [error] = virtually(functools.partial(ask, provider))

    assert (type(error), error.status) == (type(status(code)), code)
    assert len(provider.asked) == DEFAULTS.retry_tries == 4


@pytest.mark.parametrize("code", FINAL)
@pytest.mark.parametrize("says", [None, True])
def test_a_request_that_is_wrong_stays_wrong(virtually: Any, code: int, says: bool | None) -> None:  # noqa: FBT001 – a parameter
    provider = Always(status(code, should_retry=says))

    [error] = virtually(functools.partial(ask, provider))

    assert error.status == code
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (status(429, code="insufficient_quota"), 1),
        (status(429, code="enforced_spend_limit_reached"), 1),
        (status(429, code="rate_limit_exceeded"), 4),
        (status(503, should_retry=False), 1),
        (status(418, should_retry=True), 4),
        (status(418), 1),
        (ModelUnavailableError("m", "https://far", "try later"), 4),
        (ModelTimeoutError("m", 1.0), 1),
        (IncompleteStreamError("m", ""), 1),
    ],
)
def test_what_is_tried_again_depends_on_what_went_wrong(virtually: Any, error: ModelError, tries: int) -> None:
    provider = Always(error)

    [failed] = virtually(functools.partial(ask, provider))

    assert failed is error
    assert len(provider.asked) == tries


def test_nothing_is_tried_again_once_a_part_has_come(virtually: Any) -> None:
    class Breaking(Provider):
        async def open(self, client: Any = None) -> Any:
            provider, session = self, await super().open(client)

            class Session:
                abilities = session.abilities

                async def stream(self, request: Request) -> Any:
                    await provider.serve(request)
                    yield TextPart("I think")
                    raise status(529)

                async def aclose(self) -> None:
                    """Nothing to give back."""

            return Session()

    provider = Breaking()
    [error] = virtually(functools.partial(ask, provider, streamed=True))

    assert error.status == 529
    assert len(provider.asked) == 1


@pytest.mark.parametrize("failures", [DEFAULTS.breaker_failures, 1_000_000], ids=["breaker", "no breaker"])
def test_a_storm_of_failures_adds_a_tenth_of_the_load_and_no_more(failures: int) -> None:
    provider = Always(status(503))
    offered = 0

    async def storm() -> None:
        nonlocal offered
        async with Mesh(settings=msgspec.structs.replace(DEFAULTS, breaker_failures=failures)) as mesh:
            agents = [LlmAgent(f"agent{number}", provider) for number in range(100)]

            async def work(agent: LlmAgent) -> None:
                nonlocal offered
                while anyio.current_time() < (50 if failures > DEFAULTS.breaker_failures else 10):
                    with pytest.raises(ModelError) as failed:
                        await agent.complete("hi")
                    offered += not isinstance(failed.value, ModelSuspendedError)
                    await anyio.sleep(1.0)

            async with anyio.create_task_group() as tasks:
                for agent in agents:
                    mesh.add(agent)
                    tasks.start_soon(work, agent)

    run_virtually("asyncio", storm)

    if failures == DEFAULTS.breaker_failures:
        assert len(provider.asked) <= 1.3 * 100  # each agent's first, of the thousand there would have been
    else:
        assert offered > 1_000
        assert len(provider.asked) <= 1.1 * offered + DEFAULTS.retry_spare


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_the_retries_of_a_batch_are_those_of_the_governor_and_do_not_multiply(virtually: Any, retries: int) -> None:
    provider = Always(status(503))

    async def batch() -> Any:
        agent = LlmAgent("tutor", provider)
        async with Mesh() as mesh:
            mesh.add(agent)
            return await agent.send_messages_async(["hi"], retries=retries, return_exceptions=True)

    [error] = virtually(batch)
    assert error.status == 503
    assert len(provider.asked) == retries + 1


# -- what the server asks for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "least", "most"), [(0.0, 0.0, 0.5), (2.0, 2.0, 2.2), (60.0, 60.0, 66.0)])
@pytest.mark.parametrize("code", [429, 503])
def test_the_server_s_own_pause_is_waited_for(
    virtually: Any, code: int, asked: float, least: float, most: float
) -> None:
    provider = Moody(status(code, retry_after=asked))

    [reply] = virtually(functools.partial(ask, provider))

    first, second = provider.asked
    assert reply.text == "yes"
    assert least <= second - first <= most + 0.5  # a refusal also slows the pace down


@pytest.mark.parametrize("asked", [61.0, 1e9])
@pytest.mark.parametrize("code", [429, 503])
def test_a_longer_pause_than_a_minute_fails_now(virtually: Any, code: int, asked: float) -> None:
    provider = Moody(status(code, retry_after=asked))

    async def both() -> float:
        [error, *_] = await ask(provider)
        assert error.retry_after == asked
        return anyio.current_time()

    assert virtually(both) < 1
    assert len(provider.asked) == 1


def test_those_who_wait_behind_such_a_pause_fail_too_and_not_for_ever(virtually: Any) -> None:
    provider = Moody(status(429, retry_after=1e9))

    async def run() -> tuple[list[Any], Any]:
        agent = LlmAgent("tutor", provider)
        async with Mesh() as mesh:
            mesh.add(agent)
            errors = [await _failure(agent) for _ in range(3)]
            await anyio.sleep(DEFAULTS.breaker_longest_pause * 1.2)
            return errors, await agent.complete("hi")

    errors, reply = virtually(run)
    assert [type(error) for error in errors] == [ModelRateLimitError] * 3
    assert errors[1].retry_after > 60
    assert reply.text == "yes"
    assert len(provider.asked) == 2


def test_each_of_those_who_wait_gets_an_error_of_its_own(virtually: Any) -> None:
    provider = Slow(status(429, retry_after=1e9))

    async def run() -> list[ModelError]:
        errors: list[ModelError] = []
        agent = LlmAgent("tutor", provider, concurrency=50)

        async def fail() -> None:
            errors.append(await _failure(agent))

        async with Mesh() as mesh, anyio.create_task_group() as group:
            mesh.add(agent)
            for _ in range(50):
                group.start_soon(fail)
        return errors

    waited = [error for error in virtually(run) if "asked for a pause" in str(error)]
    assert len(waited) > 10
    assert len({id(error) for error in waited}) == len(waited)


async def _failure(agent: LlmAgent) -> ModelError:
    with pytest.raises(ModelError) as failed:
        await agent.complete("hi")
    return failed.value


def test_one_pause_holds_for_all_who_wait(virtually: Any) -> None:
    provider = Moody(status(429, retry_after=5.0), seconds=0.2)

    async def run() -> None:
        async with Mesh() as mesh:
            agents = [LlmAgent(f"agent{number}", provider, concurrency=1) for number in range(40)]
            for agent in agents:
                mesh.add(agent)
            async with anyio.create_task_group() as tasks:
                for agent in agents:
                    tasks.start_soon(agent.complete, "hi")

    virtually(run)
    after = [at for at in provider.asked if at > 0.0]
    assert len(provider.asked) == 41
    assert len(after) == 40
    assert 5.0 <= min(after) <= max(after) < 6.0


# -- the line ----------------------------------------------------------------------------------------------------------


async def blocked(mesh: Mesh, provider: Moody) -> Governor:
    """Return the governor of *provider*, which lets one request go at a time from now on, and none at first."""
    governor = await governor_of(mesh, provider)
    governor.hear([(b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"0")])
    governor.hear([(b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"0")])
    return governor


def test_the_urgent_go_first_and_the_unimportant_last(virtually: Any) -> None:
    provider = Moody()

    async def run() -> None:
        async with Mesh() as mesh:
            await blocked(mesh, provider)
            tutor = mesh.add(LlmAgent("tutor", provider))
            async with anyio.create_task_group() as tasks:
                for priority in ("low", "normal", "high", "low", "high"):
                    tasks.start_soon(tutor.using(priority=priority, timeout=99).ask, priority)

    virtually(run)
    assert provider.prompts == ["high", "high", "normal", "low", "low"]


class Chief(LlmAgent):
    """Asks the tutor many questions for each of its own; its priority is theirs."""

    async def on_message(self, message: Any, context: Context) -> Any:
        async with anyio.create_task_group() as tasks:
            for number in range(int(message[-1])):
                tasks.start_soon(functools.partial(context.ask, "tutor", f"{message}.{number}", timeout=99))


def test_runs_take_turns_however_many_requests_one_of_them_has(virtually: Any) -> None:
    provider = Moody()

    async def run() -> None:
        async with Mesh() as mesh:
            await blocked(mesh, provider)
            mesh.add(LlmAgent("tutor", provider, concurrency=99))
            chief = mesh.add(Chief("chief", provider)).using(timeout=99)
            async with anyio.create_task_group() as tasks:
                for question in ("a4", "b1", "c2"):
                    tasks.start_soon(chief.ask, question)
                    await anyio.sleep(0.001)
                await anyio.sleep(0.01)
                tasks.start_soon(chief.using(priority="high", timeout=99).ask, "u2")

    virtually(run)
    assert sorted(provider.prompts[:2]) == ["u2.0", "u2.1"]
    assert [prompt[0] for prompt in provider.prompts[2:]] == ["a", "b", "c", "a", "c", "a", "a"]


def test_whoever_is_cancelled_leaves_the_line(virtually: Any) -> None:
    provider = Moody()

    async def run() -> tuple[int, int, int]:
        async with Mesh() as mesh:
            governor = await blocked(mesh, provider)
            agent = LlmAgent("tutor", provider, concurrency=99)
            mesh.add(agent)
            waiting = 0
            with anyio.move_on_after(0.5):
                async with anyio.create_task_group() as tasks:
                    for _ in range(50):
                        tasks.start_soon(agent.complete, "hi")
                    await anyio.sleep(0.4)
                    waiting = len(governor.line)
            await mesh.drain()
            left = len(governor.line), governor.under_way
            await agent.complete("hi")
            return waiting, *left

    assert virtually(run) == (50, 0, 0)
    assert len(provider.prompts) == 1


def test_limits_told_in_headers_are_kept_without_a_refusal(virtually: Any) -> None:
    provider = Moody()

    async def run() -> None:
        async with Mesh() as mesh:
            governor = await governor_of(mesh, provider)
            said = {b"limit": b"10", b"remaining": b"4", b"reset": b"6s"}
            governor.hear([(b"x-ratelimit-%b-requests" % name, value) for name, value in said.items()])
            agent = LlmAgent("tutor", provider, concurrency=99)
            mesh.add(agent)
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(agent.complete, "hi")

    virtually(run)
    assert [math.ceil(at) for at in provider.asked] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


def test_tokens_told_in_headers_are_kept_too(virtually: Any) -> None:
    provider = Moody(seconds=0.5)

    async def run() -> None:
        async with Mesh() as mesh:
            governor = await governor_of(mesh, provider)
            said = {b"limit": b"1000", b"remaining": b"1000", b"reset": b"0s"}
            governor.hear([(b"anthropic-ratelimit-output-tokens-%b" % name, value) for name, value in said.items()])
            agent = LlmAgent("tutor", provider, concurrency=99, max_tokens=400)
            mesh.add(agent)
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(agent.complete, "hi")

    virtually(run)
    assert [at > 0 for at in provider.asked] == [False, False, True]
    assert provider.asked[2] < 1  # what the others have not used comes back when they are answered


def test_agents_of_a_mesh_share_what_is_known_of_a_model_and_keys_keep_it_apart(server: ModelServer) -> None:
    async def run() -> tuple[int, list[str]]:
        async with Mesh() as mesh:
            for number, key in enumerate(["sk-one", "sk-one", "sk-two"]):
                agent = llm(server, f"agent{number}").with_api_key(key)
                mesh.add(agent)
                await agent.complete("hi")
            sessions: Any = await Seat(mesh.interior, "nobody", 1).sessions()
            return len(sessions._governors), [repr(found) for found, _ in sessions._governors.values()]  # noqa: SLF001 – as above

    count, shown = anyio.run(run)
    assert count == 2
    assert "sk-" not in "".join(shown)


async def test_headers_reach_the_governor_from_real_answers(server: ModelServer, anyio_backend: str) -> None:
    limits = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "59s",
    }
    agent = llm(server)
    async with Mesh() as mesh:
        mesh.add(agent)
        server.fail(Fault(headers=limits), Fault(headers=limits))
        began = anyio.current_time()
        await agent.complete("one")
        await agent.complete("two")
        with anyio.move_on_after(0.2) as scope:
            await agent.complete("three")

    assert scope.cancelled_caught
    assert anyio.current_time() - began < 10
    assert len(server.requests) == 2


@pytest.mark.parametrize("said", [{"retry-after": "0.3"}, {"retry-after-ms": "300"}])
async def test_a_real_server_s_pause_is_heard_and_waited_for(
    said: dict[str, str], server: ModelServer, anyio_backend: str
) -> None:
    agent = llm(server)
    async with Mesh(settings=msgspec.structs.replace(DEFAULTS, retry_first_pause=0.0)) as mesh:
        mesh.add(agent)
        server.fail(Fault(status=429, headers=said), Fault(status=503, headers=said))
        began = anyio.current_time()
        assert await agent.send_message_async("hi") == "echo: hi"

    assert anyio.current_time() - began >= 0.6
    assert len(server.requests) == 3


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_connection_that_is_lost_before_the_first_byte_is_tried_again(
    streamed: bool,  # noqa: FBT001 – a parameter
    server: ModelServer,
    anyio_backend: str,
) -> None:
    agent = llm(server)
    async with Mesh(settings=msgspec.structs.replace(DEFAULTS, retry_first_pause=0.0)) as mesh:
        mesh.add(agent)
        server.fail(Fault(reset=True), Fault(raw=b""))
        reply = await (agent.stream("hi").result() if streamed else agent.complete("hi"))

    assert reply.text == "echo: hi"
    assert len(server.requests) == 3


# -- the breaker -------------------------------------------------------------------------------------------------------


def test_a_model_that_keeps_failing_is_left_alone_then_looked_at_by_one(virtually: Any) -> None:
    provider = Always(status(500))

    async def run() -> list[Any]:
        agent = LlmAgent("tutor", provider)
        seen: list[Any] = []
        async with Mesh() as mesh:
            mesh.add(agent)
            seen += [type(await _failure(agent)) for _ in range(DEFAULTS.breaker_failures + 2)]
            asked = len(provider.asked)
            await anyio.sleep(DEFAULTS.breaker_pause)
            seen.append(type(await _failure(agent)))  # the one that looks
            seen.append(len(provider.asked) > asked)
            seen.append((await _failure(agent)).seconds > DEFAULTS.breaker_pause)  # type: ignore[attr-defined]
            await anyio.sleep(2 * DEFAULTS.breaker_pause)
            provider.error = None  # type: ignore[assignment]
            seen.append((await agent.complete("hi")).text)
            seen.append((await agent.complete("hi")).text)
        return seen

    kinds = [ModelStatusError] * DEFAULTS.breaker_failures + [ModelSuspendedError] * 2
    assert virtually(run) == [*kinds, ModelStatusError, True, True, "yes", "yes"]


@pytest.mark.parametrize(("seconds", "opens"), [(300.0, True), (0.5, False)])
def test_a_model_that_hangs_is_left_alone_too_but_not_for_an_asker_s_impatience(
    virtually: Any,
    seconds: float,
    opens: bool,  # noqa: FBT001 – a parameter
) -> None:
    provider = Always(ModelTimeoutError("openai::moody", seconds))

    results = virtually(functools.partial(ask, provider, count=DEFAULTS.breaker_failures + 1))

    assert isinstance(results[-1], ModelSuspendedError) == opens


def test_refusals_and_wrong_requests_do_not_open_it(virtually: Any) -> None:
    provider = Always(status(400))

    results = virtually(functools.partial(ask, provider, count=20))

    assert {type(error) for error in results} == {ModelStatusError}
    assert len(provider.asked) == 20


def test_in_a_mesh_the_error_comes_with_its_agent(virtually: Any) -> None:
    async def run() -> BaseException:
        async with Mesh() as mesh:
            tutor = mesh.add(LlmAgent("tutor", Always(status(403))))
            with pytest.raises(HandlerError) as failed:
                await tutor.ask("hi")
            return failed.value.root

    assert isinstance(virtually(run), ModelAuthError)


def test_usage_counts_what_was_answered_only(virtually: Any) -> None:
    async def run() -> Any:
        agent = LlmAgent("tutor", Moody(status(503), status(503)))
        async with Mesh() as mesh:
            mesh.add(agent)
            reply = await agent.complete("hi")
            return reply.usage, mesh.statistics().spending.total

    usage, spent = virtually(run)
    assert usage == Usage(input=10, output=1)
    assert (spent.requests, spent.input, spent.output, spent.cost) == (1, 10, 1, None)


# -- what was found by attacking it ------------------------------------------------------------------------------------


def test_what_was_sent_before_the_breaker_opened_does_not_judge_for_the_one_that_is_to_see() -> None:
    breaker = Breaker("m", failures=1, pause=30.0, longest=300.0)
    error = ModelUnavailableError("m", "gone", "wait")
    breaker.failed(error, 0.0, is_probe=False)
    breaker.check(30.0)
    assert breaker.begin()

    breaker.failed(error, 31.0, is_probe=False)
    breaker.succeeded()

    breaker.check(31.0)


async def test_governors_are_bounded_and_those_in_use_stay(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        sessions: Sessions = await Seat(mesh.interior, "nobody", 1).sessions()
        busy = [Provider(f"openai::busy-{number}") for number in range(3)]
        held = [sessions.governor(each) for each in busy]
        for governor in held:
            await governor.admit(Place(root=1, priority=0, need=(1, 1)))
        for number in range(10_000):
            sessions.governor(Provider(f"openai::{number}"))

        assert sessions.governor_count <= 1_000
        assert [sessions.governor(each) for each in busy] == held


async def test_a_request_that_the_end_of_the_time_kept_from_leaving_costs_nothing() -> None:
    """The line lets it go when its run's time is over; a run around it has not spent a token."""
    outer = Account(Budget(tokens=10_000), lambda: 0.0)
    times = iter([0.0, 0.0, 0.0, 9.0, 9.0, 9.0])
    inner = Account(Budget(seconds=5), lambda: next(times), above=outer)
    async with Mesh() as mesh:
        governor = Governor("openai::m", mesh.interior)
        with pytest.raises(BudgetError), Passage(governor, mesh.interior, Asker(account=inner), None) as passage:
            await passage.open(Request(turns=(Turn("user", "hi"),)))
            while True:
                await passage.enter()

    assert outer.held == outer.spent == NOTHING
    assert not governor.under_way
