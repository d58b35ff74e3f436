"""The codec that a cache is made with: published, a checkpoint's, of random weights, or nano's fitted to clips."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import held_out, plan_of
from vividhead.flashhead.latents.identity import FOLDER, codec_digest, shards_of
from vividhead.flashhead.model.codecs import VideoCodec, fit_linear, linear, load_codec, random_codec
from vividhead.flashhead.train.windows import as_video
from vividhead.loader import ShardDataset
from vividhead.loader.folder import Folder

FITTED_ON = 200
"""Windows that the linear codec is fitted on."""
RANDOM_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSource:
    """Where every process reads the same codec."""

    folder: str | None
    """With its weights; None: random ones."""
    sha256: str


def load_from(folder: str | None, config: FlashHeadConfig) -> VideoCodec:
    """The codec of a source's folder."""
    return random_codec(config, RANDOM_SEED) if folder is None else load_codec(config, Path(folder))


def source_of(folder: Path | None, config: FlashHeadConfig) -> CodecSource:
    """The codec in a folder (None: with random weights) and its digest."""
    named = None if folder is None else str(folder.absolute())
    return CodecSource(folder=named, sha256=codec_digest(load_from(named, config)))


@cache
def loaded(source: CodecSource, config: FlashHeadConfig, device: str) -> VideoCodec:
    """The codec on a device, read once by each process; VividHeadError where its file has changed since."""
    codec = load_from(source.folder, config)
    if codec_digest(codec) != source.sha256:
        raise VividHeadError(
            f"the codec in {source.folder} has changed since the run began; run the same command again"
        )
    return codec.to(device)


def fitted(dataset: Path, config: FlashHeadConfig) -> Path:
    """Folder of the linear codec fitted to the clips that a model learns from, beside the dataset; made once."""
    folder = dataset / FOLDER / f"codec-{_fit_digest(dataset, config)}"
    if not (folder / linear.FOLDER / linear.FILE).is_file():
        names = held_out(str(dataset), config, config.data.held_out).unlearned
        training = ShardDataset(
            dataset, plan_of(config, 1), side_px=config.stream.side_px, where=lambda rows: ~rows.clip_id.isin(names)
        )
        fit(training, config).save(folder)
    return folder


def fit(training: ShardDataset, config: FlashHeadConfig) -> linear.LinearCodec:
    """The linear codec of a dataset's first windows, in its order."""
    reader = training.reader()
    samples = (training.sample_at(position, reader) for position in range(min(FITTED_ON, training.n_windows)))
    videos = (as_video(sample.video_THWC[None], torch.float32)[0] for sample in samples)
    with _one_thread():
        return fit_linear(videos, config.codec.stride_frames, config.codec.stride_px, config.dit.latent_channels)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads are rounded otherwise, and latents would be another codec's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_digest(dataset: Path, config: FlashHeadConfig) -> str:
    made_of = {
        "shards": shards_of(Folder(str(dataset)).manifest()), "plan": str(plan_of(config, 1)), "windows": FITTED_ON,
        "side_px": config.stream.side_px, "held_out": config.data.held_out, "channels": config.dit.latent_channels,
        "strides": [config.codec.stride_frames, config.codec.stride_px],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
