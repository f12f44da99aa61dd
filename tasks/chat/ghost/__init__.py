"""Ghost Attention: what the first turn asks for holds to the last."""
