"""The work of the pipeline, one folder a stage: pure functions, and a thin Prefect task in each `task.py`."""

from storage.shadowed import check_not_shadowed

check_not_shadowed()
