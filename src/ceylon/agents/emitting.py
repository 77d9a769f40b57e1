"""Send an answer's parts as they come, from a handler that is not a generator."""

from typing import TYPE_CHECKING, cast

from ceylon.core.limits import limit_of
from ceylon.messages import STREAM

if TYPE_CHECKING:
    from ceylon.agents.callees import Emit
    from ceylon.core.channel import Channel
    from ceylon.core.context import Context
    from ceylon.core.stream_calls import StreamCall
    from ceylon.models.turns import Part

__all__ = ["channel_of", "sender"]


def channel_of(context: "Context") -> "Channel | None":
    """Return where parts go, if the message that *context* is about asks for a stream."""
    if context.envelope.kind != STREAM:
        return None
    call = context.interior.router.calls.get(context.envelope.id)
    return None if call is None else cast("StreamCall", call).channel


def sender(channel: "Channel", context: "Context") -> "Emit":
    """Return what sends a part; while the consumer takes its time, no clock of the handler's runs."""
    limit = limit_of(context)

    async def emit(part: "Part") -> None:
        if channel.offer(part):
            return
        with context.interior.pauses.rest(context):
            if limit is not None:
                limit.stop()
            try:
                await channel.put(part)
            finally:  # one call may be cut off here while the handler goes on
                if limit is not None:
                    limit.go_on()

    return emit
