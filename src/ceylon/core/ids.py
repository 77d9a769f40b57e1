"""Ids that no other process has made."""

import os
import time

__all__ = ["new_id"]


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562, §5.7) as 32 hex digits: milliseconds first, so that ids sort by time."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10)) >> 6  # 74; `secrets` would load hashes and base64 for this
    value = milliseconds << 80 | 0x7 << 76 | (random_bits >> 62) << 64 | 0b10 << 62 | random_bits & (1 << 62) - 1
    return f"{value:032x}"
