"""The fixture `cassette`: recorded the first time, replayed the second, and nothing kept of a test that fails."""

from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.process

TEST: Final = """
import pytest
from ceylon import LlmAgent
from ceylon.testing import ScriptedModel

@pytest.mark.anyio
@pytest.mark.parametrize("question", ["What is tea?", "one/two"])
async def test_tea(mesh, cassette, question):
    agent = LlmAgent("tutor", ScriptedModel([ANSWERS]))
    mesh.add(agent)
    assert mesh.interior.sources.__class__.__module__ == "ceylon.testing.tape"
    assert await agent.send_message_async(question) == "hello"

def test_blocking(blocking_mesh, cassette):
    agent = LlmAgent("tutor", ScriptedModel([ANSWERS]))
    blocking_mesh.add(agent)
    assert agent.send_message("hi") == "hello"
"""
RECORDED: Final = """
cassette: 1
exchanges:
  - model: scripted::model
    verb: complete
    request:
      turns:
        - role: user
          text: ho
    reply:
      text: hello
"""
FILES: Final = ["test_blocking.cassette", "test_tea-What_is_tea_.cassette", "test_tea-one_two.cassette"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CEYLON_RECORD", raising=False)
    pytester.makeini("[pytest]\naddopts = -p ceylon.testing.plugin -p no:cacheprovider -p no:randomly")
    return pytester


def cassettes(project: pytest.Pytester) -> list[str]:
    return sorted(path.name for path in (project.path / "cassettes/test_shop").glob("*"))


def play(project: pytest.Pytester, answers: str, *arguments: str) -> pytest.RunResult:
    """Run the tests with a model that gives *answers*."""
    project.makepyfile(test_shop=TEST.replace("ANSWERS", answers))
    return project.runpytest_subprocess(*arguments)


def test_a_test_records_the_first_time_and_replays_the_second(project: pytest.Pytester) -> None:
    play(project, "'hello'").assert_outcomes(passed=5)
    assert cassettes(project) == FILES
    before = (project.path / "cassettes/test_shop" / FILES[0]).read_bytes()

    play(project, "", "--ceylon-record=0").assert_outcomes(passed=5)
    assert (project.path / "cassettes/test_shop" / FILES[0]).read_bytes() == before


def test_a_test_that_fails_leaves_no_cassette_and_one_that_differs_says_how(project: pytest.Pytester) -> None:
    path = Path(project.path / "cassettes/test_shop" / FILES[0])
    path.parent.mkdir(parents=True)
    path.write_text(RECORDED)
    result = play(project, "'goodbye'")
    result.assert_outcomes(failed=5)
    assert cassettes(project) == FILES[:1]
    result.stdout.fnmatch_lines(["*-      text: ho", "*+      text: hi"])
