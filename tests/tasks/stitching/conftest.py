"""The tiny random models that the tests of `models/` have."""

from __future__ import annotations

from tests.models.conftest import off_their_start, tiny_llama, tiny_of, tokens

__all__ = ["off_their_start", "tiny_llama", "tiny_of", "tokens"]
