"""What a document is known by, and whether it is held out: both decided by its text alone."""

from __future__ import annotations

import hashlib

HASH_BYTES = 16


def document_hash(text: str) -> bytes:
    """128-bit BLAKE2b of the text's UTF-8 bytes."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=HASH_BYTES).digest()


def is_heldout(digest: bytes, share: float) -> bool:
    """Whether a document is held out: its hash, read as a fraction of the largest, lies below `share`.

    A document's side depends on nothing but its text, so it never changes when others are added.
    """
    return int.from_bytes(digest[:8], "big") < share * 2**64
