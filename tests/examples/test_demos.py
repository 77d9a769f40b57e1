"""The other demos on a real model, and every demo where there is none."""

import re
import signal
import socket
from collections.abc import Iterator

import pytest

from support.examples import DEADLINE, DEMOS, EXAMPLES, MODEL, ROOT, heading, run_example, started_example

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def printed_by(name: str) -> str:
    """Return what a demo prints; it fails at any word on standard error."""
    done = run_example(name, "--model", MODEL)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def nowhere() -> str:
    """An address where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs started here be interrupted, also where the suite itself runs in the background and is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.model
def test_async_agent() -> None:
    printed = printed_by("demo_async_agent.py")

    assert heading("An async on_message", printed).split() == ["greeter", "greets", "Ada"]
    assert heading("A sync on_message", printed).splitlines()[:2] == ["2.5", "4.80 with tax"]
    assert re.match(r"10 handlers that wait 50 ms each took \d+ ms together", heading("Ten agents", printed))
    assert "two packets of assam cost 5.00" in heading("Typed messages", printed)
    restocked, quoted, stocked, advertised = heading("Actions", printed).rstrip().split("\n", maxsplit=3)
    assert restocked == "13 packets after restocking"
    assert quoted == "12.0 for three packets of sencha"
    assert stocked == "13 packets, 32.50 together"
    assert advertised.strip()
    assert "writer: 1 of 1 messages completed" in heading("Counted", printed)


@pytest.mark.model
def test_simple_agent() -> None:
    # By the headings: what the model says may have empty lines of its own.
    mesh, _, rest = printed_by("demo_simple_agent.py").partition("\n\nA language model\n")
    model, _, stream = rest.partition("\n\nThe answer as it comes\n")

    assert mesh.splitlines()[1:] == ["  3 words so far", "  10 words so far", "  104 words so far"]
    assert re.search(r"\[\S+: \d+ tokens, end: (stop|length)\]", model)
    assert stream.strip()


@pytest.mark.model
def test_conversation() -> None:
    printed = printed_by("demo_conversation.py")

    assert re.search(r"^  alice: 4 turns, \d+ characters$", printed, re.MULTILINE)
    assert re.search(r"^  bob: 2 turns, \d+ characters$", printed, re.MULTILINE)
    assert "  alice, cleared: 0 turns\n" in printed
    assert printed.endswith(
        "\nA turn that fails leaves the history as it was\n"
        "  ArgumentError: the query is empty; there is nothing to ask the model\n"
        "  bob: 2 turns\n"
    )


@pytest.mark.model
def test_everywhere() -> None:
    *callers, threads = printed_by("demo_everywhere.py").splitlines()
    answers = {line[:25].strip(): line[25:].strip() for line in callers}

    assert list(answers) == [
        "script",
        "thread",
        "asyncio",
        "asyncio, another loop",
        "thread with its own loop",
        "trio",
        "five loops at once",
        "script, again",
    ]
    assert all(answers.values())
    assert answers["trio"] != "(not installed)"
    assert answers["five loops at once"].startswith("5 answers, the first: ")
    assert threads == "threads of the mesh: ceylon default loop, ceylon default watchdog"


@pytest.mark.model
def test_rag() -> None:
    printed = printed_by("demo_rag.py")
    sources = re.compile(r"^  source: (docs/\S+), chunk \d+, under '(.+)'$", re.MULTILINE)

    *files, together = re.findall(r"(\d+) chunks", heading("Read", printed))
    assert sum(map(int, files)) == int(together)
    full = sources.findall(heading("What happens to a tell", printed))
    restart = sources.findall(heading("How do I restart", printed))
    assert all(
        re.search(r"mailbox.*\bfull\b", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL) for page, _ in full
    )
    assert "docs/guides/supervision.md" in {page for page, _ in restart}
    assert len(full) == len(restart) == 2
    assert all(heading(text, printed).strip()[:8] != "source: " for text in ("What happens", "How do I"))


@pytest.mark.parametrize("name", DEMOS)
def test_without_a_server_a_demo_ends_with_the_sentence_of_the_error(name: str, nowhere: str) -> None:
    done = run_example(name, "--model", "ollama::gemma3:latest", OLLAMA_HOST=nowhere)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: ollama::gemma3:latest: cannot reach http://{nowhere}. Start Ollama")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", DEMOS)
def test_a_wrong_model_string_ends_a_demo_with_the_spelling(name: str) -> None:
    done = run_example(name, "--model", "olama::gemma3")

    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown provider 'olama' in 'olama::gemma3'; did you mean 'ollama'?")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.model
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("name", DEMOS)
def test_ctrl_c_ends_a_demo_without_a_word(name: str) -> None:
    with started_example(name, "--model", MODEL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)

    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("demo_*")), ids=lambda path: path.name)
def test_no_demo_plays_a_prepared_reply(path: object) -> None:
    assert "scripted" not in (EXAMPLES / str(path)).read_text(encoding="utf-8").lower()
