"""ReAct of `ceylonai-next`: here the actions run, and a trace shows how an answer came about."""

import pytest

from ceylon.compat import LlmAgent, ReActConfig
from ceylon.models.turns import Request
from ceylon.testing import ScriptedModel


def detective(*answers: str, config: ReActConfig | None = None) -> LlmAgent:
    """Return an agent that can look somebody up, and whose model says *answers*."""
    agent = LlmAgent("detective", ScriptedModel(answers))

    @agent.action(description="Look somebody up.")
    def look_up(name: str) -> str:
        return f"{name} was in Galle"

    return agent.build().with_react(config)


LOOK = 'Thought: I must look\nAction: look_up\nAction Input: {"name": "Perera"}'
END = "Thought: now I know\nFinal Answer: in Galle"


def test_actions_run_and_the_steps_say_what_came_of_them() -> None:
    result = detective(LOOK, END).send_message_react("Where was Perera?")

    assert (result.answer, result.finish_reason, result.iterations) == ("in Galle", "Success", 2)
    assert [
        (step.iteration, step.thought, step.action, step.action_input, step.observation) for step in result.get_steps()
    ] == [
        (1, "I must look", "look_up", '{"name":"Perera"}', "Perera was in Galle"),
        (2, "now I know", "finish", "in Galle", None),
    ]
    assert repr(result) == "ReActResult(answer='in Galle', iterations=2)"
    assert repr(result.get_steps()[0]) == "ReActStep(iteration=1, thought='I must look')"


def test_too_many_rounds_are_a_result_with_the_steps_so_far() -> None:
    agent = detective(*[LOOK] * 5, config=ReActConfig().with_max_iterations(2))

    result = agent.send_message_react("Where?")

    assert (result.finish_reason, result.iterations, result.answer) == ("MaxIterations", 2, "I must look")
    assert {step.observation for step in result.get_steps()} == {"Perera was in Galle"}


def test_an_action_that_is_not_there_is_told_to_the_model() -> None:
    result = detective(LOOK.replace("look_up", "look_down"), END).send_message_react("Where?")

    assert "look_up" in str(result.get_steps()[0].observation)
    assert result.answer == "in Galle"


def test_a_trace_is_printed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    config = ReActConfig().with_thought_prefix("I think:").with_action_prefix("I do:")

    detective(LOOK, END, config=config).send_message_react("Where?").print_trace()

    assert capsys.readouterr().out == (
        f"ReAct Trace (2 iterations)\n{'=' * 60}\n\n"
        "Iteration 1:\nI think: I must look\n"
        'I do: look_up[{"name":"Perera"}]\nObservation: Perera was in Galle\n\n'
        "Iteration 2:\nI think: now I know\nI do: finish[in Galle]\n\n"
        f"{'=' * 60}\nFinal Answer: in Galle\n"
    )


def test_long_words_are_cut_in_a_repr() -> None:
    result = detective(f"Final Answer: {'a' * 80}").send_message_react("Where?")

    assert repr(result) == f"ReActResult(answer='{'a' * 50}...', iterations=1)"


def test_an_agent_without_react_says_what_is_missing_and_no_number_below_one_is_taken() -> None:
    with pytest.raises(RuntimeError, match="with_react"):
        LlmAgent("a", ScriptedModel(["x"])).build().send_message_react("Where?")
    with pytest.raises(ValueError, match="once at least"):
        ReActConfig().with_max_iterations(0)


def test_a_model_that_fails_is_an_error_and_no_result() -> None:
    class UnwillingError(Exception):
        pass

    def refuse(_: Request) -> str:
        raise UnwillingError

    agent = LlmAgent("detective", ScriptedModel([refuse])).build().with_react()

    with pytest.raises(UnwillingError):
        agent.send_message_react("Where?")
