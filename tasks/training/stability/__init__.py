"""Training that watches itself: monitor of Adam's state, alarm before a loss spike, rewind and skip after one."""
