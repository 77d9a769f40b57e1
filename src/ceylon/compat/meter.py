"""What programs of `ceylonai-next` do, counted for `get_metrics`: it belongs to the process, as theirs does."""

__all__ = ["Meter", "meter"]


class Meter:
    """Counts and sums; meshes know the rest themselves."""

    def __init__(self) -> None:
        self.memory_hits = self.memory_misses = self.memory_writes = 0


meter = Meter()
