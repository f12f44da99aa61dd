"""Routing to one of several whole models by the text read so far ('expert routing' of BTS, arXiv 2502.00075).

A linear router, (n+1) x d, reads the mean of the seed's token embeddings e and scores the n+1 members:

    r_t = W (e_0 + ... + e_t) / (t + 1),      p(x_{t+1} | x_<=t) = p(x_{t+1} | x_<=t, D = argmax r_t)

Only tokens up to t are read to choose who predicts token t+1, so a text is scored as it would be generated.
(The paper routes once a prompt, by the prompt's mean; a prompt's last position does the same here.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from models.combined.combined_config import RoutedConfig
from models.combined.whole_models import WholeModelsForCausalLM, kept_positions, token_mask
from models.streams import language_model_head


class RoutedForCausalLM(WholeModelsForCausalLM):
    """Causal LM in which a trained linear router picks the member that predicts the next token.

    Only the router trains. It starts at zero, where the seed is picked, since ties go to the first member.
    """

    config_class = RoutedConfig

    def add_trained_weights(self, **where: Any) -> None:
        self.router = nn.Parameter(torch.zeros(self.config.num_members, self.config.hidden_size, **where))

    def freeze(self) -> None:
        self.members.requires_grad_(False)
        self.router.requires_grad_(True)

    @can_return_tuple
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
        """Logits (batch, length, vocabulary), each position's of the member that the router picks there.

        `labels` (batch, length) are not shifted; -100 is left out. Given labels, the loss is

        - in evaluation mode, the next-token cross-entropy of the logits returned;
        - in training mode, the router's classification cross-entropy, -log softmax(r_t)_D*, averaged over all
          positions t of text. The target D* of a sequence is the member with the lowest next-token loss over
          the sequence's labels; members' losses are taken without gradients. (The paper trains on the
          mean of the first t tokens for one t from 32 to 256; here all t of the sequence count.)

        The cache holds (n+1) L slots of attention, and one with the running sums of embeddings and tokens.
        """
        cache = self.cache_for(past_key_values, use_cache)
        num_seen = 0 if cache is None else cache.get_seq_length()
        is_text = token_mask(input_ids, attention_mask, num_seen)[:, num_seen:]
        scores = self._router_scores(input_ids, is_text, cache)
        states = self.last_states(
            input_ids, attention_mask, cache, position_ids=position_ids, use_cache=cache is not None, **kwargs
        )
        kept = kept_positions(logits_to_keep)
        logits = self._picked_logits(states, scores, kept)
        loss = None
        if labels is not None and self.training:
            target = self._lowest_loss_members(states, labels)
            losses = F.cross_entropy(
                scores.transpose(1, 2), target.unsqueeze(1).expand(is_text.shape), reduction="none"
            )
            loss = (losses * is_text).sum() / is_text.sum()
        elif labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    def _router_scores(self, input_ids: Tensor, is_text: Tensor, cache: Any) -> Tensor:
        """r_t of each position, (batch, length, members) in fp32."""
        earlier = self.notes(cache)
        with torch.no_grad():
            embedded = self.get_input_embeddings()(input_ids).float() * is_text.unsqueeze(-1)
            sums = embedded.cumsum(dim=1).unsqueeze(1)
            counts = is_text.float().cumsum(dim=1)[:, None, :, None]
            if earlier is not None:
                sums, counts = sums + earlier[0][:, :, -1:], counts + earlier[1][:, :, -1:]
            means = (sums / counts.clamp(min=1)).squeeze(1)
        self.note(cache, sums, counts)
        return F.linear(means, self.router.float())

    @torch.no_grad()
    def _picked_logits(self, states: list[Tensor], scores: Tensor, kept: Any) -> Tensor:
        """Logits at the kept positions: each position goes through the head of its member only."""
        picks = scores[:, kept].argmax(dim=-1)
        logits = states[0].new_empty(*picks.shape, self.config.vocab_size)
        for index, state in enumerate(states):
            chosen = picks == index
            logits[chosen] = language_model_head(self.members[index], state[:, kept][chosen]).to(logits.dtype)
        return logits

    @torch.no_grad()
    def _lowest_loss_members(self, states: list[Tensor], labels: Tensor) -> Tensor:
        """Which member has the lowest next-token loss on each sequence: (batch,)."""
        targets = labels[:, 1:]
        losses = []
        for index, state in enumerate(states):
            logits = language_model_head(self.members[index], state[:, :-1]).float()
            terms = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100, reduction="none")
            losses.append(terms.sum(dim=1))
        return torch.stack(losses, dim=1).argmin(dim=1)
