"""Many languages: prompts in one, demonstrations in another, items in a third."""
