"""The demos of what agents do with models: on a scripted model word by word, on a real one by their structure."""

import re
from typing import Any

import pytest

from ceylon import Reply, ToolCall, Usage
from support.examples import MODEL, printed_with, run_example
from support.turns import wants


def call(name: str, **arguments: Any) -> Reply[Any]:
    return wants(ToolCall("1", name, arguments))


def said(text: str) -> Reply[Any]:
    return Reply(text=text, usage=Usage(output=5))


def test_tools(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with(
        "demo_tools",
        capsys,
        *(call("stock", sort="sencha"), said("Three.")),
        *(call("sell", sort="assam"), said("Sold.")),
        *(call("opening_hours", day="tomorrow"), said("Closed.")),
        *(call("price", sort="sencha"), said("4.")),
        *(call("poet", query="tea"), said("O tea."), said("O tea!")),
    )

    assert "  calls stock(sort='sencha')\n  result of stock: 3\n  answer: Three. [2 requests, 6 tokens]" in found
    assert "  result of sell: sold; 11 left" in found
    assert "  result of opening_hours: closed" in found
    assert "  result of price: 4.0" in found
    assert "  result of poet: O tea.\n  answer: O tea! [3 requests, 11 tokens]" in found
    assert found.endswith("counted: 5 called, 0 failed, 0 invalid\n")


def test_typed_extraction(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with(
        "demo_typed_extraction",
        capsys,
        '{"lines": [{"sort": "sencha", "packets": 300}], "is_urgent": true}',
        '{"lines": [{"sort": "sencha", "packets": 3}, {"sort": "assam", "packets": 1}], "is_urgent": true}',
        '{"value": 4}',
        '{"value": "yes"}',
        *(f'{{"$type": "Verdict", "mood": "{mood}"}}' for mood in ("good", "bad", "so so")),
    )

    assert "  3 x sencha\n  1 x assam\n  urgent: True [2 requests]\n" in found
    assert "  4 and yes\n" in found
    assert "  bad    Late, broken, and stale.\n" in found


def test_streaming_chat(capsys: pytest.CaptureFixture[str]) -> None:
    long = [f"word{number} " for number in range(10_000)]
    found = printed_with("demo_streaming_chat", capsys, "Tea is a leaf.", "Rain is water.", long, "Goodbye.")

    assert "Word by word\nTea is a leaf.\n" in found
    assert "  it ended by 'stop'\n  pieces of text: 3\n" in found
    assert "  the first answer was broken off\n" in found
    assert found.endswith("The history: user, assistant, user, assistant, user, assistant\n")


def test_research_team(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with(
        "demo_research_team",
        capsys,
        *(call("researcher", query="What grows?"), call("search", topic="tea"), said("Tea does."), said("It is tea.")),
        *(call("transfer_to_writer", reason="style"), said("Tea is good.")),
        call("researcher", query="When does it rain?"),
    )

    assert "  the budget of 1 calls has 0 left, and the next request may need 1" in found
    assert "  researcher > result of search: Ceylon tea grows" in found
    assert "  answer by lead, 4 requests: It is tea.\n" in found
    assert "  the conversation goes on with writer\n  5 tokens\n  answer by writer, 2 requests: Tea is good.\n" in found


def test_approval(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed_with("demo_approval", capsys, call("pay", to="grower", amount=300), said("It was not allowed."))

    assert "  carrier has got 20\n" in found
    assert "was not run: denied by 'operator': more than 100\n" in found
    assert "may treasurer run pay with {'amount': 300, 'to': 'grower'}?" in found
    assert found.endswith("\n1 paid; the model's calls: 0 called, 1 denied\n")


@pytest.mark.model
@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_calls_on_a_real_model() -> None:
    done = run_example("demo_tools.py", "--model", MODEL)

    assert (done.returncode, done.stderr) == (0, "")
    counted = re.search(r"counted: (\d+) called, 0 failed, \d invalid\n$", done.stdout)  # invalid: cut off
    assert counted is not None
    assert int(counted[1]) >= 4  # each of these questions forces a call
