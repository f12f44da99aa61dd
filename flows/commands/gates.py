"""The command `mixstitch gates`: how a stitched model uses its experts on a text, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gates(
    model: Annotated[Path, typer.Argument(help="Folder of a stitched model.")],
    text: Annotated[Path, typer.Option("--text", help="UTF-8 file with the text to look at.")],
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="Folder of its tokenizer; empty: the model's folder.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("gates.html"),
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Tokens of the text to show, from its beginning.")
    ] = 1024,
) -> None:
    """Write a page that colours each token of a text by the expert that carries it, with the use of every gate."""
    try:
        words = text.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ValueError(f"--text {text}: cannot be read ({reason})") from error

    import models
    from tasks.report.gates_page import write_gates_page
    from tasks.sources.tokenization import load_tokenizer
    from tasks.stitching.gate_use import gates_by_domain
    from tasks.stitching.token_view import token_view

    loaded = models.load_causal_lm(model)
    if not isinstance(loaded, models.StitchedForCausalLM):
        raise ValueError(f"{model}: holds a {type(loaded).__name__}; allowed: a stitched model")
    made = load_tokenizer(tokenizer or model)
    view = token_view(loaded, made, words, max_tokens)
    length = min(max_tokens, loaded.config.max_position_embeddings)
    rows = gates_by_domain(loaded, made, {text.name: [words]}, length)
    write_gates_page(out, f"{model.name} on {text.name}", view, rows)
    print(f"{len(view['tokens'])} tokens{' (the text has more)' if view['cut'] else ''}: {out}")
