"""The default mixture: curves of diminishing returns, what the evidence says of them, and the choice."""
