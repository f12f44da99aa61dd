"""Pictures of the report, each drawn into an SVG that stands alone."""
