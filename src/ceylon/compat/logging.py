"""Logging as `ceylonai-next` sets it up: the events of this package on standard output, and in a file."""

import json
import logging
import logging.handlers
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ceylon.compat.checking import is_a
from ceylon.errors import ArgumentError, DefinitionError

__all__ = ["LoggingConfig", "LoggingHandle", "PyLoggingConfig", "PyLoggingHandle", "init_logging", "init_logging_py"]

_LOGGER: Final = "ceylon"
_LEVELS: Final = {
    "trace": logging.DEBUG,  # Python knows nothing below
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
_TEXT: Final = "%(asctime)s %(levelname)5s %(threadName)s %(name)s: %(message)s"


class PyLoggingConfig:
    """What to log, and where.

    Args:
        log_level: ``"trace"``, ``"debug"``, ``"info"``, ``"warn"``, ``"error"`` or ``"off"``.
        log_file_path: A file to write to as well; a new one begins each day. `None`: none.
        json_output: Whether each event is one JSON object.

    Raises:
        ArgumentError: there is no such level.
    """

    def __init__(self, log_level: str, log_file_path: str | None, json_output: bool) -> None:  # noqa: FBT001 – as published
        self._level = _level_of(log_level)
        self._path = None if log_file_path is None else Path(log_file_path)
        self._is_json = bool(json_output)

    def __repr__(self) -> str:
        return f"<LoggingConfig {logging.getLevelName(self._level)} {'json' if self._is_json else 'text'} {self._path}>"

    @property
    def level(self) -> int:
        """The least level that is logged, as `logging` counts them."""
        return self._level

    def handlers(self) -> list[logging.Handler]:
        """Return handlers that write as it says, the file opened.

        Raises:
            OSError: the file cannot be written.
        """
        made: list[logging.Handler] = [_StandardOutput()]
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            made.append(
                logging.handlers.TimedRotatingFileHandler(self._path, when="midnight", encoding="utf-8", utc=True)
            )
        for handler in made:
            handler.setFormatter(_JsonFormatter() if self._is_json else logging.Formatter(_TEXT))
        return made


class PyLoggingHandle:
    """Logging that has been set up; it goes on until `close`, the next `init_logging` or the end of the program.

    The handle need not be kept.
    """

    def __init__(self, config: PyLoggingConfig) -> None:
        self._handlers = config.handlers()
        logger = logging.getLogger(_LOGGER)
        self._before = logger.level, logger.propagate
        for handler in self._handlers:
            logger.addHandler(handler)
        logger.setLevel(config.level)
        logger.propagate = False  # the root's handlers would write it once more

    def __repr__(self) -> str:
        return f"<LoggingHandle {len(self._handlers)} handlers>"

    def close(self) -> None:
        """Stop logging, with everything written; this release's own."""
        handlers, self._handlers = self._handlers, []
        if not handlers:
            return
        logger = logging.getLogger(_LOGGER)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        level, logger.propagate = self._before
        logger.setLevel(level)


def _level_of(text: str) -> int:
    """Return the level that *text* names, alone or with others for single modules, as in ``"info,hyper=warn"``."""
    parts = [part.strip().lower() for part in str(text).split(",")]
    plain = next((part for part in parts if "=" not in part), parts[0].rpartition("=")[2])
    if plain not in _LEVELS:
        sentence = f"log_level={text!r} cannot be; it takes one of {', '.join(_LEVELS)}"
        raise ArgumentError(sentence)
    return _LEVELS[plain]


_lock: Final = threading.Lock()
_handles: Final[list[PyLoggingHandle]] = []  # the one in force: there is one logger in a process


def init_logging_py(config: PyLoggingConfig) -> PyLoggingHandle:
    """Log as *config* says from now on, in place of what was set up before.

    Raises:
        OSError: the file cannot be written.
    """
    if not is_a(PyLoggingConfig, config):
        sentence = f"{config!r} is no LoggingConfig; make one: LoggingConfig(log_level, log_file_path, json_output)"
        raise DefinitionError(sentence)
    with _lock:
        while _handles:
            _handles.pop().close()
        _handles.append(PyLoggingHandle(config))
        return _handles[-1]


init_logging = init_logging_py
LoggingConfig = PyLoggingConfig
LoggingHandle = PyLoggingHandle


class _StandardOutput(logging.StreamHandler[Any]):
    """Writes to whatever standard output is at the time: notebooks and tests change it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """The standard output."""
        return sys.stdout


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, with the keys of the origin."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as a line."""
        fields = {"message": record.getMessage()}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        told = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "fields": fields,
            "target": record.name,
            "threadId": record.threadName,
        }
        return json.dumps(told, ensure_ascii=False)
