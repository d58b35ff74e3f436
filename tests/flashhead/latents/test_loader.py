"""Windows out of cached latents are those that decoding gives, in the same order, up to the rounding of float16."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from vividhead.errors import DatasetError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.held_out import plan_of
from vividhead.flashhead.latents.feed import cached_windows
from vividhead.flashhead.latents.loader import LatentDataset
from vividhead.flashhead.latents.maker import Made
from vividhead.flashhead.model.audio_encoders import random_audio_encoder
from vividhead.flashhead.model.codecs import load_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise
from vividhead.flashhead.train.stage1 import draw, stage1_loss
from vividhead.flashhead.train.windows import encoded
from vividhead.loader import ShardDataset, WindowPlan
from vividhead.manifest import parquet
from vividhead.manifest import read as read_table

ROUNDING = 2**-11
"""Of a float16, relative."""


def codec_folder(made: Made) -> Path:
    (folder,) = made.cache.parent.glob("codec-*")
    return folder


def cached(cache: Path, plan: WindowPlan, **options: Any) -> LatentDataset:
    return LatentDataset(cache.parents[1], plan, cache=cache, **{"seed": 3, **options})


def decoding(data: LatentDataset, config: FlashHeadConfig, **options: Any) -> ShardDataset:
    """What decodes the same windows."""
    dataset = data.cache.parents[1]
    return ShardDataset(dataset, data.plan, side_px=config.stream.side_px, seed=3, landmarks=True, **options)


def overlapping(config: FlashHeadConfig) -> WindowPlan:
    return replace(plan_of(config, 1), stride_frames=8)


@pytest.mark.parametrize("chunks", [1, 2])
def test_each_window_is_the_decoded_one_in_the_same_place_of_the_order(
    whole: Made, config: FlashHeadConfig, chunks: int
) -> None:
    data = cached(whole.cache, plan_of(config, chunks), portraits=True)
    codec, audio = load_codec(config, codec_folder(whole)), random_audio_encoder(config, 0)
    pairs = list(zip(data.loader(4), decoding(data, config).loader(4), strict=True))
    assert len(pairs) > 1
    for mine, theirs in pairs:
        for name in ("clip_id", "start_frame_B", "reference_frame_B", "position_B", "epoch_B", "audio_BKS"):
            one, other = getattr(mine, name), getattr(theirs, name)
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        read, made = cached_windows(mine, config, audio), encoded(theirs, config, codec, audio)
        for name in ("latents_BKCTHW", "reference_BCTHW"):
            one, other = getattr(read, name), getattr(made, name)
            torch.testing.assert_close(one, other, rtol=ROUNDING, atol=1e-5)
        for one, other in ((read.face_BKTHW, made.face_BKTHW), (read.mouth_BKTHW, made.mouth_BKTHW)):
            assert one is not None and other is not None and torch.equal(one, other)
        assert read.portrait_B3HW is not None and made.portrait_B3HW is not None
        assert torch.equal(read.portrait_B3HW, made.portrait_B3HW)
        assert torch.equal(read.context_BKFWLC, made.context_BKFWLC)


def test_the_loss_of_stage_one_is_that_of_decoded_windows_up_to_the_rounding(
    whole: Made, config: FlashHeadConfig
) -> None:
    data = cached(whole.cache, overlapping(config))
    codec, audio = load_codec(config, codec_folder(whole)), random_audio_encoder(config, 0)
    dit = initialise(Dit(config), 0)
    torch.nn.init.normal_(dit.head.head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    pairs = zip(data.loader(4), decoding(data, config).loader(4), strict=True)
    for number, (mine, theirs) in enumerate(islice(pairs, 3)):
        windows = cached_windows(mine, config, audio), encoded(theirs, config, codec, audio)
        draws = draw(windows[1].reference_BCTHW.shape, config, torch.Generator().manual_seed(number))
        with torch.no_grad():
            one, other = (stage1_loss(dit, each, draws, config) for each in windows)
        for name in ("total", "velocity", "face", "temporal"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=2 * ROUNDING, atol=1e-5)
        assert other.face > 0, "faces count"


def test_reading_goes_on_in_cached_latents_where_decoding_stopped(whole: Made, config: FlashHeadConfig) -> None:
    data = cached(whole.cache, overlapping(config))
    alone = [(s.clip_id, s.start_frame, s.reference_frame) for s in data]
    films = decoding(cached(whole.cache, overlapping(config)), config)
    for _ in islice(films.loader(2), 3):
        pass
    state = json.loads(json.dumps(films.state_dict()))
    goes_on = cached(whole.cache, overlapping(config))
    goes_on.load_state_dict(state)
    assert [(s.clip_id, s.start_frame, s.reference_frame) for s in goes_on] == alone[6:]


def test_a_loader_with_processes_gives_what_one_without_gives(whole: Made, config: FlashHeadConfig) -> None:
    alone, shared = (list(cached(whole.cache, overlapping(config)).loader(4, workers=n)) for n in (0, 2))
    assert len(alone) == len(shared) > 2
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.latents_BKCTHW, other.latents_BKCTHW)
        assert torch.equal(one.position_B, other.position_B)


@pytest.mark.parametrize("what", ["latents", "stills", "masks"])
def test_a_flipped_byte_of_the_cache_costs_just_the_windows_that_read_it(
    dataset: Path, config: FlashHeadConfig, tmp_path: Path, what: str
) -> None:
    (cache,) = dataset.glob("latents/tiny-*")
    sound = list(cached(cache, overlapping(config)))
    struck, plan = sound[0], cached(cache, overlapping(config)).identity.plan
    (row,) = [r for r in read_table(cache / "latents.parquet").to_pylist() if r["clip_id"] == struck.clip_id]
    shard = cache / "shards" / row["latents_shard"]
    spoilt = bytearray(shard.read_bytes())
    size = {"latents": plan.window_bytes, "stills": plan.still_bytes, "masks": plan.mask_bytes}[what]
    frame = struck.reference_frame if what == "stills" else struck.start_frame
    spoilt[row[f"{what}_offset"] + frame // plan.grid_frames * size] ^= 1
    shard.write_bytes(spoilt)
    data = cached(cache, overlapping(config), skip_log=tmp_path / "skipped.jsonl")
    read = list(data)
    of_clip = [s for s in sound if s.clip_id == row["clip_id"]]
    if what == "stills":
        lost = [s.position for s in of_clip if s.reference_frame == frame]
    else:
        lost = [s.position for s in of_clip if s.start_frame == frame]
    assert lost
    assert [s.position for s in read if s.stand_in] == lost
    rows = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert {r["code"] for r in rows} == {"latents.checksum"}


def test_a_cache_of_other_shards_is_refused_by_name_with_the_remedy(dataset: Path, config: FlashHeadConfig) -> None:
    (cache,) = dataset.glob("latents/tiny-*")
    rows = read_table(dataset / "manifest.parquet")
    gone = rows["shard"][0].as_py()
    (dataset / "manifest.parquet").write_bytes(
        parquet(rows.filter([name != gone for name in rows["shard"].to_pylist()]))
    )
    with pytest.raises(DatasetError, match=f"is stale: .*{gone} gone.*revoked.*vividhead latents .* --model tiny"):
        cached(cache, overlapping(config), remedy=f"vividhead latents {dataset} --model tiny")


def test_a_cache_that_is_not_finished_is_refused(dataset: Path, config: FlashHeadConfig) -> None:
    (cache,) = dataset.glob("latents/tiny-*")
    (cache / "latents.parquet").unlink()
    with pytest.raises(DatasetError, match="is not finished; run again: vividhead latents"):
        cached(cache, overlapping(config))


def test_a_cache_of_other_chunks_is_refused(whole: Made, config: FlashHeadConfig) -> None:
    with pytest.raises(DatasetError, match="holds chunks of 33 frames, 24 of them new; asked for are 33 and 28"):
        cached(whole.cache, replace(plan_of(config, 1), motion_frames=5, stride_frames=8))
