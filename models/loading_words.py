"""How a saved model is loaded and evaluated, in the words of its card."""

from __future__ import annotations

OURS = """```python
import models  # Mixstitch: registers the architecture with transformers; no remote code
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
```
"""
OURS_IN_HARNESS = """```bash
python -c "import models; from lm_eval.__main__ import cli_evaluate; cli_evaluate()" \\
  --model hf --model_args pretrained=path/to/this/folder --tasks NAME
```
"""
PLAIN = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```
"""
PLAIN_IN_HARNESS = """```bash
lm_eval --model hf --model_args pretrained=path/to/this/folder --tasks NAME
```
"""


def loading_words(is_ours: bool) -> str:
    """Markdown. is_ours: whether the architecture is one of this library's, which has to be imported first."""
    load, harness = (OURS, OURS_IN_HARNESS) if is_ours else (PLAIN, PLAIN_IN_HARNESS)
    return f"{load}\nlm-evaluation-harness runs it from the command line:\n\n{harness}"
