"""A million messages leave nothing behind: none is lost, and the process is as large and as busy as it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from support import soak
from support.soak import Figures, complaints
from support.soak_agents import AGENTS

pytestmark = pytest.mark.process

MINUTES: Final = 600.0


def run(messages: int, sabotage: str = "") -> Figures:
    """Soak a mesh in a process of its own."""
    program = Path(soak.__file__)
    ended = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-W", "error", str(program), str(messages), *([sabotage] if sabotage else [])],
        capture_output=True,
        text=True,
        timeout=MINUTES,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(program.parents[1]), os.environ.get("PYTHONPATH", "")])},
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return msgspec.json.decode(ended.stdout, type=Figures)


@pytest.mark.slow
@pytest.mark.timeout(MINUTES)
def test_a_million_messages_over_fifty_agents_leave_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(1_000_000)

    assert complaints(figures) == []
    assert sum(count for _, count in AGENTS.values()) == 50
    assert figures.messages >= 1_000_000
    assert figures.failed >= figures.messages // 200
    assert min(figures.timeouts, figures.restarts) > 0
    (_, warm), (_, last) = figures.rss[0], figures.rss[-1]
    slower = figures.p99_at_end / figures.p99_at_start
    with capsys.disabled():
        print(  # noqa: T201 – the figures
            f"\nsoak: {figures.messages:,} messages, {figures.failed:,} failed, {figures.timeouts:,} asks out of time, "
            f"{figures.restarts:,} restarts, {figures.lost} lost, in {figures.seconds:.0f} s"
            f"\nsoak: memory {warm / 2**20:.1f} MiB after the first tenth, {last / 2**20:.1f} MiB at the end"
            f"\nsoak: 99 % of asks under load within {figures.p99_at_start * 1e3:.1f} ms at the start, "
            f"{figures.p99_at_end * 1e3:.1f} ms at the end ({slower:.2f} ×)"
        )


def test_a_short_soak_leaves_nothing_behind() -> None:
    assert complaints(run(30_000)) == []


@pytest.mark.parametrize(
    ("sabotage", "complaint"), [("drop", "1 messages are lost"), ("hoard", "memory grew")], ids=["drop", "hoard"]
)
def test_a_soak_notices_what_is_lost_and_what_is_kept(sabotage: str, complaint: str) -> None:
    found = complaints(run(60_000, sabotage))

    assert any(complaint in words for words in found), found
