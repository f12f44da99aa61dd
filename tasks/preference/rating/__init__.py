"""People compare answers of models: what is asked next, where votes are kept, what is handed on."""
