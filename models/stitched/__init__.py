"""The stitched model: frozen streams side by side, with trained layers that pass states between them (BTS)."""
