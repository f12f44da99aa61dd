"""How people would rate a model: from votes to ratings, from benchmarks to a forecast, with intervals and baselines."""
