"""Collections of instructions: read, mixed to exact counts, and shown to be apart from what a model is tested on."""
