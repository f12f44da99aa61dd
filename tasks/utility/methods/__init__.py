"""Ways to estimate utility, one file each; the imports are the list."""

from tasks.method import by_name, listed
from tasks.utility.methods import (
    ablation,
    labels,
    ngram,
    own_table,
    tfidf,
)
from tasks.utility.utility_method import UtilityMethod

METHODS: tuple[UtilityMethod, ...] = listed(globals(), "METHOD")
METHODS_BY_NAME = by_name(METHODS)
