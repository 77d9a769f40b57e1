"""Say what went wrong under a seed: the seed, how to see it again, and the part of the history that matters."""

import os
import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ceylon.errors import describe
from ceylon.testing.history import Event, History, What
from ceylon.testing.recorder import APART

if TYPE_CHECKING:
    from ceylon.testing.simulation.engine import SimulationOutcome

__all__ = ["concerned", "leaves", "relevant", "replay_command", "report"]

_EVENTS: Final = 30
"""More than that nobody reads."""
_AROUND: Final = 20
"""So many events are shown, if there are so many: what happened beside it often explains what went wrong."""
_VIOLATIONS: Final = 5
"""The first ones tell; the others mostly follow from them."""


def report(function: Callable[..., Any], failed: "SimulationOutcome", smallest: "SimulationOutcome") -> str:
    """Return the message of the error that a failing seed raises."""
    events = relevant(smallest)
    words = [
        f"simulation failed with seed {failed.seed}:",
        *_what_failed(failed),
        f"replay it with: {replay_command(function, failed.seed)}",
    ]
    if failed.faults:
        words.append(f"faults of this seed: {', '.join(failed.faults)}; needed: {', '.join(smallest.faults) or 'none'}")
    words.append(
        f"what matters: {len(events)} of {len(smallest.history)} events "
        f"({len(failed.history)} before the run was made smaller)"
    )
    return "\n".join([*words, *(f"  {event}" for event in events)])


def _what_failed(failed: "SimulationOutcome") -> list[str]:
    """Return the test's own error, and what the checkers found."""
    of_checkers = "\n".join(failed.violations)  # these make an error only where there is no other
    said = [] if failed.error is None or str(failed.error) == of_checkers else _described(failed.error)
    left = len(failed.violations) - _VIOLATIONS
    more = [f"… and {left} more"] if left > 0 else []
    return [f"  {words}" for words in (*said, *failed.violations[:_VIOLATIONS], *more)]


def leaves(error: BaseException | None) -> list[BaseException]:
    """Return *error*, or of a group whatever is in it, or nothing."""
    inside: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return [leaf for each in inside for leaf in leaves(each)] or ([] if error is None else [error])


def _described(error: BaseException | None) -> list[str]:
    """Describe what is in *error*, each once."""
    return list(dict.fromkeys(describe(leaf) + _place(leaf) for leaf in leaves(error)))


def _place(error: BaseException) -> str:
    """Return where *error* was raised, if its own words do not tell: a bare `assert` has none."""
    if str(error) or error.__traceback__ is None:
        return ""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" at {Path(last.filename).name}:{last.lineno}: {last.line}"


def replay_command(function: Callable[..., Any], seed: int) -> str:
    """Return the command that runs *seed* of this test again."""
    name = function.__name__
    running = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if re.search(rf"::{re.escape(name)}(\[|$)", running):
        return f"pytest {_quoted(running)} --ceylon-seed={seed}"
    path = Path(function.__code__.co_filename)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    if not running and not name.startswith("test"):  # a program of its own, in which pytest finds no test
        return f"CEYLON_SEED={seed} python {_quoted(str(path))}"
    return f"pytest {_quoted(f'{path}::{name}')} --ceylon-seed={seed}"


def _quoted(node: str) -> str:
    return f"'{node}'" if re.search(r"[\s\[]", node) else node


# -- what matters ------------------------------------------------------------------------------------------------------


def relevant(outcome: "SimulationOutcome") -> list[Event]:
    """Return the whole history if it is short; else what the failure is about, and some of what happened beside it."""
    history = outcome.history
    if len(history) <= _EVENTS:
        return history.events
    return _beside(history, concerned(outcome)[:_EVENTS])


def concerned(outcome: "SimulationOutcome") -> list[Event]:
    """Return the events of the messages that the failure is about, and of their causes.

    These are the ones that it names, by number or by id; else those of the agents it names; else the suspicious ones.
    """
    history = outcome.history
    texts = [*outcome.violations, *_described(outcome.error)]
    known = {event.id for event in history}
    named = next(filter(None, (_numbers_in(text) & known for text in texts)), set[int]())
    ids = _with_causes(history, named or _of_agents(history, texts) or _suspicious(history))
    return [event for event in history if event.id in ids] or history.events[-1:]


def _numbers_in(text: str) -> set[int]:
    """Return the envelopes that *text* names: by number, or by the ids that a simulation gives."""
    numbers = {int(number) for number in re.findall(r"#(\d+)", text)}
    ids = re.findall(r"\bsimulated(\d+)-([0-9a-f]+)\b", text)
    return numbers | {(int(mesh) - 1) * APART + int(number, 16) for mesh, number in ids}


def _of_agents(history: History, texts: Iterable[str]) -> set[int]:
    """Return the envelopes of the agents in the first of *texts* that names some, in quotes."""
    agents = {event.recipient for event in history}
    for text in texts:
        found = set(re.findall(r"'([^' ]+)'", text)) & agents
        if found:
            return {event.id for event in history if event.id and event.recipient in found}
    return set()


def _suspicious(history: History) -> set[int]:
    """Return the envelopes with the worst ends there are: none at all; else a bad one, or a late or refused reply."""
    ended = {event.id: event.detail for event in history.of(What.ENDED)}
    lost = {event.id for event in history.of(What.ACCEPTED)} - set(ended)
    odd = [number for number, how in ended.items() if how != "completed"]
    odd += [event.id for event in history.of(What.LATE, What.REFUSED)]
    odd += [event.id for event in history.of(What.RESOLVED) if event.detail != "reply"]
    return lost or set(odd[:1])


def _with_causes(history: History, ids: Iterable[int]) -> set[int]:
    """Return *ids* with those whose handlers sent them, up to the first."""
    parents = {event.id: event.parent for event in history if event.id}
    found: set[int] = set()
    for number in ids:
        at = number
        while at and at not in found:
            found.add(at)
            at = parents.get(at, 0)
    return found


def _beside(history: History, core: list[Event]) -> list[Event]:
    """Add to *core* what happened to the same agents, nearest first, as long as there is room; no ends of agents."""
    agents = {event.recipient for event in core}
    last = core[-1].step if core else 0
    shown = {event.step for event in core}
    others = [
        event
        for event in history
        if event.step not in shown and event.what is not What.STOPPED and (event.recipient in agents or not event.id)
    ]
    others.sort(key=lambda event: abs(event.step - last))
    return sorted([*core, *others[: max(_AROUND - len(core), 0)]], key=lambda event: event.step)
