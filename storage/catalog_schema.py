"""Tables and views of the catalog, with what each and its columns are, and queries to begin with."""

from __future__ import annotations

import functools
import hashlib

# table -> what a row is; column -> (type, what it is). Every table ends with `recorded`.
KEY = {"key": ("varchar", "the artifact that the fact is of")}
RUN_ID = {"run_id": ("varchar", "the run, as `mixstitch runs` names it")}
RECORDED = {"recorded": ("timestamp", "when the row was written, UTC")}
Columns = dict[str, tuple[str, str]]
TABLES: dict[str, tuple[str, Columns]] = {
    "run_events": (
        "A change in a run's life; the view `runs` holds the latest of each.",
        {
            **RUN_ID,
            "name": ("varchar", "of the experiment"),
            "status": ("varchar", "running, completed, stopped, failed, cancelled or crashed"),
            "error": ("varchar", "why it failed"),
            "started": ("timestamp", "UTC"),
            "ended": ("timestamp", "UTC"),
        },
    ),
    "run_stages": (
        "A stage that a run used, made by it or found.",
        {
            **RUN_ID,
            "label": ("varchar", "the stage, or <stage>/<name>"),
            "key": ("varchar", "the artifact"),
            "cache_hit": ("boolean", "whether it was there already"),
            "seconds": ("double", "that making it took"),
        },
    ),
    "artifacts": (
        "A result of a stage.",
        {
            "key": ("varchar", "of name, version, settings and inputs of the stage"),
            "stage": ("varchar", ""),
            "name": ("varchar", "where the stage has several"),
            "digest": ("varchar", "of the files"),
            "folder": ("varchar", "in artifacts/<stage>/"),
            "seconds": ("double", "that making it took"),
            "commit": ("varchar", "of the code"),
        },
    ),
    "metrics": (
        "A number of a stage, such as its tokens, FLOPs or final loss.",
        {**KEY, "metric": ("varchar", ""), "value": ("double", "")},
    ),
    "scores": (
        "A model's score on a benchmark.",
        {
            **KEY,
            "model": ("varchar", "<model>@<step> is a snapshot on its way"),
            "task": ("varchar", "the benchmark; heldout:<source> is unseen text"),
            "metric": ("varchar", ""),
            "value": ("double", ""),
            "stderr": ("double", "standard error over items"),
            "n": ("bigint", "items"),
        },
    ),
    "mixtures": (
        "A source's part of a mixture.",
        {
            **KEY,
            "mixture": ("varchar", "seed, stitched, or an expert"),
            "source": ("varchar", ""),
            "weight": ("double", "share, from 0 to 1"),
            "tokens": ("bigint", "read"),
            "epochs": ("double", "of the source, by this mixture alone"),
        },
    ),
    "utility": (
        "What a source is worth for a benchmark.",
        {
            **KEY,
            "source": ("varchar", ""),
            "task": ("varchar", ""),
            "value": ("double", "from 0 to 1"),
            "stderr": ("double", ""),
        },
    ),
    "specialisation": (
        "A bound that an expert should keep.",
        {
            **KEY,
            "check": ("varchar", "what is checked"),
            "subject": ("varchar", "of whom"),
            "value": ("double", ""),
            "bound": ("double", ""),
            "holds": ("boolean", ""),
        },
    ),
    "training_events": (
        "Something that happened while a model trained: an alarm, a spike of the loss, a rewind.",
        {
            **KEY,
            "step": ("bigint", "updates until then"),
            "attempt": ("bigint", "rewinds before it"),
            "event": ("varchar", "alarm, spike or rewind"),
            "said": ("varchar", "in a sentence"),
            "target": ("bigint", "step that a rewind goes back to"),
            "skipped": ("bigint[]", "batches that a rewind leaves out"),
        },
    ),
    "rejection_samples": (
        "An answer that a round of rejection sampling drew, from the ledger of the round.",
        {
            **KEY,
            "random_seed": ("bigint", "of the chat model"),
            "round": ("bigint", "from 1"),
            "prompt": ("varchar", ""),
            "sample": ("bigint", "which of the answers to the prompt, from 0"),
            "temperature": ("double", "it was drawn at"),
            "answer": ("varchar", ""),
            "score": ("double", "by the reward model, or by two combined: logit(R_c)"),
            "chosen": ("boolean", "whether it is the best of its prompt in this round"),
            "helpfulness": ("double", "reward by helpfulness' model, where there are two"),
            "safety": ("double", "reward by safety's"),
            "took_safety": ("boolean", "whether the score is safety's"),
            "whitened": ("double", "the score with mean 0 and deviation 1 over the round"),
        },
    ),
    "forecast": (
        "A forecast of what people will say of a model.",
        {
            **KEY,
            "model": ("varchar", ""),
            "target": ("varchar", "the rating"),
            "rating": ("double", ""),
            "low": ("double", "end of the interval"),
            "high": ("double", "end of the interval"),
            "extrapolates": ("boolean", "whether the model lies outside the ones learnt from"),
            "missing": ("varchar[]", "benchmarks that were not there"),
        },
    ),
}
LATEST = {  # what names a fact, beside its key
    "artifacts": (),
    "metrics": ("metric",),
    "scores": ("model", "task", "metric"),
    "mixtures": ("mixture", "source"),
    "utility": ("source", "task"),
    "specialisation": ("check", "subject"),
    "training_events": ("attempt", "step", "event"),
    "rejection_samples": ("prompt", "sample"),
    "forecast": ("model", "target"),
}
# The pool of Llama 2 (arXiv 2307.09288, section 3.2.3); an answer without text is never learnt from.
POOL = """select * from run_rejection_samples where trim(answer) <> ''
qualify row_number() over (partition by run_id, random_seed, prompt order by score desc, round, sample) = 1"""
SNAPSHOT = "contains(model, '@')"
EXAMPLES = {
    "The runs of this home": "select run_id, status, started, ended - started as took from runs order by started",
    "Scores of the latest run, a column a model": """pivot (
    select task, metric, model, value from run_scores
    where run_id = (select run_id from runs order by started desc limit 1)
) on model using first(value) order by task, metric""",
    "How a model's score went from run to run": """select r.started, s.value, s.stderr
from run_scores s join runs r using (run_id)
where s.model = 'stitched' and s.metric = 'bits_per_byte' order by r.started""",
    "What each run's seed was trained on": """select run_id, source, weight, tokens, epochs
from run_mixtures where mixture = 'seed' order by run_id, weight desc""",
    "Seconds by stage, of what was made": """select split_part(label, '/', 1) as stage, sum(seconds) as seconds
from run_stages where not cache_hit group by all order by seconds desc""",
}


