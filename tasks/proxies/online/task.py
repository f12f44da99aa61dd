"""Stage `online`: static weights learnt while proxies train, by the rule that is asked for.

As in ablation, a proxy of n tokens sees n / N of every source, where N is the budget of the run that the
mixture is for, so that epochs match; a source has one sequence at least.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.proxies.online.settings import RULES_BY_NAME, OnlineSettings
from tasks.sources.scarcity import data_limits, token_counts
from tasks.stage import Progress, show_table, stage_task
from tasks.training.estimates import config_of, dense_shape, training_cost
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import training_identity

VERSION = 5


@stage_task(name="online", task_run_name="learn-weights-{method}")
def learn_weights(
    run: AnyRun,
    method: str,
    settings: OnlineSettings,
    training: TrainingSettings,
    corpus: Artifact,
    target_tokens: int,
    random_seed: int,
    data_share: float = 1.0,
) -> Artifact:
    """The weights that the rule of this name learns, source -> weight.

    target_tokens: budget of the run that the mixture is for, of which `data_share` of the data is there.
    """
    rule = RULES_BY_NAME[method]
    progress = Progress(run, label_of("online", method))
    share = data_share * min(settings.tokens / target_tokens, 1.0)
    identity = {
        "method": method,
        **settings.identity(rule),
        "training": training_identity(training, training.learning_rate),
        "share": share,
        "random_seed": random_seed,
    }

    def build(folder: Path) -> dict:
        from tasks.proxies.online.learning import Setting
        from tasks.proxies.online.learning_records import late_drift, write_records
        from tasks.proxies.online.proxy_text import proxy_text
        from tasks.sources.stated_sizes import token_file
        from tasks.sources.tokenization import open_tokens
        from tasks.training.start import start_of

        sizes = token_counts(corpus.facts)
        length = training.sequence_length
        tokens = {
            source: open_tokens(token_file(corpus, source), corpus.facts["token_dtype"]) for source in sizes
        }
        held = rule.held_back(settings.own(rule))
        learnt = rule.learn(
            Setting(
                rule,
                start_of(settings.model, training, corpus.path, random_seed, folder / "progress" / "start"),
                proxy_text(tokens, data_limits(sizes, share, length), length, held),
                sizes,
                settings,
                training,
                random_seed,
                folder / "progress",
                progress.step,
            ),
        )
        write_records(folder, learnt)
        return {
            "weights": dict(zip(learnt.sources, learnt.weights.tolist(), strict=True)),
            "weights_are": rule.weights_are,
            "late_drift": late_drift(learnt.traces["proxy"].weights),
            "metrics": {"tokens": learnt.tokens, "flops": learnt.flops, "parameters": learnt.parameters},
            "provenance": {"seed": random_seed, "tokens": learnt.tokens, "flops": learnt.flops},
        }

    def cost() -> Cost:
        config = config_of(settings.model, training, corpus.facts["vocab_size"])
        shape = dense_shape(config, training.sequence_length)
        tokens = settings.trained_tokens(rule, len(corpus.facts["sources"]))
        return replace(training_cost(shape, tokens, config, training), disk=0.0)

    artifact = run.stage(
        Stage(
            name="online",
            title="online mixing",
            did="weights learnt",
            version=VERSION,
            identity=identity,
            inputs={"sources": corpus.digest},
            build=build,
            label=method,
            cost=cost,
            expected=lambda: {"weights": {}, "weights_are": "", "late_drift": None},
            headline=lambda facts: ", ".join(
                f"{name} {weight:.1%}" for name, weight in facts["weights"].items()
            ),
        )
    )
    show_table(
        lambda: [{"source": name, "weight": weight} for name, weight in artifact.facts["weights"].items()],
        key=f"online-{method}",
        description=f"Weights that {method} learnt",
    )
    return artifact
