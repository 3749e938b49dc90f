"""From a shard key to a slot: as shard_slot() in SQL, and as any language can compute it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

SLOTS: Final = 1024


@lru_cache(maxsize=10_000)
def slot_of(shard_key: str) -> int:
    """The slot of a shard key, 0 to 1023.

    The first two bytes of the SHA-256 of its UTF-8, as a number, modulo 1024.
    """
    return int.from_bytes(sha256(shard_key.encode()).digest()[:2]) % SLOTS
