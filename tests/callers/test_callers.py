"""The caller matrix: whoever calls, from whatever thread, loop or process, every verb works and says the same."""

import pytest

from support.callers_awaited import AWAITED
from support.callers_blocking import BLOCKING
from support.callers_expected import EXPECTED
from support.callers_ways import WAYS


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", WAYS)
def test_caller(caller: str, verb: str, model_url: str) -> None:
    assert WAYS[caller](verb, model_url) == EXPECTED[verb]


def test_every_verb_has_both_forms() -> None:
    assert set(AWAITED) == set(BLOCKING) == set(EXPECTED)
