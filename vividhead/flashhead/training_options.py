"""How a FlashHead is trained: the sections of pipelines/flashhead/*.toml that `vividhead train` reads.

Defaults are Lite's. Where the paper (arXiv 2602.07449) is silent, the meaning names where a value comes from:
(S) Self-Forcing's published settings, arXiv 2506.08009; (T) a public reproduction of the sibling FlashTalk; (ours).
"""

from dataclasses import dataclass

from vividhead.settings import quantity, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Which windows are seen, and in what order."""

    workers: int = quantity(4, "", 0, 256, "processes that decode windows, for each rank; 0: the trainer itself")
    shuffle_mb: int = quantity(256, "MB", 1, 1000000, "media that a worker holds to mix clips; more mixes better")
    mirrored: float = quantity(0.0, "", 0, 1, "share of windows seen as in a mirror (ours)")
    recoloured: float = quantity(0.0, "", 0, 1, "how far windows' brightness, contrast and colours are varied (ours)")
    held_out: float = quantity(0.05, "", 0, 0.9, "share of clips kept for validation, chosen by clip id (ours)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage1:
    """Streaming-aware pre-training by flow matching."""

    steps: int = quantity(100000, "", 1, 10**8, "updates (paper)")
    batch: int = quantity(8, "windows", 1, 4096, "on each rank; the paper's global batch is 256")
    learning_rate: float = quantity(2e-4, "", 1e-8, 1, "after the warm-up (paper)")
    warmup_steps: int = quantity(1000, "", 0, 10**7, "updates until it is reached (ours)")
    cooldown: float = quantity(0.0, "", 0, 1, "last share of the updates in which it falls to zero, linearly (ours)")
    beta2: float = quantity(0.99, "", 0.5, 1, "AdamW's second decay; the first is 0.9 (T)")
    weight_decay: float = quantity(0.01, "", 0, 1, "AdamW's (T)")
    clip_norm: float = quantity(1.0, "", 0.001, 1000, "greatest norm of a gradient (T)")
    ema_decay: float = quantity(0.9999, "", 0, 0.999999, "of the averaged weights, which are the result (ours)")
    single_frame: float = quantity(0.1, "", 0, 1, "share of windows that take over one frame, as a cold start (paper)")
    audio_drop: float = quantity(0.1, "", 0, 1, "share of windows whose audio features are zeros, for guidance (ours)")
    face_weight: float = quantity(0.75, "", 0, 100, "of |x0 error| inside the face, relative to the velocity's (T)")
    mouth_weight: float = quantity(0.0, "", 0, 100, "of the velocity's error at the mouth, likewise (ours)")
    shuffled_audio: bool = setting(False, "each window hears another's sound: the control that must not learn lips")
    temporal_weight: float = quantity(0.25, "", 0, 100, "of the error of differences in time, likewise (T)")
    buckets: tuple[str, ...] = setting(
        (), 'shapes of batches, one drawn for each update, as "512x384" or "512x512x17"; none: stream\'s alone (ours)'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage2:
    """Oracle-guided bidirectional distillation."""

    steps: int = quantity(
        2000, "", 1, 10**8, "each an update of the generator and critic_updates of the fake score (ours)"
    )
    batch: int = quantity(1, "clips", 1, 1024, "on each rank; 64 in all (S)")
    chunks: int = quantity(5, "", 1, 64, "longest rollout (paper)")
    critic_updates: int = quantity(5, "", 1, 100, "of the fake score in a step, each on another batch (S)")
    learning_rate: float = quantity(2e-6, "", 1e-9, 1, "of the generator (S)")
    critic_learning_rate: float = quantity(4e-7, "", 1e-9, 1, "of the fake score (S)")
    beta1: float = quantity(0.0, "", 0, 1, "AdamW's first decay (S)")
    beta2: float = quantity(0.999, "", 0.5, 1, "AdamW's second decay (S)")
    weight_decay: float = quantity(0.01, "", 0, 1, "AdamW's (S)")
    clip_norm: float = quantity(10.0, "", 0.001, 1000, "greatest norm of a gradient (S)")
    ema_decay: float = quantity(0.99, "", 0, 0.999999, "of the averaged generator, which is the result (S)")
    guidance: float = quantity(3.0, "", 1, 20, "of the teacher: unconditional + guidance · (conditional - it)")
    regression: float = quantity(0.25, "", 0, 100, "weight of the latents' distance to the true ones (ours; paper: λ)")
    least_t: float = quantity(20.0, "", 0, 1000, "timesteps of the score difference are no smaller (S)")
    greatest_t: float = quantity(980.0, "", 0, 1000, "and no greater (S)")
    oracle: bool = setting(True, "the teacher sees true motion frames; false: the generator's own, to compare")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What happens beside the updates."""

    log_every: int = quantity(10, "steps", 1, 10**6, "a line in the log")
    validate_every: int = quantity(1000, "steps", 1, 10**7, "loss on clips that are held out, with fixed noise")
    validation_windows: int = quantity(64, "windows", 1, 10**5, "at most so many of them")
    save_every: int = quantity(1000, "steps", 1, 10**7, "a checkpoint to resume from")
    keep: int = quantity(3, "", 1, 1000, "newest checkpoints kept")
    sample_every: int = quantity(5000, "steps", 1, 10**7, "a video generated from a clip that is held out")
    most_nonfinite: int = quantity(10, "", 0, 10**6, "updates in a row without a finite gradient; then it is given up")
    compile_blocks: bool = setting(False, "torch.compile of each block: faster after minutes")
    recompute_blocks: bool = setting(False, "keep no activations inside blocks: less memory, a third more work")
