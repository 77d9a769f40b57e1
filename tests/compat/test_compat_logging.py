"""Logging as programs of `ceylonai-next` set it up: on standard output and in a file, until it is set up otherwise."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ceylon.compat import LoggingConfig, LoggingHandle, init_logging, init_logging_py
from ceylon.core.log import logger

LOGGER = logging.getLogger("ceylon")


def config(level: str, path: str | None = None, *, is_json: bool = False) -> LoggingConfig:
    return LoggingConfig(level, path, is_json)


def fail() -> None:
    raise ValueError("why")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Check that each test leaves logging as it was."""
    before = (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers))
    yield
    assert (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)) == before


def test_events_from_the_level_on_are_written_once_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    handle = init_logging(config("info"))

    logger().info("model_chosen", model="x")
    logger().debug("too_small")
    handle.close()
    logger().info("too_late")

    out = capsys.readouterr().out
    assert out.count("model_chosen model='x'") == 1
    assert "INFO" in out
    assert "too_" not in out


def test_json_is_one_object_a_line_with_the_keys_of_the_origin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "events.log"
    handle = init_logging_py(LoggingConfig(log_level="warn", log_file_path=str(path), json_output=True))

    logger().warning("é_happened", count=2)
    try:
        fail()
    except ValueError:
        logger().exception("it_failed")
    handle.close()

    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["fields"]["message"] for line in lines] == ["é_happened count=2", "it_failed"]
    assert "ValueError: why" in lines[1]["fields"]["error"]
    assert {*lines[0]} == {"timestamp", "level", "fields", "target", "threadId"}
    assert (lines[0]["level"], lines[0]["target"]) == ("WARNING", "ceylon")
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


def test_setting_up_again_takes_the_place_of_what_was_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    init_logging(config("info", str(tmp_path / "first")))
    second = init_logging(config("error"))

    logger().error("once")
    second.close()
    second.close()  # does nothing

    assert (tmp_path / "first").read_text(encoding="utf-8") == ""
    assert capsys.readouterr().out.count("once") == 1


def test_a_handle_need_not_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    init_logging(config("info"))

    logger().info("still_here")

    assert "still_here" in capsys.readouterr().out
    init_logging(config("off")).close()


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("trace", logging.DEBUG),
        ("DEBUG", logging.DEBUG),
        ("Warn", logging.WARNING),
        ("info,hyper=error", logging.INFO),
        ("hyper=error", logging.ERROR),
        ("off", logging.CRITICAL + 1),
    ],
)
def test_levels_are_named_as_the_origin_names_them(text: str, level: int) -> None:
    assert config(text).level == level


def test_a_level_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="log_level='loud' cannot be; it takes one of trace, debug, info, warn"):
        config("loud")
    with pytest.raises(TypeError, match="is no LoggingConfig"):
        init_logging("info")  # type: ignore[arg-type]


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(OSError, match="file"):
        init_logging(config("info", str(tmp_path / "file" / "log")))


def test_a_handle_says_how_much_it_holds() -> None:
    handle = init_logging(config("info", is_json=True))

    assert isinstance(handle, LoggingHandle)
    assert repr(handle) == "<LoggingHandle 1 handlers>"
    handle.close()
    assert repr(handle) == "<LoggingHandle 0 handlers>"
