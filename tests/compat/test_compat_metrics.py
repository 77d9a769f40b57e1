"""`get_metrics` tells what has been done, in the process; every figure here is the difference of two looks."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

from ceylon import default_mesh
from ceylon.agents.agent import Agent as OurAgent
from ceylon.compat import Agent, InMemoryBackend, LlmAgent, LocalMesh, MemoryEntry, get_metrics
from ceylon.compat.meter import Meter
from ceylon.compat.metrics import cost_of
from ceylon.core.marking import on
from ceylon.core.spending import SpendingStatistics, Spent
from ceylon.messages import Message
from ceylon.models.turns import Reply, Usage
from ceylon.testing import ScriptedModel


class Sum(Message[int], tag="compat.sum"):
    of: list[int]


class Adder(OurAgent):
    @on
    def add(self, wish: Sum) -> int:
        return sum(wish.of)


class Failing(Agent):
    def on_message(self, message: Any, context: Any = None) -> Any:
        raise ZeroDivisionError(message)


KEYS = {
    *("message_throughput", "avg_message_latency_us", "avg_agent_execution_time_us", "total_llm_tokens"),
    *("avg_llm_latency_us", "total_llm_cost_us", "memory_hits", "memory_misses", "memory_writes", "errors"),
}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return which counts have grown, and by how much."""
    counts = {key for key in KEYS if key != "errors" and not key.startswith("avg")}
    grown = {key: after[key] - before[key] for key in counts if after[key] != before[key]}
    errors = Counter(after["errors"]) - Counter(before["errors"])
    return {**grown, **({"errors": dict(errors)} if errors else {})}


def test_the_keys_are_those_of_the_origin() -> None:
    assert set(get_metrics()) == KEYS


def test_messages_are_counted_once_each_with_their_errors(mesh: LocalMesh) -> None:
    mesh.add_agent(Agent("quiet"))
    mesh.add_agent(Failing("failing"))
    before = get_metrics()

    for _ in range(3):
        mesh.send_to_sync("quiet", "hello")
    mesh.send_to_sync("failing", "hello")
    mesh.process_messages()

    assert changes(before, get_metrics()) == {"message_throughput": 4, "errors": {"ZeroDivisionError": 1}}


def test_messages_of_agents_in_the_processs_own_mesh_count_too() -> None:
    ref = default_mesh().add(Adder("compat-metrics-adder"))
    before = get_metrics()

    assert ref.ask(Sum(of=[1, 2])) == 3

    assert changes(before, get_metrics()) == {"message_throughput": 1}
    default_mesh().stop(ref)


def test_questions_to_a_model_count_with_its_tokens_and_are_no_messages() -> None:
    answers = [Reply(text=text, usage=Usage(input=3, output=4)) for text in ("four", "five")]
    agent = LlmAgent("metered", ScriptedModel(answers)).build()
    before = get_metrics()

    agent.send_message("a")
    first = changes(before, get_metrics())
    agent.send_message_sync("b")

    assert first == {"total_llm_tokens": 7}
    assert changes(before, get_metrics()) == {"total_llm_tokens": 14}
    assert get_metrics()["avg_llm_latency_us"] > 0


def test_an_agent_that_is_gone_changes_no_count() -> None:
    agent = LlmAgent("passing", ScriptedModel(["four", ValueError("no")])).build()
    before = get_metrics()
    agent.send_message("a")
    with pytest.raises(ValueError, match="no"):
        agent.send_message("b")
    known = len(default_mesh().statistics().agents)

    del agent
    gc.collect()
    default_mesh().drain()

    assert len(default_mesh().statistics().agents) < known
    assert changes(before, get_metrics()) == {"errors": {"ValueError": 1}}


def test_what_is_known_of_the_price_is_told_in_millionths_of_a_dollar() -> None:
    known = SpendingStatistics(total=Spent(2, 1, 1, 0.25), agents={"a": Spent(2, 1, 1, 0.25)})
    partly = SpendingStatistics(
        total=Spent(2, 1, 1, None), agents={"a": Spent(1, 1, 1, 0.5), "b": Spent(1, 0, 0, None)}
    )

    assert [cost_of(each) for each in (known, partly)] == [0.25, 0.5]


def test_a_memory_counts_what_is_written_and_looked_up() -> None:
    memory, entry = InMemoryBackend(), MemoryEntry("a")
    before = get_metrics()

    memory.store(entry)
    memory.get(entry.id)
    memory.get(entry.id)
    memory.get("nobody")

    assert changes(before, get_metrics()) == {"memory_writes": 1, "memory_hits": 2, "memory_misses": 1}


def test_it_may_be_asked_where_a_loop_runs_and_warns_of_nothing() -> None:
    default_mesh()

    async def inside() -> dict[str, Any]:
        return get_metrics()

    assert set(asyncio.run(inside())) == KEYS


@pytest.mark.process
def test_a_program_that_has_done_nothing_has_started_nothing() -> None:
    program = "from ceylon.compat import get_metrics\nimport threading\nprint(get_metrics(), threading.active_count())"

    done = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-W", "error", "-c", program], capture_output=True, encoding="utf-8", check=True
    )

    assert done.stdout.rstrip().endswith("'errors': {}} 1")


# -- the meter ---------------------------------------------------------------------------------------------------------


def test_means_are_of_what_was_timed() -> None:
    meter = Meter()

    with meter.handling(time.perf_counter() - 10):
        pass
    with meter.handling(time.perf_counter() - 20):
        pass

    read = meter.read()
    assert read.waited.times == read.ran.times == 2
    assert 15 <= read.waited.mean < 18
    assert 0 <= read.ran.mean < 3
    assert read.answered.mean == 0


def test_a_question_that_fails_is_an_error_and_no_answer() -> None:
    meter = Meter()

    with pytest.raises(KeyError), meter.asking():
        raise KeyError

    assert (meter.read().asked, meter.read().answered.times, meter.read().errors) == (1, 0, {"KeyError": 1})


def test_kinds_of_errors_are_bounded() -> None:
    meter = Meter()

    for number in range(1_100):
        with pytest.raises(Exception, match="x"), meter.asking():
            raise type(f"Error{number}", (Exception,), {})("x")

    assert len(meter.read().errors) == 1_001
    assert meter.read().errors["other"] == 100


def test_nothing_is_lost_between_threads() -> None:
    meter = Meter()

    def work() -> None:
        for _ in range(500):
            with meter.handling(time.perf_counter()):
                meter.remembered(writes=1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (meter.read().ran.times, meter.read().writes) == (2_000, 2_000)
