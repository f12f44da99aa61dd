"""A training run from folders to a folder: in this process, or in several that torch launches.

A job names everything by path, so that the same job file serves a function call, a launched process and a
machine that has nothing else of ours running. Accelerate finds its processes by the environment that torchrun
sets; its own launcher starts several CPU processes only through MPI.

    torchrun --nproc_per_node 4 -m tasks.training.jobs job.json
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks.side_by_side import own_cores
from tasks.training.settings import TrainingSettings
from tasks.training.stability.looks import LOOKS, LOOKS_TABLE, write_looks

ROW_PREFIX = "step-row "
log = logging.getLogger("mixstitch.training")


@dataclass(frozen=True)
class TrainingJob:
    """One run of the loop.

    model: folder or Hub name of the model to start from. out: folder for the trained model. progress: folder
    for checkpoints and the step log. tokens: source -> token file. plan: source -> tokens to train on. used:
    source -> tokens the lineage has trained on before. name: decides how the sources are interleaved. limits:
    source -> tokens of it that this run may see (see `TokenOrder`); a source that is not named has all its own.
    end_of_text: the token that ends a document, needed under document masks.
    rate_scales, near_identity: as of `make_optimizer`. freeze_embeddings: token embeddings and output head stay as
    they are. snapshots: folder for as many snapshots as the settings say; None: no snapshots.
    """

    model: str
    out: str
    progress: str
    tokens: dict[str, str]
    token_dtype: str
    plan: dict[str, int]
    used: dict[str, int]
    learning_rate: float
    name: str
    random_seed: int
    settings: dict
    limits: dict[str, int] = field(default_factory=dict)
    rate_scales: dict[str, float] = field(default_factory=dict)
    near_identity: tuple[str, ...] = ()
    freeze_embeddings: bool = False
    snapshots: str | None = None
    end_of_text: int | None = None


def num_sequences(job: TrainingJob) -> int:
    settings = TrainingSettings(**job.settings)
    return sum(job.plan.values()) // settings.tokens_per_step * settings.batch_size


def run_job(job: TrainingJob, report: Callable[[dict[str, float]], None]) -> dict:
    """Train and save the model into `job.out`; returns the outcome as JSON values.

    Raises ValueError where the plan is smaller than one step, RuntimeError where a launched process fails.
    """
    settings = TrainingSettings(**job.settings)
    if num_sequences(job) == 0:
        raise ValueError(
            f"{job.name}: a budget of {sum(job.plan.values())} tokens is less than one step of "
            f"{settings.tokens_per_step}; allowed: a larger budget, or a smaller batch_size or sequence_length"
        )
    from tasks.training.routing_log import ROUTING, ROUTING_TABLE, routing_facts, write_routing

    outcome = _launch(job, settings, report) if settings.processes > 1 else train_job(job, report)
    logs = Path(job.out).parent / "logs"
    logs.mkdir(exist_ok=True)
    shutil.copy(Path(job.progress) / "steps.jsonl", logs / "steps.jsonl")
    if settings.stability.monitor.every:
        write_looks(Path(job.progress) / LOOKS, logs / LOOKS_TABLE)
    routing = Path(job.progress) / ROUTING
    write_routing(routing, logs / ROUTING_TABLE)
    return {**outcome, "routing": routing_facts(routing)}


def train_job(job: TrainingJob, report: Callable[[dict[str, float]], None]) -> dict:
    """The part of `run_job` that every process runs, on its share of the cores."""
    with own_cores():
        return _train_job(job, report)


def _train_job(job: TrainingJob, report: Callable[[dict[str, float]], None]) -> dict:
    import torch
    from accelerate import PartialState

    import models
    from tasks.sources.tokenization import open_tokens
    from tasks.training.document_order import read_as_set
    from tasks.training.loop import train
    from tasks.training.parameter_counts import parameters_of
    from tasks.training.snapshots import save_snapshots
    from tasks.training.token_order import TokenOrder, sequences_by_source

    settings = TrainingSettings(**job.settings)
    counts = sequences_by_source(job.plan, num_sequences(job))
    order = TokenOrder(
        tokens={source: open_tokens(Path(path), job.token_dtype) for source, path in job.tokens.items()},
        counts=counts,
        used={source: tokens // settings.sequence_length for source, tokens in job.used.items()},
        length=settings.sequence_length,
        name=job.name,
        random_seed=job.random_seed,
        limits=job.limits,
        following=int(settings.border_targets),
    )
    model = models.load_causal_lm(job.model, torch.float32)  # autocast needs fp32 weights to add updates to
    if job.freeze_embeddings:
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.requires_grad_(False)
    sequences, objective = read_as_set(order, settings, job.end_of_text, model)
    rounded = models.round_frozen(model) if settings.precision == "bf16" else 0
    progress = Path(job.progress)
    steps = settings.snapshot_steps(len(order) // settings.batch_size) if job.snapshots is not None else []
    outcome = train(
        model,
        sequences,
        settings,
        job.learning_rate,
        job.random_seed,
        progress,
        report,
        job.rate_scales,
        steps,
        job.near_identity,
        objective,
    )
    device = torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type
    steps = [step for step in steps if step < outcome.steps]  # the last batches may have been left out
    if PartialState().is_main_process:
        if rounded:  # what did not train is saved as it came
            trained, model = model, models.load_causal_lm(job.model, torch.float32)
            models.copy_trained(trained, model)
        model.save_pretrained(job.out)
        if job.snapshots is not None:
            save_snapshots(progress, steps, model, Path(job.snapshots))
    flops = models.train_flops_per_token(model, settings.sequence_length) * outcome.tokens
    skipped = order.sources_of(outcome.skipped, settings.batch_size)
    return {
        **asdict(outcome),
        "measured": outcome.measured(),
        "flops": flops,
        "device": device,
        **parameters_of(model),
        "trained_tokens": {
            source: (count - skipped.get(source, 0)) * settings.sequence_length
            for source, count in counts.items()
        },
        "skipped_tokens": {source: count * settings.sequence_length for source, count in skipped.items()},
        "snapshots": steps,
    }


def _launch(job: TrainingJob, settings: TrainingSettings, report: Callable[[dict[str, float]], None]) -> dict:
    import torch

    progress = Path(job.progress)
    progress.mkdir(parents=True, exist_ok=True)
    job_file, outcome_file = progress / "job.json", progress / "outcome.json"
    job_file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    failure_file = progress / "failure.txt"
    for path in (outcome_file, failure_file):
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(settings.processes), "-m", "tasks.training.jobs", str(job_file)]
    on_cpu = {} if torch.cuda.is_available() else {"ACCELERATE_USE_CPU": "true"}
    environment = {**os.environ, **on_cpu, "PYTHONPATH": os.pathsep.join(sys.path), "TQDM_DISABLE": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if (row := row_of(line)) is not None:
                    report(row)
                else:
                    log.debug(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0 or not outcome_file.exists():
        raise RuntimeError(
            f"{job.name}: training in {settings.processes} processes failed with exit status "
            f"{process.returncode}: "
            + (failure_file.read_text(encoding="utf-8") if failure_file.exists() else "it was killed")
        )
    return json.loads(outcome_file.read_text(encoding="utf-8"))


def row_of(line: str) -> dict[str, float] | None:
    """The row of the step log that a line of the launched processes ends with; None where there is none.

    All of them write into one pipe, so that a line may begin with what another has not ended yet.
    """
    _, is_row, row = line.partition(ROW_PREFIX)
    return json.loads(row) if is_row else None


def _main() -> None:
    from accelerate import PartialState

    job = TrainingJob(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        outcome = train_job(job, lambda row: print(f"{ROW_PREFIX}{json.dumps(row)}", flush=True))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        (Path(job.progress) / "failure.txt").write_text(failure, encoding="utf-8")
        raise
    if PartialState().is_main_process:
        (Path(job.progress) / "outcome.json").write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    _main()
