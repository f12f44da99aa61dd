"""What the configurations of all families have in common: sizes that are checked, and the feed-forward width."""

from __future__ import annotations

from typing import Any


def decoder_fields(
    vocab_size: int,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    num_kv_heads: int | None = None,
    max_length: int = 2048,
    ffn_multiple: int = 256,
    tie_embeddings: bool = False,
    bos_token_id: int | None = None,
    eos_token_id: int | None = None,
    pad_token_id: int | None = None,
) -> dict[str, Any]:
    """Fields of a transformers configuration: RMSNorm eps 1e-5, RoPE theta 10000, SwiGLU of 8/3 d.

    The feed-forward width is 2/3 * 4d rounded up to a multiple of `ffn_multiple` (256 in Llama 2, which gives
    11008 for d = 4096). `num_kv_heads` below `num_heads` is grouped-query attention; None means as many.
    `max_length` is in tokens. Raises ValueError for sizes that do not divide or are not positive.
    """
    num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "max_length": max_length,
        "ffn_multiple": ffn_multiple,
    }
    for field, value in sizes.items():
        if value < 1:
            raise ValueError(f"{field} is {value}; allowed: at least 1")
    if hidden_size % (2 * num_heads):
        raise ValueError(
            f"hidden_size is {hidden_size}; allowed: a multiple of 2 * num_heads = {2 * num_heads}, since "
            "rotary embedding turns pairs of channels within a head"
        )
    if num_heads % num_kv_heads:
        raise ValueError(f"num_kv_heads is {num_kv_heads}; allowed: a divisor of num_heads = {num_heads}")
    ffn_width = 2 * 4 * hidden_size // 3
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "intermediate_size": -(-ffn_width // ffn_multiple) * ffn_multiple,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
        "max_position_embeddings": max_length,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": tie_embeddings,
        "bos_token_id": bos_token_id,
        "eos_token_id": eos_token_id,
        "pad_token_id": pad_token_id,
    }
