"""Routing to one of several whole models by the text read so far ('expert routing' of BTS, arXiv 2502.00075).

A linear router, (n+1) x d, reads the mean of the seed's token embeddings e and scores the n+1 members. By prefix,
as in the paper, the first P tokens of a text decide once who predicts all that follows:

    r = W (e_1 + ... + e_P) / P,              p(x_{t+1} | x_<=t) = p(x_{t+1} | x_<=t, D = argmax r)

Token by token (ours) who predicts token t+1 is decided anew by all tokens up to t:

    r_t = W (e_1 + ... + e_t) / t,            p(x_{t+1} | x_<=t) = p(x_{t+1} | x_<=t, D = argmax r_t)

No token is predicted by a member that was picked by reading it: where a text is read whole, those of its first P
tokens are predicted by whom the tokens before them pick. In generation the prompt decides, by what it has of P
tokens, and its decision is kept with the cache.
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
    """Causal LM in which a trained linear router picks the member that predicts.

    Only the router trains. It starts at zero, where the seed is picked, since ties go to the first member.
    """

    config_class = RoutedConfig

    def add_trained_weights(self, **where: Any) -> None:
        self.router = nn.Parameter(torch.zeros(self.config.num_members, self.config.hidden_size, **where))

    @property
    def tokens_read_whole(self) -> int:
        """A text cut after fewer tokens than this and gone on with from the cache is not predicted as if read whole."""
        return self.config.prefix_tokens or 0

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
        - in training mode, the router's classification cross-entropy, -log softmax(r)_D*, towards the member D*
          with the lowest next-token loss; members' losses are taken without gradients. By prefix: r is of the first
          t tokens of each sequence, t drawn from prefix_tokens to longest_prefix and at most half of the sequence,
          and D* is best on what follows them. Token by token: the mean over all positions, D* best on the sequence.

        The cache holds (n+1) L slots of attention, and one with the running sums of embeddings and tokens and the
        member that was picked.
        """
        cache = self.cache_for(past_key_values, use_cache)
        num_seen = 0 if cache is None else cache.get_seq_length()
        is_text = token_mask(input_ids, attention_mask, num_seen)[:, num_seen:]
        with torch.no_grad():
            embedded = self.get_input_embeddings()(input_ids).float() * is_text.unsqueeze(-1)
        picks = self._picks(embedded, is_text, cache)
        states = self.last_states(
            input_ids, attention_mask, cache, position_ids=position_ids, use_cache=cache is not None, **kwargs
        )
        kept = kept_positions(logits_to_keep)
        logits = self._logits_of(states, picks, kept)
        loss = None
        if labels is not None and self.training:
            loss = self._router_loss(embedded, is_text, states, labels)
        elif labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    @torch.no_grad()
    def _picks(self, embedded: Tensor, is_text: Tensor, cache: Any) -> Tensor:
        """Which member predicts after each position, (batch, length); of a text begun before, what that decided."""
        earlier, prefix = self.notes(cache), self.config.prefix_tokens
        counts = is_text.float().cumsum(dim=1)
        if earlier is not None:
            counts = counts + earlier[1][:, 0, -1:, 0]
        read = embedded if prefix is None else embedded * (counts <= prefix).unsqueeze(-1)
        sums = read.cumsum(dim=1)
        if earlier is not None:
            sums = sums + earlier[0][:, 0, -1:]
        if prefix is not None and earlier is not None:
            picks = earlier[1][:, 0, -1:, 1].long().expand(is_text.shape)
        else:
            means = sums / counts.clamp(min=1, max=prefix).unsqueeze(-1)
            picks = F.linear(means, self.router.float()).argmax(dim=-1)
        self.note(cache, sums.unsqueeze(1), torch.stack([counts, picks.float()], dim=-1).unsqueeze(1))
        return picks

    def _router_loss(self, embedded: Tensor, is_text: Tensor, states: list[Tensor], labels: Tensor) -> Tensor:
        counts = is_text.float().cumsum(dim=1)
        if self.config.prefix_tokens is None:
            means = embedded.cumsum(dim=1) / counts.clamp(min=1).unsqueeze(-1)
            scores = F.linear(means, self.router.float()).transpose(1, 2)
            target = self._lowest_loss_members(states, labels).unsqueeze(1).expand(is_text.shape)
            losses = F.cross_entropy(scores, target, reduction="none")
            return (losses * is_text).sum() / is_text.sum()
        prefix = self._drawn_prefixes(counts[:, -1]).unsqueeze(1)
        means = (embedded * (counts <= prefix).unsqueeze(-1)).sum(dim=1) / prefix
        after = labels.masked_fill((counts <= prefix) | ~is_text, -100)
        losses = F.cross_entropy(
            F.linear(means, self.router.float()), self._lowest_loss_members(states, after), reduction="none"
        )
        has_target = (after[:, 1:] != -100).any(dim=1)
        return (losses * has_target).sum() / has_target.sum().clamp(min=1)

    def _drawn_prefixes(self, num_tokens: Tensor) -> Tensor:
        """How many first tokens of each text the router is trained on, (batch,); at least one."""
        most = (num_tokens / 2).floor().clamp(min=1, max=self.config.longest_prefix)
        least = most.clamp(max=self.config.prefix_tokens)
        drawn = torch.rand(num_tokens.shape).to(num_tokens.device)  # on the CPU, so that devices agree
        return least + (drawn * (most - least + 1)).floor()

    @torch.no_grad()
    def _logits_of(self, states: list[Tensor], picks: Tensor, kept: Any) -> Tensor:
        """Logits at the kept positions: each position goes through the head of its member only."""
        picks = picks[:, kept]
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
