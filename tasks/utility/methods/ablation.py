"""The method ablation: a small proxy trained on each source alone, each a stage; see `loss_utilities`."""

from tasks.proxies.ablation.settings import AblationSettings
from tasks.utility.utility_method import UtilityMethod

METHOD = UtilityMethod(
    name="ablation",
    title="ablation",
    line="a small proxy trained on each source alone, scored on the dev items",
    paper="Held et al. 2025, arXiv 2501.11747, for the matched epochs",
    equation="U_ij = (max_i L_ij - L_ij) / (max_i L_ij - min_i L_ij)",
    section=AblationSettings,
    default=AblationSettings(),
    describes="Settings of the method ablation.",
    estimate=None,
)
