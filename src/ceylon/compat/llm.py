"""Language-model agents as `ceylonai-next` spells them: built step by step, asked by `send_message` of two meanings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ceylon.agents.llm_agent import LlmAgent as OurLlmAgent
from ceylon.compat.actions import PyToolInvoker, _PyAction, tool_of
from ceylon.compat.agents import Agent
from ceylon.compat.answers import Answer, Told
from ceylon.compat.callers import Talks, caller
from ceylon.compat.memory import memory_actions
from ceylon.compat.meter import meter
from ceylon.compat.react import PyReActConfig, PyReActResult, react_of, reason
from ceylon.compat.seats import Received, Said, address_for
from ceylon.compat.settling import as_runtime_error, finish, loop_runs
from ceylon.errors import CeylonError, NotBuiltError
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["LlmAgent", "LlmConfig", "PyLlmAgent", "PyLlmConfig"]

F = TypeVar("F", bound=Callable[..., Any])

_SYSTEM_PROMPT: Final = "You are a helpful AI assistant."
"""What agents of `ceylonai-next` are told that are told nothing else."""


class PyLlmConfig:
    """What a language-model agent is set to; made by ``LlmConfig.builder()``, each method returns it."""

    def __init__(self) -> None:
        self._provider = self._model = ""
        self._others: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<LlmConfig {self.model_string!r}>"

    @staticmethod
    def builder() -> "PyLlmConfig":
        """Begin one."""
        return PyLlmConfig()

    def provider(self, provider: str) -> Self:
        """Set the provider: ``"ollama"``, ``"openai"`` or another."""
        self._provider = provider
        return self

    def model(self, model: str) -> Self:
        """Set the model, by the provider's name for it."""
        self._model = model
        return self

    def base_url(self, base_url: str) -> Self:
        """Set the server's address."""
        return self._with(base_url=base_url)

    def temperature(self, temperature: float) -> Self:
        """Set the temperature, from 0 to 2."""
        return self._with(temperature=temperature)

    def max_tokens(self, max_tokens: int) -> Self:
        """Set the longest answer."""
        return self._with(max_tokens=max_tokens)

    def build(self) -> Self:
        """Return it; it is checked where an agent is built."""
        return self

    def _with(self, **changes: Any) -> Self:
        self._others |= changes
        return self

    @property
    def model_string(self) -> str:
        """The model as ``provider::model``."""
        return f"{self._provider}::{self._model}" if self._provider else self._model

    @property
    def options(self) -> dict[str, Any]:
        """The same as the keyword options of a `ceylon.LlmAgent`."""
        return {"model": self.model_string, **self._others}


LlmConfig = PyLlmConfig


