"""Ways to estimate utility, one file each."""
