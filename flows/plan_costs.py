"""What the training stages of a plan, its proxies and its judge would cost."""

from __future__ import annotations

from flows.settings import Experiment
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.planned import PlannedRun
from tasks.proxies.online.settings import OnlineMethod, OnlineSettings
from tasks.training.budget import split_budget, tokens_in_time
from tasks.training.estimates import matmul_flops_per_second, model_shape, stitched_shape, training_bytes
from tasks.training.settings import ModelSettings

TRAINING = ("seed", "expert", "stitched")
COST_COLUMNS = ("tokens", "flops", "memory_gb", "minutes")


def training_costs(
    home: Home, run: PlannedRun, e: Experiment, num_experts: int
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Tokens, FLOPs, memory and minutes of one run of each training stage, and how they were found."""
    if e.model.pretrained is not None or e.sources.tokenizer.pretrained is not None:
        return {}, [
            "Costs of a pretrained model or tokenizer are not estimated: their sizes are not in the recipe."
        ]
    tokens = e.budget.tokens
    if e.budget.minutes is not None:
        speeds = [s["artifact"].facts.get("metrics") for s in run.stages if s["artifact"].stage == "speed"]
        if not speeds or not speeds[0]:
            return {}, [
                f"Tokens that train in {e.budget.minutes:g} minutes are known once the speed has been measured."
            ]
        tokens = tokens_in_time(
            e.budget,
            e.budget.minutes,
            speeds[0]["dense_tokens_per_second"],
            speeds[0]["stitched_tokens_per_second"],
        )
    budget = split_budget(tokens, e.budget, num_experts, e.training.tokens_per_step)
    speed, note = _speed(home, e)
    vocab_size = e.sources.tokenizer.vocab_size
    dense, dense_flops = model_shape(e.model, e.training, vocab_size)
    trained, frozen, stitched_flops = stitched_shape(
        e.model, e.training, vocab_size, num_experts, e.stitching.num_stitches
    )
    memory = training_bytes(dense, 0, e.model, e.training)
    costs = {
        "seed": _cost(budget.seed, dense_flops, memory, speed),
        "expert": _cost(budget.expert, dense_flops, memory, speed),
        "stitched": _cost(
            budget.stitch,
            stitched_flops,
            training_bytes(trained, frozen, e.model, e.training, num_experts + 1),
            speed,
        ),
    }
    return costs, [f"{dense:,} parameters a model, {trained:,} in the stitches. {note}"]


def _cost(tokens: int, flops_per_token: float, memory: int, speed: float) -> dict[str, float]:
    flops = tokens * flops_per_token
    return dict(zip(COST_COLUMNS, (tokens, flops, memory / 1e9, flops / speed / 60), strict=True))


def _speed(home: Home, e: Experiment) -> tuple[float, str]:
    """FLOP/s to expect: what the latest training run of this home reached, or else matrix products here."""
    for manifest in reversed(ArtifactStore(home).manifests()):
        made = manifest["provenance"]
        if manifest["stage"] in TRAINING and made.get("flops"):
            return made["flops"] / made["seconds"], (
                f"Minutes of training at {made['flops'] / made['seconds']:.3g} FLOP/s, which stage "
                f"{manifest['stage']} reached here last."
            )
    measured = matmul_flops_per_second(e.training.precision)
    return measured, (
        f"Minutes of training at {measured:.3g} FLOP/s, the speed of bare matrix products here, "
        "which training rarely reaches."
    )


def needs_ablation(e: Experiment) -> bool:
    """Whether utility is estimated by ablation, for the experiment or for a contender of its duel."""
    methods = [c.utility for c in e.duel.contenders] if e.duel is not None else [e.utility.method]
    return "ablation" in methods


def proxy_costs(home: Home, e: Experiment, sources: list[str]) -> dict[str, dict[str, float]]:
    """Costs of each proxy of ablation, and of learning weights online; empty where no proxy trains."""
    costs: dict[str, dict[str, float]] = {}
    speed, _ = _speed(home, e)
    if needs_ablation(e):
        ablation = e.utility.ablation
        costs["proxy"] = _cost_of_new_model(e, ablation.model, ablation.tokens, speed)
    method = e.mixture.online_method
    if method is not None:
        tokens = _online_tokens(method, e.mixture.online, len(sources))
        costs["online"] = _cost_of_new_model(e, e.mixture.online.model, tokens, speed)
    return costs


def _online_tokens(method: OnlineMethod, online: OnlineSettings, num_sources: int) -> int:
    """Tokens that all proxies of the method train on."""
    if method == "doremi":
        return 2 * online.tokens
    graph = num_sources * online.skill_it.graph_share if method == "skill-it" else 0
    return round(online.tokens * (1 + graph))


def _cost_of_new_model(e: Experiment, model: ModelSettings, tokens: int, speed: float) -> dict[str, float]:
    parameters, flops = model_shape(model, e.training, e.sources.tokenizer.vocab_size)
    return _cost(tokens, flops, training_bytes(parameters, 0, model, e.training), speed)


def judge_note(run: PlannedRun, e: Experiment) -> list[str]:
    """The most that MEDU's judge may be asked, where a judge labels."""
    if e.utility.method != "medu":
        return []
    medu = e.utility.medu
    corpus = next((s["artifact"] for s in run.stages if s["artifact"].stage == "sources"), None)
    if corpus is None or "tasks" not in corpus.facts:
        questions = f"{medu.documents:,} documents a source and task"
    else:
        num_cells = len(corpus.facts["sources"]) * len(corpus.facts["tasks"])
        questions = f"{medu.documents * num_cells:,} documents over {num_cells} sources x tasks"
    answer = 0 if medu.judge == "transformers" else medu.max_answer_tokens
    most = "" if medu.max_tokens is None else f", and all answers together at most {medu.max_tokens:,} tokens"
    return [
        f"MEDU labels at most {questions}, each in at most {medu.context_tokens:,} tokens, {answer:,} of them "
        f"the answer{most}; answers kept from earlier runs cost nothing."
    ]
