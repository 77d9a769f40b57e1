"""What an agent's turns go by: mostly the same from one query to the next, so it is made once and kept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ceylon.agents.outputs import output_of
from ceylon.agents.toolbox import NO_TOOLS, Toolbox, are_fixed, callees_of
from ceylon.agents.turn import Plan

if TYPE_CHECKING:
    from ceylon.agents.action import Action
    from ceylon.agents.agent import Agent
    from ceylon.agents.background import Background
    from ceylon.agents.llm_settings import LlmSettings
    from ceylon.agents.prompts import Prompt
    from ceylon.core.interior import Interior
    from ceylon.models.port import Model

__all__ = ["Plans"]


class Plans:
    """Makes the plans of one agent.

    Kept are the toolbox, as long as it holds nothing but functions and the agent's own actions (of another agent it
    depends on where that is, and what it can do, just then), and the plan of a query that wishes for nothing else.
    Nothing of it holds the agent, which leaves the default mesh with the last reference to it.
    """

    def __init__(self) -> None:
        self._settings: LlmSettings | None = None  # what is kept was made for these
        self._actions: Mapping[str, Action] = {}
        self._toolbox: Toolbox | None = None
        self._plan: Plan | None = None
        self._model: Model | None = None

    def plan(  # noqa: PLR0913, PLR0917 – what a turn depends on
        self,
        agent: "Agent",
        settings: "LlmSettings",
        model: "Model",
        prompt: "Prompt",
        background: "Background",
        interior: "Interior",
        handoffs: int,
    ) -> Plan:
        """Return what a turn of *agent* goes by: what *prompt* says comes before what the agent is set to."""
        if self._settings is not settings or self._actions is not agent.actions:
            self._settings, self._actions, self._toolbox, self._plan = settings, agent.actions, None, None
        has_wishes = prompt.output is not None or prompt.tool_choice is not None
        is_usual = not (has_wishes or background.told or background.actions)
        if is_usual and self._plan is not None and self._model is model:
            return self._plan
        toolbox = self._find_toolbox(agent, settings, background, interior)
        wanted = settings.output if prompt.output is None else prompt.output
        output = None if wanted is None else output_of(wanted)
        choice = settings.tool_choice if prompt.tool_choice is None else prompt.tool_choice
        request = settings.request(
            toolbox.tools, toolbox.check_choice(choice), None if output is None else output.schema
        )
        plan = Plan(background.onto(request), toolbox, output, settings.max_turns, model.name, handoffs)
        if is_usual and toolbox is self._toolbox:
            self._plan, self._model = plan, model
        return plan

    def _find_toolbox(
        self, agent: "Agent", settings: "LlmSettings", background: "Background", interior: "Interior"
    ) -> Toolbox:
        if self._toolbox is not None and not background.actions:
            return self._toolbox
        tools = (*settings.tools, *background.actions)
        has_any = bool(tools or settings.handoffs or self._actions)
        toolbox = Toolbox(callees_of(agent, tools, interior, settings.handoffs)) if has_any else NO_TOOLS
        if not background.actions and not settings.handoffs and are_fixed(tools):
            self._toolbox = toolbox
        return toolbox
