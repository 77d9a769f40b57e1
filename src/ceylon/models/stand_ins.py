"""What stands in for the models that agents name: nothing, but in tests that record, replay or forbid them.

All lists are the process's: an agent without a mesh of its own lives in the default mesh, on another thread.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

from ceylon.models.embedding import Embedder, EmbeddingSession
from ceylon.models.fallback import FallbackModel
from ceylon.models.port import Model, Session

__all__ = [
    "EmbedderStandIn",
    "Gate",
    "Listener",
    "Outermost",
    "OutermostEmbedder",
    "StandIn",
    "embedder_stand_ins",
    "embedding_around",
    "gates",
    "is_real",
    "stand_ins",
    "stood_in",
]

StandIn: TypeAlias = Callable[[Model], Model]
"""Returns what is used instead of a model: the same again for the same model."""


@runtime_checkable
class Outermost(Protocol):
    """A stand-in that wants to hear what agents say and are told, and not what its governor makes of it on the way."""

    @property
    def inside(self) -> Model | None:
        """The model to be opened behind its governor; `None`: nothing is."""
        ...

    def outside(self, session: Session | None) -> Session:
        """Return the session that agents get, around that of the model inside."""
        ...


class OutermostEmbedder(Protocol):
    """The same for an embedding model."""

    @property
    def is_opened(self) -> bool:
        """Whether the embedding model itself is opened."""
        ...

    def outside(self, session: EmbeddingSession | None) -> EmbeddingSession:
        """Return the session that is used, around that of the embedding model, if that is opened."""
        ...


EmbedderStandIn: TypeAlias = Callable[[Embedder], OutermostEmbedder]
"""Returns what stands around an embedding model."""


class Listener:
    """A stand-in that hears what agents ask and are answered: two models that race for an answer are one to it."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def __call__(self, model: Model) -> Model:
        """Return what is used instead of *model*."""
        return self._stand_in(model)


Gate: TypeAlias = Callable[[str], object]
"""Told of each address that a request is about to go to; raises if it may not."""

stand_ins: Final[list[StandIn]] = []
"""Asked in their order, each about what the one before returned."""

embedder_stand_ins: Final[list[EmbedderStandIn]] = []
"""The first is asked about each embedding model."""

gates: Final[list[Gate]] = []
"""All are asked before a request leaves for a model's server."""


def stood_in(model: Model) -> Model:
    """Return what to use instead of *model*: mostly itself. One made of several keeps its place, and they are asked."""
    if isinstance(model, FallbackModel) and not (model.is_heard_as_one and _is_listened_to()):
        return model.with_models(tuple(stood_in(each) for each in model.models)) if stand_ins else model
    for stand_in in stand_ins:
        model = stand_in(model)
    return model


def embedding_around(embedder: Embedder) -> OutermostEmbedder | None:
    """Return what stands around *embedder* just now, if anything does."""
    return embedder_stand_ins[0](embedder) if embedder_stand_ins else None


def _is_listened_to() -> bool:
    return any(isinstance(each, Listener) for each in stand_ins)


def is_real(model: Model) -> bool:
    """Say whether *model* may reach a server or an engine; the ones made for tests say no by their `is_real`."""
    if isinstance(model, FallbackModel):
        return any(map(is_real, model.models))
    return bool(getattr(model, "is_real", True))
