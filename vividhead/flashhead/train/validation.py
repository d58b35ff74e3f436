"""The loss on clips that are held out: the same windows, noise and timesteps every time, heard and misheard."""

from collections.abc import Callable
from dataclasses import replace

import torch

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.codecs import VideoCodec, reconstruction
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.train.ranks import own_generator
from vividhead.flashhead.train.stage1 import Loss, draw, stage1_loss
from vividhead.flashhead.train.windows import Windows, as_video
from vividhead.loader import Batch, ShardDataset

SEED = 7
"""Of the noise; nothing a run is seeded with changes what it is judged by."""


class Validation:
    """Judges a model by flow matching on held-out windows; each rank judges all of them."""

    def __init__(
        self,
        dataset: ShardDataset,
        config: FlashHeadConfig,
        codec: VideoCodec,
        encode: Callable[[Batch], Windows],
        device: torch.device,
    ) -> None:
        """Encode the windows once, at most `loop.validation_windows`, and keep them on the device."""
        self._config, self._device = config, device
        self._batches: list[Windows] = []
        left, videos = config.loop.validation_windows, []
        for batch in dataset.loader(min(left, config.stage1.batch)):
            self._batches.append(encode(batch))
            videos += list(as_video(batch.video_BTHWC[:1], torch.float32))
            left -= len(batch)
            if left <= 0:
                break
        dataset.position = 0
        self.codec_psnr_db = reconstruction(codec.to(torch.float32), (video.to(device) for video in videos)).psnr_db
        """How well the codec gives held-out pictures back: no model looks better."""

    @torch.no_grad()
    def __call__(self, dit: Dit) -> dict[str, float]:
        """Mean of what training makes small, and of two of its parts, by the names of the log.

        With each window's own sound, and with that of another (`_misheard`).
        """
        own = self._losses(dit, self._batches)
        other = self._losses(dit, [_misheard(windows) for windows in self._batches])
        misheard = {f"{name}_misheard": loss for name, loss in other.items()}
        return own | misheard | {"codec_psnr_db": self.codec_psnr_db}

    def _losses(self, dit: Dit, batches: list[Windows]) -> dict[str, float]:
        found = [self._loss(dit, windows, number) for number, windows in enumerate(batches)]
        weights = [len(windows) for windows in batches]
        return {
            "validation": _mean([loss.total.item() for loss in found], weights),
            "validation_velocity": _mean([loss.velocity.item() for loss in found], weights),
            "validation_mouth": _mean([loss.mouth.item() for loss in found], weights),
        }

    def _loss(self, dit: Dit, windows: Windows, number: int) -> Loss:
        draws = draw(windows.reference_BCTHW.shape, self._config, own_generator(SEED, number))
        draws = replace(draws, has_audio_B=torch.ones_like(draws.has_audio_B)).to(self._device)
        return stage1_loss(dit, windows, draws, self._config)


def _misheard(windows: Windows) -> Windows:
    """Each window with the sound of the next; one alone with its own backwards."""
    context = windows.context_BKFWLC
    return replace(windows, context_BKFWLC=context.roll(1, 0) if len(windows) > 1 else context.flip(2))


def _mean(values: list[float], weights: list[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
