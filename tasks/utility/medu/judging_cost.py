"""What a judge may be asked at most: requests and tokens, by the limits that the settings set."""

from __future__ import annotations

from storage.stages import Cost
from tasks.training.estimates import FORWARD_FLOPS_PER_WEIGHT
from tasks.utility.medu.settings import MeduSettings


def judging_cost(settings: MeduSettings, num_tasks: int, num_cells: int) -> Cost:
    """An upper bound: every document and every chunk of items is asked about once, and fills the context.

    num_cells: sources x tasks. Answers kept from earlier runs cost nothing. FLOPs: of a judge whose parameters the
    settings tell; not known of another.
    """
    describing = num_tasks * (2 * settings.max_chunks - 1)  # a binary tree over the chunks
    requests = settings.documents * num_cells + describing
    tokens = requests * settings.context_tokens
    if settings.max_tokens is not None:
        tokens = min(tokens, settings.max_tokens)
    parameters = settings.cost.parameters
    return Cost(
        read=tokens,
        requests=requests,
        flops=None if parameters is None else FORWARD_FLOPS_PER_WEIGHT * parameters * tokens,
        seconds=None,
        basis=(
            f"a judge is asked at most {requests:,} times, for {settings.documents:,} documents a source and task "
            f"among them, and reads and writes at most {tokens:,} tokens; answers kept from earlier runs cost nothing"
        ),
    )
