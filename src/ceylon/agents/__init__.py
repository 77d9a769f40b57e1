"""Agents: the base class, actions, and the agent that speaks with a language model."""
