"""Laws: from the losses of some trained mixtures to the losses of any mixture, one file each.

To add one: its file, and its line here.
"""

from tasks.method import by_name, declared
from tasks.mixture.laws.law import Law

LAWS: tuple[Law, ...] = declared(
    __name__,
    "LAW",
    (
        "ridge",
        "log_linear",
        "power_law",
        "diminishing_law",
        "lightgbm_trees",
        "gp_law",
        "diminishing_gp",
        "auto_law",
        "fusion_law",
    ),
)
LAWS_BY_NAME = by_name(LAWS)
