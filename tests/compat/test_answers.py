"""What `send_message` returns: a coroutine and a text, whichever of the two versions a program was written for."""

import asyncio
import gc
import inspect
import json
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from ceylon.compat.answers import Answer, Told


async def said() -> str:
    return "four"


async def failing() -> str:
    message = "no model"
    raise LookupError(message)


def answer() -> Answer:
    return Answer(said, "tutor")


def test_a_text_that_is_there_reads_as_text_everywhere() -> None:
    told = Told("four")

    assert (told, f"{told:>6}", json.dumps([told]), " ".join([told, *"!"]), len(told)) == (
        "four",
        "  four",
        '["four"]',
        "four !",
        4,
    )
    assert isinstance(told, str)
    assert isinstance(told, Coroutine)


def test_a_text_that_is_there_can_be_run_as_a_coroutine() -> None:
    async def together() -> Any:
        return await asyncio.gather(Told("a"), asyncio.create_task(Told("b")), asyncio.wait_for(Told("c"), 60))

    assert asyncio.run(Told("four")) == "four"
    assert type(asyncio.run(Told("four"))) is str
    assert list(asyncio.run(together())) == ["a", "b", "c"]


def test_an_error_is_thrown_into_a_text_that_is_there() -> None:
    with pytest.raises(ValueError, match="stop"):
        Told("four").throw(ValueError("stop"))
    Told("four").close()


async def test_an_answer_is_awaited_as_often_as_one_likes() -> None:
    coming = answer()

    assert inspect.isawaitable(coming)
    assert [await coming, await coming, str(coming)] == ["four"] * 3


@pytest.mark.parametrize("way", ["gather", "create_task", "wait_for", "shield", "as_completed", "task group"])
def test_asyncio_takes_an_answer_as_a_coroutine(way: str) -> None:
    async def take() -> Any:
        match way:
            case "gather":
                return (await asyncio.gather(answer(), answer()))[1]
            case "create_task":
                return await asyncio.create_task(answer())
            case "wait_for":
                return await asyncio.wait_for(answer(), 60)
            case "shield":
                return await asyncio.shield(answer())
            case "as_completed":
                return [await each for each in asyncio.as_completed([answer(), answer()])].pop()
            case _:
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(answer())
                return task.result()

    assert asyncio.run(take()) == "four"


async def test_an_answer_that_is_read_as_text_waits_for_it() -> None:
    coming: Any = answer()

    assert "said " + coming == "said four"
    assert (coming == "four", "ou" in coming, coming.upper(), coming[1:], len(coming)) == (True, True, "FOUR", "our", 4)
    assert f"{coming:>6}{coming}" == "  fourfour"
    assert await coming == "four"


async def test_what_reads_text_in_c_refuses_an_answer_and_reads_nothing_wrong() -> None:
    coming = answer()

    with pytest.raises(TypeError):
        json.dumps({"text": coming})
    with pytest.raises(TypeError):
        " ".join([coming, *"!"])  # type: ignore[list-item]
    assert await coming == "four"


async def test_an_answer_is_a_key_of_its_own() -> None:
    first, second = answer(), answer()

    assert {first: 1, second: 2}[second] == 2
    assert first != second
    assert [await first, await second] == ["four", "four"]


async def test_an_answer_says_whose_it_is_without_waiting_for_it() -> None:
    coming = answer()

    assert repr(coming) == "<Answer of 'tutor': not there yet>"
    await coming
    assert repr(coming) == "<Answer of 'tutor': 'four'>"


async def test_an_error_comes_each_time_an_answer_is_asked_for() -> None:
    coming = Answer(failing, "tutor")

    for _ in range(2):
        with pytest.raises(LookupError, match="no model"):
            await coming
    with pytest.raises(LookupError, match="no model"):
        str(coming)


def test_an_answer_nobody_asks_for_is_told() -> None:
    def forget() -> None:
        _ = answer()
        gc.collect()

    with pytest.warns(RuntimeWarning, match="'tutor' was never awaited"):
        forget()


def test_a_closed_answer_is_no_loss() -> None:
    answer().close()
    gc.collect()


def test_an_answer_whose_task_is_cancelled_before_its_first_step_is_no_loss() -> None:
    async def cancel() -> None:
        task = asyncio.create_task(answer())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(cancel())
        gc.collect()

    assert not caught
