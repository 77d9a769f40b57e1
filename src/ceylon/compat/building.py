"""How an agent with a language model is set up, step by step, in the manner of `ceylonai-next`."""

from typing import Any, Final, Self

from ceylon.agents.llm_agent import LlmAgent
from ceylon.compat.actions import PyToolInvoker, _PyAction
from ceylon.compat.callers import Talks
from ceylon.compat.llm_config import served
from ceylon.compat.offering import memory_actions, tool_of
from ceylon.compat.react import PyReActConfig
from ceylon.compat.seats import address_for
from ceylon.compat.settling import as_runtime_error
from ceylon.errors import CeylonError, NotBuiltError

__all__ = ["BuiltAgent"]

_SYSTEM_PROMPT: Final = "You are a helpful AI assistant."
"""What agents of `ceylonai-next` are told that are told nothing else."""


class BuiltAgent:
    """An agent that is set up by ``with_…`` and then built; `PyLlmAgent` is what it is for."""

    tool_invoker: PyToolInvoker
    _last_response: Any = None

    def _ceylon_set_up(self, name: str, options: dict[str, Any]) -> None:
        self._agent_name = name
        self._ceylon_options: dict[str, Any] = {"system_prompt": _SYSTEM_PROMPT, **served(options)}
        self._ceylon_inner = LlmAgent(address_for(name), **self._ceylon_options)
        self._ceylon_offered: tuple[_PyAction, ...] = ()
        self._ceylon_react: PyReActConfig | None = None
        self._ceylon_is_built = False
        self._ceylon_talks = Talks()
        if not hasattr(self, "tool_invoker"):
            self.tool_invoker = PyToolInvoker()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._agent_name!r} {self._ceylon_options['model']!r}>"

    def name(self) -> str:
        """Return what the agent is called."""
        return self._agent_name

    def with_api_key(self, api_key: str) -> Self:
        """Use this key; by default the provider's environment variable."""
        return self._ceylon_with(api_key=api_key)

    def with_system_prompt(self, prompt: str) -> Self:
        """Tell the model *prompt* first."""
        return self._ceylon_with(system_prompt=prompt)

    def with_temperature(self, temperature: float) -> Self:
        """Sample at *temperature*, from 0 to 2."""
        return self._ceylon_with(temperature=temperature)

    def with_max_tokens(self, max_tokens: int) -> Self:
        """Let answers be *max_tokens* long at most."""
        return self._ceylon_with(max_tokens=max_tokens)

    def _ceylon_with(self, **changes: Any) -> Self:
        self._ceylon_options |= changes
        for option, value in changes.items():
            getattr(self._ceylon_inner, f"with_{option}")(value)
        return self

    def with_memory(self, memory: Any) -> Self:
        """Let the model save to *memory* and search it, by actions."""
        for each in memory_actions(memory):
            self.tool_invoker.register(each)
        return self

    def with_react(self, config: PyReActConfig) -> Any:
        """Let `send_message_react` reason as *config* says."""
        self._ceylon_react = config
        return self

    def register_action(self, action: _PyAction) -> Any:
        """Let the model call *action*."""
        self.tool_invoker.register(action)
        return self

    def add_action(self, action: _PyAction) -> Self:
        """Let the model call *action*."""
        self.tool_invoker.register(action)
        return self

    def add_tool(self, action: _PyAction) -> Self:
        """Let the model call *action*."""
        return self.add_action(action)

    def build(self) -> Self:
        """Check what the agent is set to; it can be asked from now on.

        Raises:
            RuntimeError: the model string means nothing, a key is missing, a setting is out of its range.
        """
        try:
            self._ceylon_inner.build()
        except CeylonError as error:
            raise as_runtime_error(error) from error.__cause__
        self._ceylon_is_built = True
        return self

    def is_built(self) -> bool:
        """Say whether `build` has been called."""
        return self._ceylon_is_built

    def _ceylon_get_ready(self) -> LlmAgent:
        """Offer the model the actions there are now; return the agent of ours that speaks with it.

        Raises:
            NotBuiltError: `build` has not been called.
        """
        if not self._ceylon_is_built:
            raise NotBuiltError(self._agent_name)
        actions = tuple(self.tool_invoker.actions.values())
        if actions != self._ceylon_offered:
            self._ceylon_options["tools"] = tools = [tool_of(each) for each in actions]
            self._ceylon_inner.with_tools(*tools)
            self._ceylon_offered = actions
        return self._ceylon_inner
