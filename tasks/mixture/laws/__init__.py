"""Laws: from the losses of some trained mixtures to the losses of any mixture, one file each.

To add one: its file, and its line here.
"""

from tasks.method import by_name, listed
from tasks.mixture.laws import (
    auto_law,
    diminishing_gp,
    diminishing_law,
    fusion_law,
    gp_law,
    lightgbm_trees,
    log_linear,
    power_law,
    ridge,
    scheffe,
)
from tasks.mixture.laws.law import Law

LAWS: tuple[Law, ...] = listed(globals(), "LAW")
LAWS_BY_NAME = by_name(LAWS)
