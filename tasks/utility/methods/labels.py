"""The method medu: labels by a language model, see `tasks.utility.medu`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.fingerprint import digest_file, digest_value
from tasks.pretrained_places import digest_pretrained
from tasks.utility.medu.judging_cost import judging_cost
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.utility_method import Given, UtilityMethod

if TYPE_CHECKING:
    from tasks.utility.matrix import UtilityMatrix


def _estimate(settings: MeduSettings, given: Given) -> UtilityMatrix:
    from tasks.utility.medu.labelling import medu_utility
    from tasks.utility.quality_labels import checker

    check = checker(settings.labelled, settings.labelled_documents)
    return medu_utility(given.samples, given.dev, settings, given.kept(_who(settings)), given.report, check)


def _who(settings: MeduSettings) -> str:
    """Whose answers are kept together: those of one judge."""
    if settings.judge == "openai":
        from tasks.utility.medu.endpoint import answerer

        return digest_value("-".join(answerer(settings)))[:16]
    return digest_value(settings.model)[:16]


def _inputs(settings: MeduSettings) -> dict[str, str]:
    local = settings.model if settings.judge == "transformers" else settings.tokenizer
    inputs = {} if local is None else {"judge": digest_pretrained(local)}
    if settings.labelled is not None:
        if not settings.labelled.is_file():
            raise ValueError(f"utility.medu.labelled={settings.labelled}: no such file; allowed: JSON lines")
        inputs["labelled"] = digest_file(settings.labelled)
    return inputs


METHOD = UtilityMethod(
    name="medu",
    title="MEDU",
    line="labels by a language model that has read descriptions of the benchmarks",
    paper="Held et al. 2025, arXiv 2501.11747",
    equation="U_ij = mean label value of source i's documents for task j",
    section=MeduSettings,
    default=MeduSettings(),
    describes="Settings of the method medu.",
    estimate=_estimate,
    decides=MeduSettings.identity,
    inputs=_inputs,
    cost=judging_cost,
    check=MeduSettings.check_key,
)
