"""What a history must not show: plain functions that return the violations they find, as sentences.

An empty list says that all is well. `check` runs all that apply and raises what they find. None of them knows how the
history came about: a simulation, a recording of a real mesh, or a file will do.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ceylon.testing.history import Event, History, What
from ceylon.testing.leftovers import Leftovers, nothing_leaked

if TYPE_CHECKING:
    from ceylon.core.ledger import MeshStatistics

__all__ = [
    "Leftovers",
    "asks_resolved",
    "check",
    "conservation",
    "effects_once",
    "fifo",
    "nothing_leaked",
    "one_at_a_time",
]

_ENDS: Final = ("completed", "failed", "dead_lettered", "expired", "cancelled")
_NOBODY: Final[Mapping[str, int]] = {}


def check(
    history: History,
    statistics: "MeshStatistics | None" = None,
    *,
    slots: Mapping[str, int] = _NOBODY,
    effects: Iterable[Hashable] = (),
    leftovers: tuple[Leftovers, Leftovers] | None = None,
) -> None:
    """Run every checker that applies; *leftovers* are those from before and after.

    Raises:
        AssertionError: something is wrong; all of it is named.
    """
    violations = conservation(history, statistics) + fifo(history, slots) + one_at_a_time(history, slots)
    violations += asks_resolved(history) + effects_once(list(effects))
    if leftovers is not None:
        violations += nothing_leaked(*leftovers)
    if violations:
        raise AssertionError("\n".join(violations))


# -- conservation ------------------------------------------------------------------------------------------------------


def conservation(history: History, statistics: "MeshStatistics | None" = None) -> list[str]:
    """Every accepted envelope ends once, in one of the five ways, or is pending; with *statistics*, they agree.

    An envelope that a fault has duplicated may be accepted, and may end, as often as that.
    """
    allowed = Counter(event.id for event in history.of(What.FAULT) if event.id and "duplicate" in event.detail)
    accepted, ended, refused = Counter[int](), Counter[int](), set[int]()
    violations: list[str] = []
    for event in history:
        if event.what is What.ACCEPTED:
            accepted[event.id] += 1
            if accepted[event.id] > 1 + allowed[event.id]:
                violations.append(f"{_named(event)} was accepted {accepted[event.id]} times")
        elif event.what is What.REFUSED:
            refused.add(event.id)
        elif event.what is What.BEGAN:
            violations += _wrong_beginning(event, accepted, ended)
        elif event.what is What.ENDED:
            ended[event.id] += 1
            violations += _wrong_end(event, accepted, ended)
    both = [event for event in history.of(What.ACCEPTED) if event.id in refused]
    violations += [f"{_named(event)} was accepted and refused" for event in both]
    return violations + (_disagreements(history, statistics) if statistics is not None else [])


def _wrong_beginning(event: Event, accepted: Counter[int], ended: Counter[int]) -> list[str]:
    if not accepted[event.id]:
        return [f"{_named(event)} was begun without having been accepted"]
    if ended[event.id] >= accepted[event.id]:
        return [f"{_named(event)} was begun after it had ended"]
    return []


def _wrong_end(event: Event, accepted: Counter[int], ended: Counter[int]) -> list[str]:
    violations: list[str] = []
    if event.detail not in _ENDS:
        violations.append(f"{_named(event)} ended as {event.detail!r}, which is none of {', '.join(_ENDS)}")
    if not accepted[event.id]:
        violations.append(f"{_named(event)} ended without having been accepted")
    elif ended[event.id] > accepted[event.id]:
        violations.append(f"{_named(event)} ended {ended[event.id]} times, at last as {event.detail}")
    return violations


def _disagreements(history: History, statistics: "MeshStatistics") -> list[str]:
    """Compare what the history counts with what the mesh does: each agent that is still there, and the sum."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    agents = _agents(history)
    for event in history.of(What.ACCEPTED, What.ENDED):
        counts[_agent(event, agents)][event.detail if event.what is What.ENDED else "accepted"] += 1
    stopped = {event.recipient for event in history.of(What.STOPPED)}
    violations: list[str] = []
    everybody = Counter[str]()
    for agent in (*statistics.agents.values(), statistics.stopped_agents):
        counters = {name: getattr(agent, name) for name in ("accepted", *_ENDS)}
        everybody.update({**counters, "pending": agent.pending})
        if agent.address and agent.address not in stopped:
            violations += _differences(f"agent {agent.address!r}", counts[agent.address], counters)
    total = sum(counts.values(), Counter[str]())
    total["pending"] = total["accepted"] - sum(total[name] for name in _ENDS)
    return violations + _differences("the mesh", total, everybody)


def _differences(who: str, counted: Counter[str], told: Mapping[str, int]) -> list[str]:
    return [
        f"{who} counts {number} envelopes as {name}, its history {counted[name]}"
        for name, number in told.items()
        if number != counted[name]
    ]


# -- order -------------------------------------------------------------------------------------------------------------


