"""`import ceylon` is light, and everything a user needs hangs on it."""

import json
import subprocess
import sys

import pytest

import ceylon
from ceylon import errors

MOST_NAMES = 45
HEAVY = (
    "httpx",
    "httpcore",
    "httptools",
    "sqlite3",
    "structlog",
    "trio",
    "rich",
    "uvloop",
    "xllamacpp",
    "ceylon.models.http",
)


@pytest.mark.process
def test_import_loads_no_http_client_database_logger_or_second_loop() -> None:
    program = "import json, sys, ceylon; print(json.dumps(sorted(sys.modules)))"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout  # noqa: S603 – this Python

    assert set(HEAVY).isdisjoint(json.loads(printed))


@pytest.mark.process
def test_the_instruments_for_tests_load_no_test_framework() -> None:
    program = "import json, sys, ceylon.testing, ceylon.testing.contracts; print(json.dumps(sorted(sys.modules)))"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout  # noqa: S603 – this Python

    assert {"pytest", "_pytest", "hypothesis", "httpx", "trio", "structlog"}.isdisjoint(json.loads(printed))


def test_every_public_name_is_there() -> None:
    assert [name for name in ceylon.__all__ if not hasattr(ceylon, name)] == []


def test_the_public_names_are_few_enough_to_know() -> None:
    assert len(ceylon.__all__) <= MOST_NAMES
    assert len(set(ceylon.__all__)) == len(ceylon.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_importable_from_the_package(name: str) -> None:
    assert getattr(ceylon, name, None) is getattr(errors, name)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_ours(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.CeylonError)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = ceylon.NoSuchName  # type: ignore[attr-defined]


def test_every_error_of_the_tree_is_listed() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    defined = {value.__name__ for value in classes if issubclass(value, errors.CeylonError)}

    assert defined == set(errors.__all__)
