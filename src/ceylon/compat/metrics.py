"""`get_metrics` as `ceylonai-next` has it: one look at what a program has done so far."""

from collections import Counter
from typing import Any, Final

from ceylon.compat.meter import meter
from ceylon.compat.opening import open_meshes
from ceylon.compat.settling import look
from ceylon.core.blocking import BlockingMesh
from ceylon.core.default import running_default_mesh
from ceylon.core.ledger import MeshStatistics
from ceylon.core.spending import SpendingStatistics

__all__ = ["cost_of", "get_metrics"]

_MICRO: Final = 1_000_000


def get_metrics() -> dict[str, Any]:
    """Return the counts of this process: of the meshes of this package and of the process's own mesh.

    Tokens are as the providers count them; a request whose price is not known counts as free. A question that another
    agent asked a model is one message and one question.

    Returns:
        ``message_throughput``, ``avg_message_latency_us`` (from being sent to being taken up),
        ``avg_agent_execution_time_us``, ``total_llm_tokens``, ``avg_llm_latency_us`` (from a question to its answer),
        ``total_llm_cost_us`` (millionths of a dollar), ``memory_hits``, ``memory_misses``, ``memory_writes`` and
        ``errors``, by type.
    """
    own = running_default_mesh()
    statistics = None if own is None else _statistics(own)
    metered = meter.read()
    spent = [_statistics(each).spending for each in open_meshes()] + ([statistics.spending] if statistics else [])
    errors = Counter(metered.errors) + Counter({} if statistics is None else statistics.dead_letters)
    # Models of this package live in the process's own mesh, where each question to one is a message.
    handled = 0 if statistics is None else _handled(statistics) - metered.asked
    return {
        "message_throughput": max(0, metered.ran.times + handled),
        "avg_message_latency_us": metered.waited.mean * _MICRO,
        "avg_agent_execution_time_us": metered.ran.mean * _MICRO,
        "total_llm_tokens": sum(each.total.input + each.total.output for each in spent),
        "avg_llm_latency_us": metered.answered.mean * _MICRO,
        "total_llm_cost_us": round(_MICRO * sum(map(cost_of, spent))),
        "memory_hits": metered.hits,
        "memory_misses": metered.misses,
        "memory_writes": metered.writes,
        "errors": dict(errors),
    }


def cost_of(spent: SpendingStatistics) -> float:
    """Return the dollars, as far as they are known."""
    return sum(each.cost or 0.0 for each in spent.agents.values()) if spent.total.cost is None else spent.total.cost


def _statistics(mesh: BlockingMesh) -> MeshStatistics:
    """Return what a mesh counts; also where a loop runs, and in handlers."""
    found: MeshStatistics = look(mesh.interior, mesh.interior.statistics)
    return found


def _handled(statistics: MeshStatistics) -> int:
    """Count the messages that agents of the process's own mesh have handled."""
    agents = (*statistics.agents.values(), statistics.stopped_agents)
    return sum(each.completed + each.failed for each in agents)
