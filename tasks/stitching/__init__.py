"""Join seed and experts: stitch layers trained on all domains, and the compositions they are compared with."""
