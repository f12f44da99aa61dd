"""The training loop: packed sequences in the order of a token plan, on Accelerate, with exact resume."""
