"""What stands in the place of an agent that is not there yet: nothing that could be started, stopped or asked."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

from ceylon.core.handlers import Behaviour
from ceylon.core.ports import AgentOptions

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.ports import AgentLike
    from ceylon.messages import Envelope

__all__ = ["ABSENT_OPTIONS", "Absent"]

ABSENT_OPTIONS: Final = AgentOptions(
    concurrency=1, mailbox_capacity=None, ask_timeout=None, on_failure="resume", takes_keys=False
)
"""How mail waits for an agent of which nothing is known yet."""


class Absent:
    """No agent; the mail at its place waits for one."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def __ceylon_behaviour__(self) -> Behaviour:
        """See `AgentLike`."""
        return _NOTHING

    @property
    def __ceylon_itself__(self) -> "AgentLike":
        """See `AgentLike`."""
        return self

    def __ceylon_options__(self) -> AgentOptions:
        """See `AgentLike`."""
        return ABSENT_OPTIONS

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """See `AgentLike`; it is in no mesh."""

    async def __ceylon_vacate__(self) -> None:
        """See `AgentLike`; it has opened nothing."""

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`; it knows no mesh."""

    def __ceylon_leave_home__(self) -> None:
        """See `AgentLike`."""

    def __ceylon_be_keyed__(self, name: str, key: str) -> None:
        """See `AgentLike`."""

    def __ceylon_serial_key__(self, envelope: "Envelope") -> Hashable | None:
        """See `AgentLike`."""
        return None

    def __ceylon_expect__(self, envelope: "Envelope") -> None:
        """See `AgentLike`."""

    def __ceylon_rebuild__(self) -> "AgentLike":
        """See `AgentLike`."""
        return self

    def __ceylon_hook__(self, name: str) -> Callable[..., Any] | None:
        """See `AgentLike`."""
        return None


_NOTHING: Final = Behaviour(Absent, inline=False, actions={})
