"""Which benchmarks there are: kinds of items, files of them, tasks made from text, tasks of the harness."""