def fifo(history: History, slots: Mapping[str, int] = _NOBODY) -> list[str]:
    """Compare, for each sender and address, the order in which envelopes were begun with that of their acceptance.

    An ask that comes back to an agent whose own handler waits for it is free: it goes ahead of what that handler keeps
    waiting. So is what breaks a turn off, and so are messages in threads of an agent that has several *slots*: of two
    threads that have been given one each, either may begin first.
    """
    returning, agents = _returning(history), _agents(history)
    places: dict[int, int] = {}
    latest: dict[tuple[str, str], Event] = {}
    violations: list[str] = []
    for event in history:
        if event.what is What.ACCEPTED:
            places.setdefault(event.id, event.step)
        elif event.what is What.BEGAN and event.id in places and event.id not in returning:
            if event.detail == "interrupting" or (
                event.detail == "threaded" and slots.get(_agent(event, agents), 1) > 1
            ):
                continue
            road = (event.sender, event.recipient)
            before = latest.get(road)
            if before is not None and places[before.id] > places[event.id]:
                violations.append(f"{_named(before)} overtook #{event.id}, which had been accepted before it")
            else:
                latest[road] = event
    return violations


def one_at_a_time(history: History, slots: Mapping[str, int] = _NOBODY) -> list[str]:
    """No agent handled more messages at one time than it has *slots*; 1 where nothing is said.

    A thread handles one message after the other and is heard of later, so that two messages in threads are never taken
    for an overlap. An ask that comes back to the agent that waits for it has that handler's slot.
    """
    returning, agents = _returning(history), _agents(history)
    running: defaultdict[str, dict[int, Event]] = defaultdict(dict)
    violations: list[str] = []
    for event in history:
        agent = _agent(event, agents)
        here = running[agent]
        if event.what is What.ENDED:
            here.pop(event.id, None)
        elif event.what is What.BEGAN and event.id not in returning:
            in_thread = event.detail == "threaded"
            beside = [other.id for other in here.values() if not (in_thread and other.detail == "threaded")]
            limit = slots.get(agent, 1)
            if len(beside) >= limit:
                others = ", ".join(f"#{number}" for number in beside)
                has = "1 slot" if limit == 1 else f"{limit} slots"
                violations.append(f"{_named(event)} was begun beside {others}; {agent!r} has {has}")
            here[event.id] = event
    return violations


def _returning(history: History) -> set[int]:
    """Return the envelopes that came to an agent as part of an ask that its own handler waits for."""
    known: dict[int, Event] = {}
    agents = _agents(history)
    returning = set[int]()
    for event in history:
        if event.id and event.id not in known:
            known[event.id] = event
            asking: Event | None = event
            while asking is not None and asking.kind != "tell":
                asking = known.get(asking.parent) if asking.parent < asking.id else None
                if asking is not None and _agent(asking, agents) == _agent(event, agents):
                    returning.add(event.id)
                    break
    return returning


# -- outcomes ----------------------------------------------------------------------------------------------------------


def asks_resolved(history: History) -> list[str]:
    """Every ask has exactly one outcome, and nothing has one that was not asked; for a history that is over.

    Nor may an ask time out whose handler had completed before: then its reply was lost. One that has failed may have
    done so by an ask of its own that timed out, which its asker is told as it is.
    """
    open_asks: dict[int, Event] = {}
    resolved, ended = set[int](), dict[int, str]()
    violations: list[str] = []
    for event in history.of(What.ASKED, What.ENDED, What.RESOLVED, What.LATE):
        if event.what is What.ASKED:
            if event.id in open_asks or event.id in resolved:
                violations.append(f"{_named(event)} was asked twice")
            open_asks[event.id] = event
        elif event.what is What.ENDED:
            ended[event.id] = event.detail
        elif event.what is What.LATE:
            if event.id in open_asks:
                violations.append(f"{_named(event)} was answered, and its asker still waits")
        else:
            violations += _wrong_outcome(event, open_asks, resolved, ended.get(event.id, ""))
            open_asks.pop(event.id, None)
            resolved.add(event.id)
    return violations + [f"{_named(event)} was asked and never had an outcome" for event in open_asks.values()]


def _wrong_outcome(event: Event, open_asks: Mapping[int, Event], resolved: set[int], end: str) -> list[str]:
    if event.id in resolved:
        return [f"{_named(event)} had a second outcome: {event.detail}"]
    if event.id not in open_asks:
        return [f"{_named(event)} had an outcome without having been asked: {event.detail}"]
    if event.detail == "AskTimeoutError" and end == "completed":
        return [f"{_named(event)} timed out although its handler had completed: the reply was lost"]
    return []


def effects_once(effects: Sequence[Hashable]) -> list[str]:
    """No effect happened twice; an effect is whatever names it, such as the message it came of."""
    return [f"effect {effect!r} happened {count} times" for effect, count in Counter(effects).items() if count > 1]


def _agents(history: History) -> set[str]:
    """Return the addresses of all agents that came or went; those of keyed ones, and of a pool's, have a ``/``."""
    return {event.recipient for event in history.of(What.STARTED, What.RESTARTED, What.STOPPED)}


def _agent(event: Event, agents: set[str]) -> str:
    """Return the address of the agent behind the recipient's; a key that makes no agent of its own is that agent's."""
    return event.recipient if event.recipient in agents else event.recipient.partition("/")[0]


def _named(event: Event) -> str:
    sender = event.sender or "outside"
    message = f", {event.message}," if event.message else ""
    return f"envelope #{event.id} from {sender} to {event.recipient}{message}"
