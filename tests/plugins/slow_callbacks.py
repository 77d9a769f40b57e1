"""Drop what asyncio's debug mode (`-X dev`) says of every callback that took 0.1 s: on a busy machine any may.

It would be among the log records of whatever test runs just then.
"""

import logging

__all__ = ["pytest_configure"]


def pytest_configure() -> None:
    """Begin to listen."""
    logging.getLogger("asyncio").addFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Executing %s took")
