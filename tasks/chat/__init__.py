"""Llama 2's chat stage (arXiv 2307.09288): answers, a reward model, the best of many, and Ghost Attention."""
