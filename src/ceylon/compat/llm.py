"""Language-model agents as `ceylonai-next` spells them: built step by step, asked by `send_message` of two meanings."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Self

from ceylon.agents.llm_agent import LlmAgent as OurLlmAgent
from ceylon.compat.agents import Agent
from ceylon.compat.answers import Answer, Told
from ceylon.compat.building import BuiltAgent
from ceylon.compat.callers import Talk, caller
from ceylon.compat.llm_config import LlmConfig, PyLlmConfig
from ceylon.compat.meter import meter
from ceylon.compat.react import PyReActConfig, PyReActResult, react_of, reason
from ceylon.compat.seats import Received, Text, address_for
from ceylon.compat.settling import as_runtime_error, finish, loop_runs
from ceylon.errors import CeylonError, NotBuiltError
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["LlmAgent", "LlmConfig", "PyLlmAgent", "PyLlmConfig"]


class PyLlmAgent(BuiltAgent):
    """An agent that answers with a language model; set it up by ``with_…``, then `build` it.

    What one caller asks in turn is one conversation; what is asked beside an open question of the same caller stands by
    itself, so that questions asked together are answered together. See `ceylon.compat.callers`.

    Args:
        name: What it is called.
        model: ``provider::model``.
    """

    def __init__(self, name: str, model: str) -> None:
        self._ceylon_set_up(name, {"model": model})

    @staticmethod
    def with_config(name: str, config: PyLlmConfig) -> "PyLlmAgent":
        """Return an agent that is set to what *config* says."""
        made = PyLlmAgent.__new__(PyLlmAgent)
        made._ceylon_set_up(name, config.options)  # noqa: SLF001 – the same class
        return made

    # -- asking --------------------------------------------------------------------------------------------------------

    def send_message(self, message: str) -> Any:
        """Ask the model *message*: the answer as text, and to be awaited.

        Where no event loop runs in the calling thread this waits and returns the text (which ``asyncio.run`` takes
        too). Where one does, it returns a coroutine; read as text instead of being awaited, it waits there and then.

        Raises:
            RuntimeError: the agent is not built, or the model did not answer.
        """
        asked = self._ceylon_asked(message)
        return Answer(asked, self._agent_name) if loop_runs() else Told(finish(asked))

    def send_message_sync(self, message: str) -> str:
        """Ask the model *message* and wait, whatever runs here; other threads go on meanwhile."""
        return str(finish(self._ceylon_asked(message)))

    def send_message_async(self, message: str) -> Any:
        """Ask the model *message*; return a coroutine, wherever this is called."""
        return Answer(self._ceylon_asked(message), self._agent_name)

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
        config = self._ceylon_react
        if config is None:
            raise NotBuiltError(self._agent_name, "with_react")
        self._ceylon_get_ready()
        agent = OurLlmAgent(address_for(self._agent_name), **{**self._ceylon_options, **react_of(config)})
        with meter.asking():
            result: PyReActResult = finish(lambda: reason(agent, message, config))
        return result

    def _ceylon_asked(self, message: str) -> Callable[[], Coroutine[Any, Any, str]]:
        """Return what asks the model *message* for whoever calls this."""
        talk = self._ceylon_talks.begin(caller())
        return lambda: self._ceylon_say(message, talk)

    async def _ceylon_say(self, message: str, talk: Talk) -> str:
        """Ask the model *message*, in the conversation that it belongs to."""
        agent = self._ceylon_get_ready()
        try:
            with meter.asking(), talk as key:
                asked = agent.conversation(key).send(message) if key else agent.send_message_async(message)
                self._last_response = answer = await asked
        except CeylonError as error:
            raise as_runtime_error(error) from error.__cause__
        return answer

    # -- what a mesh asks for ------------------------------------------------------------------------------------------

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """See `Tenant`."""

        async def receive(said: Text) -> str:
            return await self._ceylon_say(said.payload, self._ceylon_talks.begin(said.caller))

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
        self._ceylon_set_up(name, options)
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
        return self._ceylon_with(temperature=temp)

    def with_max_tokens(self, tokens: int) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride] – as published
        """Let answers be *tokens* long at most."""
        return self._ceylon_with(max_tokens=tokens)

    def with_react(self, config: PyReActConfig | None = None) -> Self:
        """Let `send_message_react` reason as *config* says."""
        self._ceylon_react = PyReActConfig() if config is None else config
        return self

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """See `Tenant`; a subclass with its own `on_message` is asked by that."""
        own = type(self).on_message is not Agent.on_message
        return Agent.__ceylon_receiver__(self, mesh) if own else PyLlmAgent.__ceylon_receiver__(self, mesh)
