"""Errors that are `RuntimeError`s too, and verbs that run on a mesh's loop."""

import asyncio
import pickle

import pytest

from ceylon import default_mesh
from ceylon.compat.settling import as_runtime_error, begin, finish, look
from ceylon.errors import CeylonError, MailboxFullError, UnknownAgentError


async def failing() -> None:
    raise UnknownAgentError("shop", ["echo"])


def test_an_error_of_ours_becomes_a_runtime_error_and_stays_what_it_was() -> None:
    error = as_runtime_error(UnknownAgentError("shop", ["echo"]))

    assert isinstance(error, RuntimeError)
    assert isinstance(error, UnknownAgentError)
    assert (type(error).__name__, error.address) == ("UnknownAgentError", "shop")
    assert type(as_runtime_error(UnknownAgentError("shop", []))) is type(error)
    assert as_runtime_error(error) is error


def test_such_an_error_survives_a_process_pool() -> None:
    error = pickle.loads(pickle.dumps(as_runtime_error(MailboxFullError("shop", 5))))  # noqa: S301 – our own

    assert isinstance(error, RuntimeError)
    assert isinstance(error, MailboxFullError)
    assert str(error) == str(MailboxFullError("shop", 5))


def test_other_errors_stay_as_they_are() -> None:
    error = LookupError("shop")

    assert type(as_runtime_error(error)) is LookupError


def test_what_is_finished_runs_on_the_process_s_own_loop() -> None:
    async def where() -> object:
        return asyncio.get_running_loop()

    with pytest.raises(RuntimeError, match="shop"):
        finish(failing)
    assert finish(where) is finish(where)


async def test_what_has_begun_is_awaited_on_any_loop() -> None:
    interior = default_mesh().interior

    async def work() -> str:
        return "done"

    assert await begin(interior, work) == "done"
    with pytest.raises(CeylonError, match="shop"):
        await begin(interior, failing)
    assert look(interior, lambda: interior.name) == "default"
