"""How useful a source is for a task: a sources x tasks matrix in [0, 1] with standard errors."""
