"""Most requests find nothing in their way, and go without a look at what could be: but only those."""

from typing import Any

import msgspec
import pytest

from ceylon import Mesh
from ceylon.errors import ModelStatusError, ModelUnavailableError
from ceylon.models.governor.governor import Governor
from ceylon.models.governor.line import Place
from ceylon.settings import DEFAULTS

LIMITS = [(b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"0")]


def place(**facts: Any) -> Place:
    """Return a place of a request."""
    return Place(root=1, priority=0, **{"need": (1, 1), **facts})


def limited(**changes: Any) -> Mesh:
    """Return a mesh with *changes* of its settings."""
    return Mesh("limited", settings=msgspec.structs.replace(DEFAULTS, **changes))


def refuse() -> tuple[int, int]:
    """Stand for the tokens of a request that nobody may reckon."""
    raise AssertionError


async def test_a_request_goes_whose_tokens_nobody_reckons() -> None:
    async with Mesh() as mesh:
        governor = Governor("openai::m", mesh.interior)
        going = place(need=refuse)

        assert governor.admit_nowait(going)
        governor.answered(going, (10, 1))
        assert governor.is_idle


async def test_they_are_reckoned_once_a_limit_is_known() -> None:
    async with Mesh() as mesh:
        governor = Governor("openai::m", mesh.interior)
        governor.hear([(b"x-ratelimit-limit-tokens", b"60"), (b"x-ratelimit-remaining-tokens", b"60")])

        with pytest.raises(AssertionError):
            governor.admit_nowait(place(need=refuse))
        assert governor.admit_nowait(place(need=(20, 20)))
        assert not governor.admit_nowait(place(need=(20, 20)))


async def test_what_went_before_a_limit_was_known_gives_nothing_of_it_back() -> None:
    async with Mesh() as mesh:
        governor = Governor("openai::m", mesh.interior)
        first = place(need=(64, 1_024))
        assert governor.admit_nowait(first)
        governor.hear([(b"x-ratelimit-limit-tokens", b"10000"), (b"x-ratelimit-remaining-tokens", b"10")])
        governor.answered(first, (20, 5))

        assert not governor.admit_nowait(place(need=(500, 400)))


async def test_nothing_goes_past_a_limit_or_past_those_who_wait() -> None:
    async with Mesh() as mesh:
        governor = Governor("openai::m", mesh.interior)
        governor.hear(LIMITS)
        assert not governor.admit_nowait(place())

        waiting = Governor("openai::n", mesh.interior)
        waiting.line.join(place())
        assert not waiting.admit_nowait(place())


async def test_so_many_go_at_once_before_anybody_has_been_refused() -> None:
    async with limited(governor_room=2) as mesh:
        governor = Governor("openai::m", mesh.interior)

        assert [governor.admit_nowait(place()) for _ in range(3)] == [True, True, False]


async def test_nothing_goes_to_a_server_that_is_ill_or_has_asked_for_a_pause() -> None:
    async with limited(breaker_failures=1) as mesh:
        ill, busy = Governor("openai::m", mesh.interior), Governor("openai::n", mesh.interior)
        gone, refused = place(), place()
        assert ill.admit_nowait(gone)
        assert busy.admit_nowait(refused)
        error = ModelUnavailableError("m", "gone", "wait")
        ill.failed(gone, error)
        ill.gave_up(gone, error)
        busy.failed(refused, ModelStatusError("m", 503, "busy", retry_after=30.0))

        assert not ill.admit_nowait(place())
        assert not busy.admit_nowait(place())


async def test_what_was_refused_goes_by_the_allowance_even_where_no_limit_is_known() -> None:
    async with limited(retry_share=0.0, retry_spare=0) as mesh:
        governor = Governor("openai::m", mesh.interior)

        assert governor.admit_nowait(place())
        assert not governor.admit_nowait(place(tries=1, was_refused=True))
