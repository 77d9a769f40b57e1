"""Instruments for programs built on Ceylon: scripted models, model servers that misbehave, an Ollama façade.

The servers are imported from their own modules, `ceylon.testing.model_server` and `ceylon.testing.ollama_server`: both
also run as programs.
"""

from ceylon.models.scripted import ScriptedModel, ScriptError, Step

__all__ = ["ScriptError", "ScriptedModel", "Step"]
