"""One step of each stage: networks, their optimizers and averages, and what is done with batches."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.train import stage1, stage2
from vividhead.flashhead.train.ema import Ema
from vividhead.flashhead.train.ranks import Place, clipped_norm, own_generator, shared_generator, wrapped
from vividhead.flashhead.train.rollout import draw_plan
from vividhead.flashhead.train.windows import Windows

Figures = Mapping[str, Tensor | float]
Next = Callable[[], Windows]
"""Gives the next batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where and how a model is trained."""

    config: FlashHeadConfig
    place: Place
    device: torch.device
    seed: int
    codec: VideoCodec
    shard: bool = False

    @property
    def compute(self) -> torch.dtype | None:
        """Precision of products: bfloat16 on a GPU, where master weights stay float32."""
        return torch.bfloat16 if self.device.type == "cuda" else None

    def autocast(self) -> torch.autocast:
        """Forward passes within it compute in that precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute is not None)

    def ready(self, dit: Dit) -> nn.Module:
        """On the device, compiled if asked, spread over the ranks."""
        dit.to(self.device)
        dit.recomputes = self.config.loop.recompute_blocks
        if self.config.loop.compile_blocks:
            for block in dit.blocks:
                block.compile()
        return wrapped(dit, self.device, shard=self.shard, compute=self.compute)


@dataclass(slots=True)
class Patience:
    """Counts the updates of one network that are left out because their gradient is not finite."""

    most: int
    in_a_row: int = 0
    skipped: int = 0
    """In all; the loop keeps it in checkpoints."""

    def allows(self, norm: float) -> bool:
        """Whether the update may be made; raises VividHeadError when too many could not."""
        if math.isfinite(norm):
            self.in_a_row = 0
            return True
        self.in_a_row, self.skipped = self.in_a_row + 1, self.skipped + 1
        if self.in_a_row > self.most:
            raise VividHeadError(
                f"{self.in_a_row} updates in a row had no finite gradient (loop.most_nonfinite = {self.most}): "
                "lower the learning rate, or go on from an older checkpoint"
            )
        return False


@dataclass(slots=True)
class Stage1:
    """Flow matching."""

    around: Surroundings
    dit: Dit
    ema: Ema = field(init=False)
    modules: "dict[str, nn.Module | Ema]" = field(init=False)
    optimizers: dict[str, AdamW] = field(init=False)
    patience: dict[str, Patience] = field(init=False)
    _model: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        """Spread the model, then make what holds its parameters."""
        options = self.around.config.stage1
        self._model = self.around.ready(self.dit)
        trained = [p for p in self._model.parameters() if p.requires_grad]
        betas = (0.9, options.beta2)
        optimizer = AdamW(trained, options.learning_rate, betas, weight_decay=options.weight_decay)
        self.ema = Ema(self._model, options.ema_decay)
        self.modules, self.optimizers = {"dit": self._model, "ema": self.ema}, {"dit": optimizer}
        self.patience = {"dit": Patience(self.around.config.loop.most_nonfinite)}

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.around.config.stage1.steps

    @property
    def batch(self) -> int:
        """Windows in a batch, on each rank."""
        return self.around.config.stage1.batch

    @property
    def batches(self) -> int:
        """Batches that a step takes."""
        return 1

    def forward_passes(self, step: int) -> float:
        """The transformer's forward passes in a step for each window of a batch, a backward pass counted as two."""
        return 3.0

    def update(self, following: Next, step: int) -> Figures:
        """One update by AdamW on one batch."""
        windows = following()
        around, options = self.around, self.around.config.stage1
        generator = own_generator(around.seed, around.place.rank, step)
        draws = stage1.draw(windows.reference_BCTHW.shape, around.config, generator).to(around.device)
        with around.autocast():
            loss = stage1.stage1_loss(self._model, windows, draws, around.config)
        loss.total.backward()
        left = (options.steps - step) / max(1.0, options.cooldown * options.steps)
        rate = options.learning_rate * min(1.0, (step + 1) / max(1, options.warmup_steps), left)
        norm = _stepped(self.optimizers["dit"], rate, options.clip_norm, self.patience["dit"], self.ema)
        return {
            "loss": loss.total, "velocity": loss.velocity, "face": loss.face, "mouth": loss.mouth,
            "temporal": loss.temporal,
            "gradient_norm": norm, "learning_rate": rate, **stage1.by_timestep(loss.velocity_B, draws.timestep_B),
        }  # fmt: skip


