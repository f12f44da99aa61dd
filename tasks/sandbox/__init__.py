"""Programs that nobody has read, run behind walls: what a model wrote, and the tests that it must pass."""
