"""Examples as newcomers run them: processes of their own, on the embedded model unless `$CEYLON_MODEL` says other."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ceylon.models.scripted import ScriptedModel

if TYPE_CHECKING:
    import pytest

__all__ = [
    "DEADLINE",
    "DEMOS",
    "EXAMPLES",
    "MODEL",
    "ROOT",
    "SNIPPETS",
    "demo",
    "environment",
    "heading",
    "printed_with",
    "run_example",
    "started_example",
]

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
DEMOS: Final = sorted(path.name for path in EXAMPLES.glob("demo_*.py"))
SNIPPETS: Final = sorted(path.name for path in (EXAMPLES / "snippets").glob("*.py"))
MODEL: Final = os.environ.get("CEYLON_MODEL", "").strip() or "local::smollm2"
DEADLINE: Final = 280.0  # the embedded model shares its cores with the rest of the suite


def environment(**variables: str) -> dict[str, str]:
    """Return what an example runs in."""
    return {"CEYLON_LOCAL_THREADS": "1", "CEYLON_LOCAL_SEED": "1", **os.environ, "CEYLON_MODEL": MODEL, **variables}


def run_example(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    with started_example(name, *arguments, **variables) as process:
        try:
            printed, said = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def started_example(name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start an example, from a directory that is not its own, with warnings as errors; Ctrl-C interrupts it."""
    return subprocess.Popen(  # noqa: S603 – our own script
        [sys.executable, "-u", "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=ROOT.parent,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def heading(text: str, printed: str) -> str:
    """Return what *printed* has between the heading that begins with *text* and the next one."""
    lines = printed.splitlines()
    headings = [at for at, line in enumerate(lines[1:]) if line and set(lines[at + 1]) == {"-"}]
    begin = next(at for at in headings if lines[at].startswith(text))
    end = next((at for at in headings if at > begin), len(lines))
    return "\n".join(lines[begin + 2 : end])


def demo(name: str) -> ModuleType:
    """Return a demo as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed_with(name: str, capsys: "pytest.CaptureFixture[str]", *answers: Any) -> str:
    """Return what a demo prints whose model gives *answers*, all of them."""
    with ScriptedModel(answers) as model:
        demo(name).main(model)
    return capsys.readouterr().out
