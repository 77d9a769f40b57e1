"""Say what went wrong under a seed: the seed, how to see it again, and the part of the history that matters."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ceylon.errors import describe
from ceylon.testing.history import Event, History, What

if TYPE_CHECKING:
    from ceylon.testing.simulation.engine import SimulationOutcome

__all__ = ["relevant", "replay_command", "report"]

_EVENTS: Final = 30
"""More than that nobody reads; the first ones and the last ones are kept."""


def report(function: Callable[..., Any], failed: "SimulationOutcome", smallest: "SimulationOutcome") -> str:
    """Return the message of the error that a failing seed raises."""
    words = [
        f"simulation failed with seed {failed.seed}: {describe(failed.error) if failed.error else ''}",
        *(f"  {violation}" for violation in failed.violations),
        f"replay it with: {replay_command(function, failed.seed)}",
    ]
    if failed.faults:
        words.append(f"faults of this seed: {', '.join(failed.faults)}; needed: {', '.join(smallest.faults) or 'none'}")
    events = relevant(smallest)
    total = len(failed.history)
    words.append(f"what matters ({len(events)} of {len(smallest.history)} events; {total} before it was made smaller):")
    return "\n".join([*words, *_lines(events)])


def replay_command(function: Callable[..., Any], seed: int) -> str:
    """Return the command that runs *seed* of this test again."""
    name = function.__name__
    running = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if re.search(rf"::{re.escape(name)}(\[|$)", running):
        return f"pytest {_quoted(running)} --ceylon-seed={seed}"
    path = Path(function.__code__.co_filename)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"pytest {_quoted(f'{path}::{name}')} --ceylon-seed={seed}"


def _quoted(node: str) -> str:
    return f"'{node}'" if re.search(r"[\s\[]", node) else node


def relevant(outcome: "SimulationOutcome") -> list[Event]:
    """Return the events that have to do with the failure: of the messages named in it and of their causes."""
    history = outcome.history
    texts = outcome.violations or [describe(outcome.error) if outcome.error else ""]
    ids = _with_causes(history, _mentioned(history, texts) or _suspicious(history))
    if not ids:
        return history.events[-_EVENTS:]
    agents = {event.recipient for event in history if event.id in ids}
    kept = [event for event in history if event.id in ids or (not event.id and _concerns(event, agents))]
    return [event for event in kept if event.what is not What.STARTED] if len(kept) > _EVENTS else kept


def _mentioned(history: History, texts: Iterable[str]) -> set[int]:
    """Return the envelopes that *texts* name by number."""
    known = {event.id for event in history}
    return {int(number) for text in texts for number in re.findall(r"#(\d+)", text)} & known


def _suspicious(history: History) -> set[int]:
    """Return the envelopes that had no good end."""
    accepted = {event.id for event in history.of(What.ACCEPTED)}
    ended = {event.id for event in history.of(What.ENDED)}
    odd = {event.id for event in history.of(What.ENDED) if event.detail != "completed"}
    odd |= {event.id for event in history.of(What.LATE, What.REFUSED)}
    odd |= {event.id for event in history.of(What.RESOLVED) if event.detail != "reply"}
    return (accepted - ended) or odd


def _with_causes(history: History, ids: set[int]) -> set[int]:
    """Return *ids* with those whose handlers sent them, up to the first."""
    parents = {event.id: event.parent for event in history if event.id}
    found: set[int] = set()
    for number in ids:
        at = number
        while at and at not in found:
            found.add(at)
            at = parents.get(at, 0)
    return found


def _concerns(event: Event, agents: set[str]) -> bool:
    return not event.recipient or event.recipient in agents


def _lines(events: list[Event]) -> list[str]:
    if len(events) <= _EVENTS:
        return [f"  {event}" for event in events]
    half = _EVENTS // 2
    left_out = f"  … {len(events) - _EVENTS} events left out …"
    return [*(f"  {e}" for e in events[:half]), left_out, *(f"  {e}" for e in events[-half:])]
