"""What text there is: readers, deduplication, held-out split, items, decontamination, token counts."""