@dataclass(slots=True)
class Stage2:
    """Distillation; `dit` is the generator, teacher and fake score begin as it does."""

    around: Surroundings
    dit: Dit
    teacher: Dit
    fake: Dit
    ema: Ema = field(init=False)
    modules: "dict[str, nn.Module | Ema]" = field(init=False)
    optimizers: dict[str, AdamW] = field(init=False)
    patience: dict[str, Patience] = field(init=False)
    _networks: stage2.Networks = field(init=False)

    def __post_init__(self) -> None:
        """Spread the three networks, then make what holds their parameters."""
        around, options = self.around, self.around.config.stage2
        generator, fake = around.ready(self.dit), around.ready(self.fake)
        teacher = around.ready(self.teacher.requires_grad_(False).eval())
        self._networks = stage2.Networks(generator=generator, teacher=teacher, fake=fake, codec=around.codec)
        rates = {"generator": options.learning_rate, "fake": options.critic_learning_rate}
        self.optimizers = {
            name: AdamW(
                [p for p in module.parameters() if p.requires_grad], rates[name], (options.beta1, options.beta2),
                weight_decay=options.weight_decay,
            )
            for name, module in (("generator", generator), ("fake", fake))
        }  # fmt: skip
        self.ema = Ema(generator, options.ema_decay)
        self.modules = {"generator": generator, "fake": fake, "teacher": teacher, "ema": self.ema}
        self.patience = {name: Patience(around.config.loop.most_nonfinite) for name in self.optimizers}

    @property
    def steps(self) -> int:
        """Steps in all; a step is one update of the generator and `critic_updates` of the fake score."""
        return self.around.config.stage2.steps

    @property
    def batch(self) -> int:
        """Clips in a batch, on each rank."""
        return self.around.config.stage2.batch

    @property
    def batches(self) -> int:
        """Batches that a step takes: one for each update of the fake score, the first also for the generator's."""
        return self.around.config.stage2.critic_updates

    def update(self, following: Next, step: int) -> Figures:
        """The generator, then the fake score so many times."""
        seed, rank = self.around.seed, self.around.place.rank
        figures: dict[str, Tensor | float] = {}
        critic: list[Figures] = []
        for number in range(step * self.batches, (step + 1) * self.batches):
            windows, shared, own = following(), shared_generator(seed, number), own_generator(seed, rank, number)
            if not critic:
                figures |= self._update_generator(windows, shared, own)
            critic.append(self._update_fake(windows, shared, own))
        return figures | _means(critic)

    def forward_passes(self, step: int) -> float:
        """The transformer's forward passes in a step for each clip of a batch, a backward pass counted as two."""
        config, passes = self.around.config, 0.0
        for number in range(step * self.batches, (step + 1) * self.batches):
            shared = shared_generator(self.around.seed, number)
            if number == step * self.batches:  # gradient through one pass; the teacher with and without sound; the fake
                passes += draw_plan(config, shared).forward_passes(config) + 2 + 2 + 1
            passes += draw_plan(config, shared).forward_passes(config) + 3
        return passes

    def _update_fake(self, windows: Windows, shared: torch.Generator, own: torch.Generator) -> Figures:
        around, options = self.around, self.around.config.stage2
        plan = draw_plan(around.config, shared)
        draws = stage2.draw(windows.reference_BCTHW.shape, plan, around.config, own).to(around.device)
        with around.autocast():
            critic = stage2.critic_loss(self._networks, windows, plan, draws, around.config)
        critic.total.backward()
        rate = options.critic_learning_rate
        norm = _stepped(self.optimizers["fake"], rate, options.clip_norm, self.patience["fake"])
        by_timestep = stage1.by_timestep(critic.velocity_B, draws.timestep_B)
        return {
            "critic": critic.total.detach(), "critic_gradient_norm": norm,
            **{f"critic_{bucket}": loss for bucket, loss in by_timestep.items()},
        }  # fmt: skip

    def _update_generator(self, windows: Windows, shared: torch.Generator, own: torch.Generator) -> Figures:
        around, options = self.around, self.around.config.stage2
        plan = draw_plan(around.config, shared)
        draws = stage2.draw(windows.reference_BCTHW.shape, plan, around.config, own).to(around.device)
        with around.autocast():
            loss = stage2.generator_loss(self._networks, windows, plan, draws, around.config)
        loss.total.backward()
        rate = options.learning_rate
        norm = _stepped(self.optimizers["generator"], rate, options.clip_norm, self.patience["generator"], self.ema)
        seam = {} if loss.seam_psnr_db is None else {"seam_psnr_db": loss.seam_psnr_db}
        return {
            "loss": loss.total, "regression": loss.regression, "dmd_gradient": loss.dmd_gradient,
            "gradient_norm": norm, "learning_rate": rate, "rollout_chunks": plan.chunks, **seam,
        }  # fmt: skip


Stage = Stage1 | Stage2
"""What the loop runs; `ema` holds the result's values, `dit` its shape."""


def _means(rows: list[Figures]) -> dict[str, Tensor | float]:
    """Of each figure over the rows that have it."""
    known: dict[str, list[Tensor | float]] = {}
    for row in rows:
        for name, value in row.items():
            known.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in known.items()}


def _stepped(optimizer: AdamW, rate: float, clip_norm: float, patience: Patience, ema: Ema | None = None) -> float:
    """Clip, then step and average, unless the gradient is not finite; clear, and return the norm."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = clipped_norm(parameters, clip_norm)
    if patience.allows(norm):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if ema is not None:
            ema.update()
    optimizer.zero_grad(set_to_none=True)
    return norm
