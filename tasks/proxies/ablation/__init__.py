"""Utility by ablation: a small proxy trained on each source alone, scored on the tasks' dev items."""
