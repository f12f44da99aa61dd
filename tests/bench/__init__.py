"""What is claimed about speed and memory, measured: ratios within one run."""
