"""A pipeline as an agent: what is asked of it runs through the stages."""

from ceylon.agents.agent import Agent

__all__ = ["PipelineAgent"]


class PipelineAgent(Agent):
    """Runs a pipeline for each message it gets."""
