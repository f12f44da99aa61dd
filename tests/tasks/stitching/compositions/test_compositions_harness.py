"""lm-evaluation-harness runs the combined models like any other causal LM."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tasks.stitching.compositions import COMPOSITIONS_BY_NAME

lm_eval_instance = pytest.importorskip("lm_eval.api.instance")
huggingface = pytest.importorskip("lm_eval.models.huggingface")


@pytest.fixture(scope="module")
def letters():
    vocabulary = {letter: index for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    tokenizer = Tokenizer(models.WordLevel({**vocabulary, "<eos>": 26}, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def requests_of(kind, arguments):
    return [
        lm_eval_instance.Instance(request_type=kind, doc={}, arguments=pair, idx=index)
        for index, pair in enumerate(arguments)
    ]


@pytest.mark.parametrize("name", ["btm", "routing", "token-routing", "btx-sampled", "bam-adapters"])
@torch.no_grad()
def test_scores_and_generates_in_process(name, tiny_llama, off_their_start, letters):
    seed, a, b = (tiny_llama(number, 2) for number in range(3))
    model = off_their_start(COMPOSITIONS_BY_NAME[name].combine(seed, {"a": a, "b": b}))
    wrapped = huggingface.HFLM(pretrained=model, tokenizer=letters, batch_size=2)
    assert wrapped.max_length == 64
    pairs = [("hub", "ab"), ("expert", "xyz"), ("mix", "q")]
    scores = wrapped.loglikelihood(requests_of("loglikelihood", pairs), disable_tqdm=True)
    for (context, continuation), (score, _) in zip(pairs, scores, strict=True):
        ids = torch.tensor([letters(context + continuation)["input_ids"]])
        own = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
        expected = sum(own[at - 1, ids[0, at]] for at in range(len(context), ids.shape[1]))
        assert score == pytest.approx(expected.item(), abs=1e-4)
    prompts = [("hub", {"max_gen_toks": 4, "until": []}), ("expert", {"max_gen_toks": 4, "until": []})]
    texts = wrapped.generate_until(requests_of("generate_until", prompts), disable_tqdm=True)
    for (prompt, _), text in zip(prompts, texts, strict=True):
        ids = torch.tensor([letters(prompt)["input_ids"]])
        alone = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False, eos_token_id=26
        )
        assert text == letters.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
