"""What those may rely on who wait, read from a history: room is given when there is some, and nothing runs in vain."""

from collections import defaultdict

from ceylon.testing.history import Event, History, What

__all__ = ["nothing_in_vain", "room_given"]


def nothing_in_vain(history: History) -> list[str]:
    """No handler on the loop begins with an ask whose outcome its asker has already; threads are heard of later."""
    outcomes: dict[int, str] = {}
    violations: list[str] = []
    for event in history.of(What.RESOLVED, What.BEGAN):
        if event.what is What.RESOLVED:
            outcomes[event.id] = event.detail
        elif event.id in outcomes and event.detail != "threaded":
            violations.append(
                f"envelope #{event.id} from {event.sender or 'outside'} to {event.recipient} was begun in vain: "
                f"its asker had an outcome before ({outcomes[event.id]})"
            )
    return violations


def room_given(history: History) -> list[str]:
    """No message is refused for want of room by an agent that has nothing at all to do."""
    inside: defaultdict[str, set[int]] = defaultdict(set)
    violations: list[str] = []
    for event in history.of(What.ACCEPTED, What.ENDED, What.REFUSED):
        here = inside[_agent(event)]
        if event.what is What.ACCEPTED:
            here.add(event.id)
        elif event.what is What.ENDED:
            here.discard(event.id)
        elif event.detail == "full" and not here:
            violations.append(
                f"envelope #{event.id} from {event.sender or 'outside'} to {event.recipient} was refused for want of "
                f"room, and {_agent(event)!r} had nothing to do"
            )
    return violations


def _agent(event: Event) -> str:
    return event.recipient.partition("/")[0]
