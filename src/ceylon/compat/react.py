"""ReAct as `ceylonai-next` spells it, on the form of `ceylon.models.react`: here the actions do run."""

from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec

from ceylon.agents.llm_agent import LlmAgent
from ceylon.compat.checking import whole
from ceylon.errors import ArgumentError, MaxTurnsError
from ceylon.models.turns import Part, ReplyPart, ThinkingPart, ToolCallPart, ToolResultPart

__all__ = [
    "PyReActConfig",
    "PyReActResult",
    "PyReActStep",
    "ReActConfig",
    "ReActResult",
    "ReActStep",
    "react_of",
    "reason",
]

_MAX_ITERATIONS: Final = 10  # the origin's
_THOUGHT: Final = "Thought:"
_ACTION: Final = "Action:"
_FINISH: Final = "finish"  # what the origin calls the step that answers
_ANSWERED: Final = "Success"
_GAVE_UP: Final = "MaxIterations"
_SHOWN: Final = 50  # characters of a text in a repr
_RULE: Final = "=" * 60


class PyReActConfig:
    """How an agent reasons. The methods change it and return it.

    The model is always told of ``Thought:`` and ``Action:``, which is what models know; the prefixes are those that
    `PyReActResult.print_trace` writes.
    """

    def __init__(self) -> None:
        self._max_iterations = _MAX_ITERATIONS
        self._thought_prefix, self._action_prefix = _THOUGHT, _ACTION

    def __repr__(self) -> str:
        return f"ReActConfig(max_iterations={self._max_iterations})"

    @property
    def max_iterations(self) -> int:
        """How often the model may be asked for one answer."""
        return self._max_iterations

    @property
    def prefixes(self) -> tuple[str, str]:
        """What a trace writes before thoughts and before actions."""
        return self._thought_prefix, self._action_prefix

    def with_max_iterations(self, max_iterations: int) -> Self:
        """Let the model be asked so often for one answer at most."""
        if not whole("max_iterations", max_iterations):
            sentence = "max_iterations=0 cannot be; the model is asked once at least"
            raise ArgumentError(sentence)
        self._max_iterations = max_iterations
        return self

    def with_thought_prefix(self, prefix: str) -> Self:
        """Write this before thoughts."""
        self._thought_prefix = prefix
        return self

    def with_action_prefix(self, prefix: str) -> Self:
        """Write this before actions."""
        self._action_prefix = prefix
        return self


class PyReActStep(msgspec.Struct, frozen=True):
    """One round of reasoning.

    Attributes:
        iteration: Its number, from 1.
        thought: What the model thought.
        action: What it called; ``"finish"`` where it answered, `None` where it did neither.
        action_input: The arguments as JSON; of ``"finish"`` the answer.
        observation: What the action said.
    """

    iteration: int
    thought: str
    action: str | None = None
    action_input: str | None = None
    observation: str | None = None

    def __repr__(self) -> str:
        return f"ReActStep(iteration={self.iteration}, thought='{_short(self.thought)}')"

    def lines(self, thought_prefix: str, action_prefix: str) -> Iterator[str]:
        """Yield it for a trace."""
        yield f"Iteration {self.iteration}:"
        yield f"{thought_prefix} {self.thought}"
        if self.action is not None:
            yield f"{action_prefix} {self.action}[{self.action_input or ''}]"
        if self.observation is not None:
            yield f"Observation: {self.observation}"
        yield ""


class PyReActResult(msgspec.Struct, frozen=True):
    """What reasoning came to.

    Attributes:
        answer: The answer; where there is none, the last that was said or thought.
        iterations: How many rounds there were.
        finish_reason: ``"Success"`` or ``"MaxIterations"``.
        steps: The rounds.
        prefixes: What a trace writes before thoughts and before actions.
    """

    answer: str
    iterations: int
    finish_reason: str
    steps: tuple[PyReActStep, ...] = ()
    prefixes: tuple[str, str] = (_THOUGHT, _ACTION)

    def __repr__(self) -> str:
        return f"ReActResult(answer='{_short(self.answer)}', iterations={self.iterations})"

    def get_steps(self) -> list[PyReActStep]:
        """Return the rounds, first to last."""
        return list(self.steps)

    def print_trace(self) -> None:
        """Print all rounds and the answer, for people to read."""
        lines = [f"ReAct Trace ({self.iterations} iterations)", _RULE, ""]
        for step in self.steps:
            lines += step.lines(*self.prefixes)
        print("\n".join([*lines, _RULE, f"Final Answer: {self.answer}"]))  # noqa: T201 – what it is for


ReActConfig = PyReActConfig
ReActStep = PyReActStep
ReActResult = PyReActResult


def react_of(config: PyReActConfig) -> dict[str, Any]:
    """Return *config* as keyword options of a `ceylon.LlmAgent`."""
    return {"react": True, "max_turns": config.max_iterations}


async def reason(agent: LlmAgent, question: str, config: PyReActConfig) -> PyReActResult:
    """Ask *agent*, set up by `react_of`, and return how it came to its answer; too many rounds are no error here."""
    rounds = _Rounds()
    try:
        async with agent.parts(question) as parts:
            async for part in parts:
                rounds.take(part)
    except MaxTurnsError as error:
        return rounds.result(error.text or rounds.last_thought, _GAVE_UP, config)
    rounds.add(_FINISH, rounds.answer)
    return rounds.result(rounds.answer, _ANSWERED, config)


class _Rounds:
    """Puts the parts of an answer together to steps."""

    def __init__(self) -> None:
        self._steps: list[PyReActStep] = []
        self._calls: dict[str, int] = {}  # which step a call is
        self._thought = ""
        self.answer = ""

    @property
    def last_thought(self) -> str:
        """What was thought last."""
        return self._thought or next((each.thought for each in reversed(self._steps) if each.thought), "")

    def take(self, part: Part) -> None:
        """Take in the next part."""
        match part:
            case ThinkingPart(text):
                self._thought += text
            case ToolCallPart(call):
                self._calls[call.id] = len(self._steps)
                self.add(call.name, msgspec.json.encode(call.arguments).decode())
            case ToolResultPart(result):
                place = self._calls[result.id]
                self._steps[place] = msgspec.structs.replace(self._steps[place], observation=result.text)
            case ReplyPart(reply):
                self.answer = reply.text
            case _:
                pass

    def add(self, action: str, action_input: str) -> None:
        """End a step, by what it does."""
        self._steps.append(PyReActStep(len(self._steps) + 1, self._thought.strip(), action, action_input))
        self._thought = ""

    def result(self, answer: str, reason: str, config: PyReActConfig) -> PyReActResult:
        """Return all that there is."""
        return PyReActResult(answer, len(self._steps), reason, tuple(self._steps), config.prefixes)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