@functools.cache
def form() -> str:
    """What identifies the form of a catalog: a digest of the SQL that makes it."""
    return hashlib.sha256(schema().encode()).hexdigest()


def schema() -> str:
    """SQL that makes all of it in an empty file."""
    parts = []
    for table, (about, columns) in TABLES.items():
        made = ", ".join(f'"{name}" {kind}' for name, (kind, _) in (columns | RECORDED).items())
        parts += [f"create table {table} ({made})", _comment("table", table, about)]
        parts += [
            _comment("column", f'{table}."{name}"', said)
            for name, (_, said) in (columns | RECORDED).items()
            if said
        ]
    # rows are only appended: their order is that of writing, also where the clock was set back
    parts += _view("runs", "Every run as it is now.", _latest("run_events", ("run_id",)))
    for table, names in LATEST.items():
        about = "The latest row of each thing in the table without `latest_`."
        parts += _view(f"latest_{table}", about, _latest(table, ("key", *names)))
        if table == "artifacts":
            continue
        facts = [name for name in TABLES[table][1] if name != "key"]
        shown = ", ".join(f'f."{name}"' for name in facts)
        joined = f"select s.run_id, {shown} from run_stages s join latest_{table} f using (key)"
        if table == "scores":
            parts += _view("run_scores", "The scores of each run's models.", f"{joined} where not {SNAPSHOT}")
            parts += _view(
                "run_snapshot_scores", "The same of models on their way.", f"{joined} where {SNAPSHOT}"
            )
        else:
            parts += _view(f"run_{table}", "The same by run.", joined)
    about = "The best answer to each prompt of all rounds of a run, by score; of one score the earliest."
    parts += _view("run_rejection_pool", about, POOL)
    return ";\n".join(parts)


def _latest(table: str, names: tuple[str, ...]) -> str:
    same = ", ".join(f'"{name}"' for name in names)
    return f"select * from {table} qualify row_number() over (partition by {same} order by rowid desc) = 1"


def _view(name: str, about: str, query: str) -> list[str]:
    return [f"create view {name} as {query}", _comment("view", name, about)]


def _comment(kind: str, name: str, text: str) -> str:
    return f"comment on {kind} {name} is '{text.replace(chr(39), 2 * chr(39))}'"
