"""Output ensemble of a seed and its experts with Bayes weights (Branch-Train-Merge, arXiv 2208.03306).

    p(x_t | x_<t) = sum_D p(x_t | x_<t, D) p(D | x_<t),      p(D | x_<t) ~ p(x_<t | D) p(D)

over the n+1 members D, with a uniform prior p(D) (section 2 there; it also tries other priors). Evidence is
the text read so far: log p(x_<t | D) = sum over s < t of log p(x_s | x_<s, D). A text's first token has
nothing before it, so no member has predicted it and it gives no evidence; neither does padding.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from models.combined.combined_config import EnsembleConfig
from models.combined.whole_models import WholeModelsForCausalLM, kept_positions, token_mask
from models.streams import language_model_head


class EnsembleForCausalLM(WholeModelsForCausalLM):
    """Causal LM whose next token is a Bayes mixture of its members'. Nothing trains."""

    config_class = EnsembleConfig

    @can_return_tuple
    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """The mixture's log probabilities (batch, length, vocabulary) in fp32, as logits; loss given labels.

        `labels` (batch, length) are not shifted; -100 is left out of the loss. The cache holds (n+1) L slots
        of attention, and one with each token's last hidden states and evidence.
        """
        cache = self.cache_for(past_key_values, use_cache)
        length = input_ids.shape[1]
        num_seen = 0 if cache is None else cache.get_seq_length()
        is_text = token_mask(input_ids, attention_mask, num_seen)
        earlier = self.notes(cache)
        states = self.last_states(
            input_ids, attention_mask, cache, position_ids=position_ids, use_cache=cache is not None, **kwargs
        )
        kept = kept_positions(logits_to_keep)
        log_probabilities, gains = [], []
        for index, state in enumerate(states):
            if earlier is not None:
                state = torch.cat([earlier[0][:, index, -1:], state], dim=1)
            logits = language_model_head(self.members[index], state).float()
            before, followed_by = logits[:, :-1], input_ids[:, length + 1 - logits.shape[1] :]
            named = before.gather(-1, followed_by.unsqueeze(-1)).squeeze(-1)
            gains.append(named - before.logsumexp(dim=-1))
            log_probabilities.append(torch.log_softmax(logits[:, -length:][:, kept], dim=-1))
        evidence = self._evidence(torch.stack(gains, dim=1), is_text[:, -length - 1 :], earlier)
        self.note(cache, torch.stack(states, dim=1), evidence.unsqueeze(-1))
        posterior = torch.log_softmax(evidence, dim=1)[:, :, kept]
        terms = [posterior[:, index, :, None] + own for index, own in enumerate(log_probabilities)]
        mixture = reduce(torch.logaddexp, terms)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=mixture, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=mixture, past_key_values=cache)

    def _evidence(self, gains: Tensor, is_text: Tensor, earlier: tuple[Tensor, Tensor] | None) -> Tensor:
        """log p(x_<=t | D) up to a constant of all D, (batch, members, length), from the tokens' gains.

        `gains` (batch, members, predicted tokens) end at the last token; `is_text` has one column more.
        """
        predicted = (is_text[:, 1:] & is_text[:, :-1]).unsqueeze(1)
        # Only differences between members matter, and they stay small where the sums would lose digits.
        differences = (gains - gains.mean(dim=1, keepdim=True)) * predicted
        sums = differences.cumsum(dim=-1)
        if earlier is None:
            return torch.cat([sums.new_zeros(*sums.shape[:2], 1), sums], dim=-1)
        return earlier[1][:, :, -1] + sums
