"""Settings of the stability monitor, the alarm, and what is done after a loss spike."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Step = Literal["rate", "epsilon", "clear"]


class MonitorSettings(BaseModel):
    """How often Adam's state is looked at, and how much of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int = Field(10, ge=0, description="Steps between two looks at Adam's state; 0: never.")
    coordinates: int = Field(
        65_536,
        ge=256,
        description="Weights of a layer that are looked at, evenly spread; all where it has fewer.",
    )


class AlarmSettings(BaseModel):
    """When a layer's update ratio r counts as ill: the theory's bounds, and the run's own quiet past."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tail: float = Field(
        0.005,
        gt=0,
        lt=1,
        description="A layer's share of |r| > .8 must be above this; independent gradients have .0005, correlated by "
        ".5 .025, by .9 .26.",
    )
    times: float = Field(
        3.0, ge=1, description="And it must be so many times the median of the layer's own past."
    )
    rise: float = Field(
        6.0, gt=0, description="And it must be so many robust standard deviations above the layer's own past."
    )
    window: int = Field(20, ge=5, description="Looks at the state that make up a layer's past.")
    warmup: int = Field(
        100,
        ge=0,
        description="Steps at the start of a run for which nothing is announced: gradients agree there.",
    )
    quiet: int = Field(100, ge=1, description="Steps after an alarm during which no further one is given.")


class RecoverySettings(BaseModel):
    """What is done after a spike of the loss: rewind, skip, try again, then escalate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Literal["never", "long", "always"] = Field(
        "long", description="`long`: in runs of at least long_steps steps, which excludes quick recipes."
    )
    long_steps: int = Field(5_000, ge=1, description="Steps from which on a run counts as long.")
    every: int = Field(
        250,
        ge=1,
        description="Steps between the checkpoints that a run can go back to; each writes weights and state.",
    )
    ring: int = Field(4, ge=2, le=100, description="How many of them are kept.")
    window: int = Field(128, ge=8, description="Steps that the loss is compared with.")
    sigmas: float = Field(
        6.0, gt=0, description="A loss so many standard deviations above their mean is a spiked step."
    )
    spiked_steps: int = Field(
        3, ge=1, description="Spiked steps among the last ten that make a spike: one alone passes by itself."
    )
    skip: int = Field(
        200,
        ge=1,
        description="Batches that are left out after a rewind, from there on; more where the spike came later. PaLM: "
        "200 to 500.",
    )
    skipped: Literal["leave", "replay"] = Field(
        "leave",
        description="What becomes of them: `leave` ends the run with fewer tokens, and says how many; `replay` reads "
        "them at the end, as the paper's control, and the token plan adds up.",
    )
    retries: int = Field(2, ge=0, description="Rewinds that only skip; further ones also escalate.")
    escalation: tuple[Step, ...] = Field(
        ("rate", "epsilon", "clear"),
        description="What further rewinds add, in this order: learning rate times rate_factor, epsilon times "
        "epsilon_factor, Adam's m and v cleared. After the last one the run goes on as it is.",
    )
    rate_factor: float = Field(0.9, gt=0, lt=1, description="Of the learning rate, for all that follows.")
    epsilon_factor: float = Field(0.1, ge=0, lt=1, description="Of epsilon, for all that follows.")

    def applies(self, num_steps: int) -> bool:
        return self.when == "always" or (self.when == "long" and num_steps >= self.long_steps)

    def ring_bytes(self, num_weights: int) -> int:
        """What a run's checkpoints take: the ring, two beside it and one that is written; weights, m, v in fp32."""
        return (self.ring + 3) * 3 * 4 * num_weights

    def ring_told(self, num_weights: int) -> str:
        """In words, what of the disk is taken until the run ends."""
        return (
            f"while it trains, the {self.ring} checkpoints to go back to take up to "
            f"{self.ring_bytes(num_weights) / 1e9:.3g} GB more"
        )


class StabilitySettings(BaseModel):
    """Training that watches itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    monitor: MonitorSettings = MonitorSettings()
    alarm: AlarmSettings = AlarmSettings()
    recovery: RecoverySettings = RecoverySettings()

    @model_validator(mode="after")
    def _ring_reaches_back(self) -> "StabilitySettings":
        if self.recovery.when != "never" and self.monitor.every == 0:
            raise ValueError(
                "recovery decides where the monitor looks, and monitor.every is 0; allowed: monitor.every above 0, or "
                "recovery.when: never"
            )
        return self