class PyLlmAgent:
    """An agent that answers with a language model; set it up by ``with_…``, then `build` it.

    What one caller asks in turn is one conversation; what is asked beside an open question of the same caller stands by
    itself, so that questions asked together are answered together. See `ceylon.compat.callers`.

    Args:
        name: What it is called.
        model: ``provider::model``.
    """

    tool_invoker: PyToolInvoker
    _last_response: Any = None

    def __init__(self, name: str, model: str) -> None:
        self._set_up(name, {"model": model})

    @staticmethod
    def with_config(name: str, config: PyLlmConfig) -> "PyLlmAgent":
        """Return an agent that is set to what *config* says."""
        made = PyLlmAgent.__new__(PyLlmAgent)
        made._set_up(name, config.options)  # noqa: SLF001 – the same class
        return made

    def _set_up(self, name: str, options: dict[str, Any]) -> None:
        self._agent_name = name
        self._options: dict[str, Any] = {"system_prompt": _SYSTEM_PROMPT, **options}
        self._inner = OurLlmAgent(address_for(name), **self._options)
        self._offered: tuple[_PyAction, ...] = ()
        self._react: PyReActConfig | None = None
        self._is_built = False
        self._talks = Talks()
        if not hasattr(self, "tool_invoker"):
            self.tool_invoker = PyToolInvoker()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._agent_name!r} {self._options['model']!r}>"

    def name(self) -> str:
        """Return what the agent is called."""
        return self._agent_name

    # -- setting up ----------------------------------------------------------------------------------------------------

    def with_api_key(self, api_key: str) -> Self:
        """Use this key; by default the provider's environment variable."""
        return self._with(api_key=api_key)

    def with_system_prompt(self, prompt: str) -> Self:
        """Tell the model *prompt* first."""
        return self._with(system_prompt=prompt)

    def with_temperature(self, temperature: float) -> Self:
        """Sample at *temperature*, from 0 to 2."""
        return self._with(temperature=temperature)

    def with_max_tokens(self, max_tokens: int) -> Self:
        """Let answers be *max_tokens* long at most."""
        return self._with(max_tokens=max_tokens)

    def _with(self, **changes: Any) -> Self:
        self._options |= changes
        for option, value in changes.items():
            getattr(self._inner, f"with_{option}")(value)
        return self

    def with_memory(self, memory: Any) -> Self:
        """Let the model save to *memory* and search it, by actions."""
        for each in memory_actions(memory):
            self.tool_invoker.register(each)
        return self

    def with_react(self, config: PyReActConfig) -> Any:
        """Let `send_message_react` reason as *config* says."""
        self._react = config
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
            self._inner.build()
        except CeylonError as error:
            raise as_runtime_error(error) from error.__cause__
        self._is_built = True
        return self

    def is_built(self) -> bool:
        """Say whether `build` has been called."""
        return self._is_built

    # -- asking --------------------------------------------------------------------------------------------------------

    def send_message(self, message: str) -> Any:
        """Ask the model *message*: the answer as text, and to be awaited.

        Where no event loop runs in the calling thread this waits and returns the text (which ``asyncio.run`` takes
        too). Where one does, it returns a coroutine; read as text instead of being awaited, it waits there and then.

        Raises:
            RuntimeError: the agent is not built, or the model did not answer.
        """
        who = caller()
        if loop_runs():
            return Answer(lambda: self._say(message, who), self._agent_name)
        return Told(finish(lambda: self._say(message, who)))

    def send_message_sync(self, message: str) -> str:
        """Ask the model *message* and wait, whatever runs here; other threads go on meanwhile."""
        who = caller()
        return str(finish(lambda: self._say(message, who)))

    def send_message_async(self, message: str) -> Any:
        """Ask the model *message*; return a coroutine, wherever this is called."""
        return self._say(message, caller())

    def query(self, message: str) -> Any:
        """Do what `send_message` does."""
        return self.send_message(message)

    def query_async(self, message: str) -> Any:
        """Do what `send_message_async` does."""
        return self.send_message_async(message)

    def send_message_react(self, message: str) -> PyReActResult:
        """Ask the model *message*, by thoughts, actions and observations, and wait.

        Raises:
            RuntimeError: `with_react` has not been called, or the model did not answer.
        """
        config = self._react
        if config is None:
            raise NotBuiltError(self._agent_name, "with_react")
        self._get_ready()
        agent = OurLlmAgent(address_for(self._agent_name), **self._options, **react_of(config))
        with meter.asking():
            return finish(lambda: reason(agent, message, config))  # type: ignore[no-any-return]

    async def _say(self, message: str, who: str) -> str:
        """Ask the model *message* for *who*, in the conversation that they have with it."""
        agent = self._get_ready()
        try:
            with meter.asking(), self._talks.turn(who) as key:
                asked = agent.conversation(key).send(message) if key else agent.send_message_async(message)
                self._last_response = answer = await asked
        except CeylonError as error:
            raise as_runtime_error(error) from error.__cause__
        return answer

    def _get_ready(self) -> OurLlmAgent:
        """Offer the model the actions there are now; return the agent of ours that speaks with it.

        Raises:
            NotBuiltError: `build` has not been called.
        """
        if not self._is_built:
            raise NotBuiltError(self._agent_name)
        actions = tuple(self.tool_invoker.actions.values())
        if actions != self._offered:
            self._options["tools"] = tools = [tool_of(each) for each in actions]
            self._inner.with_tools(*tools)
            self._offered = actions
        return self._inner

    # -- what a mesh asks for ------------------------------------------------------------------------------------------

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """See `Tenant`."""

        async def receive(said: Said) -> str:
            return await self._say(said.payload, said.caller)

        return Received(receive, is_async=True, concurrency=DEFAULTS.model_concurrency)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `Agent`; this one is asked where it always is, in the process's own mesh."""


class LlmAgent(PyLlmAgent, Agent):
    """An agent that answers with a language model, with what agents written in Python have.

    Args:
        name: What it is called. As in 0.1.2, the arguments may also be a mesh, a name, a configuration and a memory:
            then the agent is built at once and added to the mesh.
        model_or_config: ``provider::model``, or an `LlmConfig`.
        memory: What it can save to and search, as by `with_memory`.
    """

    def __init__(
        self, name: Any, model_or_config: Any, memory: Any = None, *rest: Any, config: PyLlmConfig | None = None
    ) -> None:
        mesh = None if isinstance(name, str) else name
        if mesh is not None:
            if config is None:
                config, memory = memory, rest[0] if rest else None
            name, model_or_config = model_or_config, config
        options = model_or_config.options if isinstance(model_or_config, PyLlmConfig) else {"model": model_or_config}
        self._set_up(name, options)
        if memory is not None:
            self.with_memory(memory)
        if mesh is not None:
            self.build()
            mesh.add_llm_agent(self)

    @property
    def _agent(self) -> "PyLlmAgent":
        """The same agent, by the name that programs reach for it."""
        return self

    def with_temperature(self, temp: float) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride] – as published
        """Sample at *temp*, from 0 to 2."""
        return self._with(temperature=temp)

    def with_max_tokens(self, tokens: int) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride] – as published
        """Let answers be *tokens* long at most."""
        return self._with(max_tokens=tokens)

    def with_react(self, config: PyReActConfig | None = None) -> Self:
        """Let `send_message_react` reason as *config* says."""
        self._react = PyReActConfig() if config is None else config
        return self

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """See `Tenant`; a subclass with its own `on_message` is asked by that."""
        own = type(self).on_message is not Agent.on_message
        return Agent.__ceylon_receiver__(self, mesh) if own else PyLlmAgent.__ceylon_receiver__(self, mesh)
