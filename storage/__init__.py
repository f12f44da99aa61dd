"""Where results are kept and found again: artifact store, run records, catalog and tracking."""
