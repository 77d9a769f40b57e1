"""What an `LlmAgent` is set to, in keyword options or the fluent style; both may be mixed."""

import contextlib
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from ceylon.agents.agent import Agent
from ceylon.agents.llm_settings import LlmSettings
from ceylon.agents.setup import Setup
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.agents.conversations.port import ConversationStore
    from ceylon.agents.conversations.summary import Summarise
    from ceylon.agents.conversations.window import Window
    from ceylon.agents.remembering import Recall
    from ceylon.core.durations import Duration
    from ceylon.memory.port import Memory
    from ceylon.models.port import Model
    from ceylon.models.prices import OwnPrices
    from ceylon.models.react import ReAct

__all__ = ["ModelledAgent"]


class ModelledAgent(Agent):
    """An agent with a model and its settings; `LlmAgent` is what it is for."""

    concurrency: int = DEFAULTS.model_concurrency

    def __init__(  # noqa: PLR0913 – the settings, by name
        self,
        name: str,
        model: "str | Model" = "auto",
        *,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
        concurrency: int | None = None,
        timeout: float = DEFAULTS.model_timeout,
        api_key: str | None = None,
        base_url: str | None = None,
        fallback: "str | Model | Iterable[str | Model]" = (),
        hedge: "Duration | None" = None,
        prices: "OwnPrices | None" = None,
        tools: Iterable[Any] = (),
        tool_choice: str = "auto",
        output: Any = None,
        max_turns: int = DEFAULTS.model_turns,
        react: "ReAct | bool" = False,
        handoffs: Iterable[Any] = (),
        description: str = "",
        memory: "Memory | None" = None,
        recall: "Recall | None" = None,
        conversations: "ConversationStore | None" = None,
        history: "Window | Summarise | None" = None,
    ) -> None:
        super().__init__(name)
        if concurrency is not None:
            self.concurrency = concurrency
        settings = LlmSettings().changed(
            model=model,
            system_prompt=system_prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            stop=stop,
            options={} if options is None else options,
            concurrency=self.concurrency,
            timeout=timeout,
            api_key=api_key,
            base_url=base_url,
            fallback=fallback,
            hedge=hedge,
            prices={} if prices is None else prices,
            tools=tools,
            tool_choice=tool_choice,
            output=output,
            max_turns=max_turns,
            memory=memory,
            recall=recall,
            conversations=conversations,
            history=history,
            handoffs=handoffs,
            react=react,
        )
        self.description = description
        self._setup = Setup(settings)
        self._begin()

    def _begin(self) -> None:
        """Make what subclasses of this package keep, so that none needs to repeat the arguments."""

    @property
    def model(self) -> str:
        """The model, in its canonical spelling."""
        return self._setup.model().name

    def with_model(self, model: "str | Model") -> Self:
        """Use *model* from the next query on."""
        return self._with(model=model)

    def with_system_prompt(self, system_prompt: str | None) -> Self:
        """Tell the model *system_prompt* first."""
        return self._with(system_prompt=system_prompt)

    def with_temperature(self, temperature: float | None) -> Self:
        """Sample at *temperature*, from 0 to 2."""
        return self._with(temperature=temperature)

    def with_max_tokens(self, max_tokens: int | None) -> Self:
        """Let answers be *max_tokens* long at most."""
        return self._with(max_tokens=max_tokens)

    def with_seed(self, seed: int | None) -> Self:
        """Sample from *seed*, so that answers repeat where the server can."""
        return self._with(seed=seed)

    def with_stop(self, *stop: str) -> Self:
        """End answers at any of these texts."""
        return self._with(stop=stop)

    def with_options(self, **options: Any) -> Self:
        """Set further options by the provider's own names."""
        return self._with(options={**self._setup.settings.options, **options})

    def with_concurrency(self, concurrency: int) -> Self:
        """Answer up to *concurrency* queries at a time."""
        self.concurrency = concurrency
        return self._with(concurrency=concurrency)

    def with_timeout(self, timeout: float) -> Self:
        """Give one turn *timeout* seconds."""
        return self._with(timeout=timeout)

    def with_api_key(self, api_key: str | None) -> Self:
        """Use this key."""
        return self._with(api_key=api_key)

    def with_base_url(self, base_url: str | None) -> Self:
        """Use the server at *base_url*."""
        return self._with(base_url=base_url)

    def with_fallback(self, *models: "str | Model") -> Self:
        """Ask these models, in order, when the one before cannot answer; none: no other is asked."""
        return self._with(fallback=models)

    def with_hedge(self, hedge: "Duration | None") -> Self:
        """Ask the next model too, or the only one again, if no answer has begun within *hedge*; the first one wins."""
        return self._with(hedge=hedge)

    def with_prices(self, prices: "OwnPrices") -> Self:
        """Reckon with these prices: dollars for a million tokens in and out, by model."""
        return self._with(prices=prices)

    def with_tools(self, *tools: Any) -> Self:
        """Let the model call *tools* besides the agent's own actions: functions, refs, agents."""
        return self._with(tools=tools)

    def with_handoffs(self, *handoffs: Any) -> Self:
        """Let the model hand a conversation over to one of these agents, which goes on with it."""
        return self._with(handoffs=handoffs)

    def with_tool_choice(self, tool_choice: str) -> Self:
        """Let the first request of each turn call as it likes, not at all, some tool, or the one of this name."""
        return self._with(tool_choice=tool_choice)

    def with_output(self, output: Any) -> Self:
        """Let answers be values of the type *output*; `None` for text."""
        return self._with(output=output)

    def with_max_turns(self, max_turns: int) -> Self:
        """Let one answer take *max_turns* requests at most."""
        return self._with(max_turns=max_turns)

    def with_react(self, react: "ReAct | bool" = True) -> Self:  # noqa: FBT002 – or how, as a `ReAct`
        """Let a model that knows no tools call by thoughts, actions and observations in plain words."""
        return self._with(react=react)

    @contextlib.contextmanager
    def override(self, *, model: "str | Model") -> Generator[Self]:
        """Use *model* until the block ends, in every task and thread that uses the agent; for tests, which need no key.

        Requests that are under way go on with the model they have.

        Raises:
            ModelConfigError: *model* is a string that means nothing.
        """
        with self._setup.overridden(model):
            yield self

    def with_memory(self, memory: "Memory | None", recall: "Recall | None" = None) -> Self:
        """Remember beyond a conversation; *recall* says how."""
        return self._with(memory=memory, recall=recall)

    def with_conversations(
        self, conversations: "ConversationStore | None", history: "Window | Summarise | None" = None
    ) -> Self:
        """Keep conversations in this store, and make long ones shorter as *history* says."""
        return self._with(conversations=conversations, history=history)

    def with_history(self, history: "Window | Summarise | None") -> Self:
        """Make long conversations shorter: show the end of them, or summarise what is old."""
        return self._with(history=history)

    def _with(self, **changes: Any) -> Self:
        self._setup.change(**changes)
        return self

    def build(self) -> Self:
        """Check the settings now rather than at the first query.

        Raises:
            ArgumentError: a setting is out of its range.
            ModelConfigError: the model string means nothing, an option is unknown, or a key is missing.
        """
        self._setup.model()
        return self

    @property
    def __ceylon_llm_setup__(self) -> Setup:
        """The settings in force, for code of this package."""
        return self._setup

    def __ceylon_rebuild__(self) -> Self:
        """See `AgentLike`; the settings are the ones set last, on whichever instance."""
        made = super().__ceylon_rebuild__()
        made._setup, made.concurrency = self._setup, self.concurrency  # noqa: SLF001 – the same class
        return made
