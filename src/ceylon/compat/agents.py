"""Agents as `ceylonai-next` spells them: a name that is a method, actions by an instance decorator, a last response.

SHAPES SHARED BY THE TWO HELPERS (goes away when both are merged)

From `ceylon.compat.actions` (compat-b):
* ``_PyAction.execute(context: PyAgentContext, inputs: dict) -> Any`` – sync or async; ``FunctionalAction(func, name,
  description)`` as published.
* ``PyToolInvoker()``; ``.register(action: _PyAction) -> None`` (a name again: replaces); ``.invoke(name, inputs: str)
  -> str`` as published (text of the result; an async `execute` is finished by ``ceylon.compat.settling.finish``);
  ``.actions -> Mapping[str, _PyAction]`` (ours: in order of registration; live view or copy);
  ``.run(name, inputs: dict) -> str`` (ours: what `invoke` does after parsing; `Agent.act` calls it).
* ``tool_of(action: _PyAction) -> ceylon.agents.action.Action`` (ours: for the model, with the action's own JSON schema,
  an async function or one that runs in a worker thread; its context is ``PyAgentContext(<mesh name or "python">)``).
From `ceylon.compat.memory` (compat-b):
* ``memory_actions(memory: Any) -> list[_PyAction]``: save/search as registered by the origin. `LlmAgent.with_memory`
  calls it and registers each.
From `ceylon.compat.react` (compat-b):
* ``react_of(config: PyReActConfig) -> ceylon.models.react.ReAct``; ``result_of(reply: ceylon.Reply) -> PyReActResult``.
From compat-a: ``ceylon.compat.contexts.PyAgentContext``; ``ceylon.compat.settling.finish(function) -> Any`` (runs
``await function()`` on the default mesh's loop and waits, from any thread but that loop's);
``ceylon.compat.meshes.open_meshes() -> list[ceylon.BlockingMesh]`` for `get_metrics`.
"""
