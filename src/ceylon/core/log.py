"""Logging: structlog's events, sent to the standard library's logger ``ceylon``; structlog is loaded at the first one.

No global configuration is touched. A program that configures neither sees warnings and errors on stderr, as Python's
last-resort handler prints them.
"""

import functools
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import structlog

__all__ = ["logger"]


@functools.cache
def logger() -> "structlog.stdlib.BoundLogger":
    """Return the package's logger."""
    # 0.1 s that a program which logs nothing need not pay
    import logging  # noqa: PLC0415 – see above

    import structlog  # noqa: PLC0415 – see above

    logged: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("ceylon"),
        processors=[structlog.stdlib.filter_by_level, _render],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logged


def _render(_: object, __: str, event: MutableMapping[str, Any]) -> tuple[Any, ...]:
    """Write ``event key=value …``, a stack below it, and leave tracebacks to the standard library."""
    stack = event.pop("stack", None)
    words = [str(event.pop("event"))]
    options = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    words += [f"{key}={value!r}" for key, value in event.items()]
    line = " ".join(words)
    return ("%s", line if stack is None else f"{line}\n{stack}".rstrip()), options
