"""Say what is wrong with a conversation, for the strictest of providers."""

from collections.abc import Iterator, Sequence

from ceylon.models.turns import Turn

__all__ = ["check_history"]


def check_history(turns: Sequence[Turn]) -> list[str]:
    """Return what a provider would refuse in *turns*, in words; nothing if it would take them all.

    Every call has one result, in order, in the very next turn, and no result is without its call. Ids differ within a
    conversation. A user begins and does not speak twice in a row, nor does the model, and no call is left open.
    """
    found: list[str] = []
    spoken = [turn for turn in turns if turn.role != "system"]
    if len(spoken) < len(turns) and (turns[0].role != "system" or len(spoken) < len(turns) - 1):
        found.append("the system speaks, and not first")
    if spoken and spoken[0].role != "user":
        found.append(f"turn 0: the {spoken[0].role} begins")
    for number, turn in enumerate(spoken):
        before = spoken[number - 1] if number else Turn("system")
        after = spoken[number + 1] if number + 1 < len(spoken) else Turn("system")
        found += [f"turn {number}: {words}" for words in _faults(before, turn, after)]
    ids = [call.id for turn in spoken for call in turn.calls]
    found += [f"two calls have the id {each!r}" for each in sorted({each for each in ids if ids.count(each) > 1})]
    return found


def _faults(before: Turn, turn: Turn, after: Turn) -> Iterator[str]:
    if turn.role == before.role:
        yield f"the {turn.role} speaks twice in a row"
    if turn.calls and turn.role != "assistant":
        yield f"the {turn.role} calls"
    if turn.calls and after.role != "tool":
        yield f"{len(turn.calls)} calls have no results"
    if turn.role == "assistant" and not (turn.calls or turn.text or turn.thinking):
        yield "the model says nothing"
    if turn.role == "assistant" and not turn.calls and before.role not in {"user", "tool"}:
        yield "the model answers nobody"
    if turn.role != "tool":
        if turn.results:
            yield f"the {turn.role} has results"
        return
    wanted = [(call.id, call.name) for call in before.calls]
    given = [(result.id, result.name) for result in turn.results]
    if wanted != given:
        yield f"results {given} do not answer the calls {wanted}"
