"""The mesh over many machines, which a later release brings."""
