"""Programs in the style of `ceylonai-next` as their owners run them, and a model that does as it is told.

The programs are run on the real packages too, where they can, for comparison: `python -m support.compat_programs PYTHON
PACKAGE [program …]` with the interpreter and the package that has one installed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ceylon.models.turns import ToolCall
from ceylon.testing.model_server import ModelServer, Recorded, Said

__all__ = ["PROGRAMS", "Obliging", "model_server", "run_program"]

PROGRAMS: Final = Path(__file__).parents[1] / "compat" / "programs"
_SECONDS: Final = 120.0  # a loaded machine
_TAIL: Final = 2_000  # characters of what a program complains of
_RULES: Final = (
    (r"weather in (?P<location>\w+)", "get_weather"),
    (r"multiply (?P<a>\d+) and (?P<b>\d+)", "multiply"),
    (r"What time", "get_time"),
    (r"Remember: (?P<content>.*)", "save_memory"),
    (r"know about (?P<query>\w+)", "search_memory"),
    (r"Where was (?P<name>\w+)", "look_up"),
)


class Obliging:
    """A model that repeats what it is to say and calls what a question is about.

    It calls as the packages want it: by tools, in words, by ReAct of either form.
    """

    def reply(self, request: Recorded) -> Said:
        """Return the answer."""
        body = request.json
        messages: list[dict[str, Any]] = body["messages"]
        last: str = messages[-1]["content"]
        told = "\n".join(each["content"] for each in messages[:-1])
        if messages[-1]["role"] == "tool" or last.startswith(("Tool result: ", "Observation: ")):
            return _answer(last.partition(": ")[2] if messages[-1]["role"] != "tool" else last, told)
        if "Continue reasoning" in last:
            return _answer(messages[-2]["content"].partition(": ")[2], told)
        for pattern, name in _RULES:
            found = re.search(pattern, last)
            if found:
                return _call(name, found.groupdict(), body, told)
        return Said(text=f"you want: {last.rpartition('Say ')[2]}")


def _call(name: str, arguments: dict[str, Any], body: dict[str, Any], told: str) -> Said:
    values = {key: int(value) if value.isdigit() else value for key, value in arguments.items()}
    written = json.dumps(values)
    if body.get("tools"):
        return Said(calls=(ToolCall("", name, values),))
    if "Thought:" in told:
        given = f"Action: {name}[{written}]" if "action_input]" in told else f"Action: {name}\nAction Input: {written}"
        return Said(text=f"Thought: I must find out\n{given}")
    return Said(text=f"USE_TOOL: {name}\n{written}")


def _answer(result: str, told: str) -> Said:
    if "Thought:" not in told:
        return Said(text=f"It is so: {result}")
    end = f"Action: finish[{result}]" if "action_input]" in told else f"Final Answer: {result}"
    return Said(text=f"Thought: now I know\n{end}")


def model_server() -> ModelServer:
    """Return a server for the model that the programs name."""
    return ModelServer(Obliging(), models=("gemma3:latest",), capabilities=("completion", "tools"))


def run_program(
    name: str, url: str, directory: Path, *, python: str = sys.executable, options: Iterable[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end in *directory*, which is its place for temporary files too; the model is at *url*."""
    path = {} if python == sys.executable else {"PYTHONPATH": ""}  # ours would hide the other package
    environment = {**os.environ, **path, "OLLAMA_URL": url, "TMPDIR": str(directory)}
    return subprocess.run(  # noqa: S603 – our own script
        [python, *options, name],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )


def main(arguments: list[str]) -> None:
    """Run programs on another package, and print what they print."""
    python, package, *wanted = arguments
    with model_server() as server, tempfile.TemporaryDirectory() as directory:
        for program in sorted(PROGRAMS.glob("*.py")):
            if wanted and program.stem not in wanted:
                continue
            text = program.read_text(encoding="utf-8").replace("from ceylon.compat import", f"from {package} import")
            copy = Path(directory) / program.name
            copy.write_text(text, encoding="utf-8")
            done = run_program(str(copy), server.base_url, Path(directory), python=python)
            said = f"{done.stdout}{done.stderr[-_TAIL:]}ended with {done.returncode}"
            sys.stdout.write(f"=== {program.stem}\n{said}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
