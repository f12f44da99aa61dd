"""One self-contained HTML page with pictures: what a run did, found and cost."""
