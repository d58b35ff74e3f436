"""Stage 1's batches in other shapes: the face stays inside, the end stays the end, and every rank draws the same."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.flashhead.stubs import tiny_config
from tests.flashhead.train.tiny_runs import log, tiny
from tests.packed import packed_dataset
from vividhead.errors import ConfigError, UsageError
from vividhead.flashhead.buckets import Bucket
from vividhead.flashhead.config import as_toml, load_config
from vividhead.flashhead.model.audio_encoders import random_audio_encoder
from vividhead.flashhead.model.codecs import random_codec
from vividhead.flashhead.train.crop import corners, crop_size, cropped
from vividhead.flashhead.train.feeding import ANY_CACHE, drawn_bucket
from vividhead.flashhead.train.loop import Order, train
from vividhead.flashhead.train.windows import FACE_OVAL, encoded
from vividhead.loader import Batch

SIDE = 64


def batch_of(rows: int, side_px: int = SIDE, frames: int = 33) -> Batch:
    """Pictures whose red and green say their column and row, blue the frame; a mesh of which no point is known."""
    y, x = torch.meshgrid(torch.arange(side_px), torch.arange(side_px), indexing="ij")
    blue = torch.arange(frames)[:, None, None].expand(-1, side_px, side_px)
    video_THWC = torch.stack((x.expand_as(blue), y.expand_as(blue), blue), -1).to(torch.uint8)
    numbers = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        video_BTHWC=video_THWC.expand(rows, -1, -1, -1, -1), reference_BHWC=video_THWC[0].expand(rows, -1, -1, -1),
        audio_BKS=torch.zeros(rows, 1, 128_000), landmarks_BTPX=torch.full((rows, frames, 478, 3), torch.nan),
        clip_id=("a",) * rows, start_frame_B=numbers, reference_frame_B=numbers, epoch_B=numbers, position_B=numbers,
        stand_in_B=numbers.bool(), about=({},) * rows,
    )  # fmt: skip


def with_face(batch: Batch, box_xyxy: tuple[float, float, float, float]) -> Batch:
    assert batch.landmarks_BTPX is not None
    mesh_BTPX = batch.landmarks_BTPX.clone()
    x0, y0, x1, y1 = box_xyxy
    mesh_BTPX[:, :, list(FACE_OVAL)] = torch.tensor(((x0, y0, 0.0), (x1, y1, 0.0)) * (len(FACE_OVAL) // 2))
    return replace(batch, landmarks_BTPX=mesh_BTPX)


def face_of(batch: Batch) -> tuple[Tensor, Tensor]:
    assert batch.landmarks_BTPX is not None
    oval = batch.landmarks_BTPX[0, 0, list(FACE_OVAL), :2]
    return oval.amin(0), oval.amax(0)


EDGES = st.tuples(st.floats(0, SIDE), st.floats(0, SIDE)).map(sorted)


@given(EDGES, EDGES, st.sampled_from([16, 32, 48, 64]), st.sampled_from([16, 32, 48, 64]))
def test_a_face_that_fits_is_inside_the_crop_and_the_crop_inside_the_picture(
    across: list[float], down: list[float], rows_px: int, columns_px: int
) -> None:
    bucket = Bucket(rows_px=rows_px, columns_px=columns_px, frames=33)
    batch = with_face(batch_of(1), (across[0], down[0], across[1], down[1]))
    size = crop_size(bucket, SIDE)
    assert max(size) == SIDE and size[0] * columns_px == pytest.approx(size[1] * rows_px, abs=SIDE)
    ((top, left),) = corners(batch.landmarks_BTPX, size, SIDE, 1).tolist()
    assert 0 <= top <= SIDE - size[0] and 0 <= left <= SIDE - size[1]
    for first, extent, (low, high) in ((top, size[0], down), (left, size[1], across)):
        if high - low <= extent - 1:
            assert first <= low + 0.5 and high - 0.5 <= first + extent
    made = cropped(batch, bucket)
    assert made.video_BTHWC.shape == (1, 33, rows_px, columns_px, 3)
    assert made.reference_BHWC.shape == (1, rows_px, columns_px, 3)
    low, high = face_of(made)
    expected = torch.tensor([[across[0] - left, down[0] - top], [across[1] - left, down[1] - top]])
    scale = torch.tensor([columns_px / size[1], rows_px / size[0]])
    torch.testing.assert_close(torch.stack((low, high)), expected * scale, rtol=1e-4, atol=1e-3)


def test_pictures_and_reference_are_cut_alike_around_the_face() -> None:
    batch = with_face(batch_of(2), (40, 0, 60, 20))
    made = cropped(batch, Bucket(rows_px=64, columns_px=32, frames=33))
    assert torch.equal(made.video_BTHWC, batch.video_BTHWC[:, :, :, 32:64])
    assert torch.equal(made.reference_BHWC, batch.reference_BHWC[:, :, 32:64])


def test_without_a_face_the_middle_is_taken() -> None:
    made = cropped(batch_of(1), Bucket(rows_px=32, columns_px=64, frames=33))
    assert torch.equal(made.video_BTHWC, batch_of(1).video_BTHWC[:, :, 16:48])


def test_smaller_shapes_are_means_of_pixels() -> None:
    made = cropped(batch_of(1), Bucket(rows_px=32, columns_px=32, frames=33))
    assert made.video_BTHWC[0, 7, 3, 5].tolist() == [10, 6, 7], "columns 10 and 11, rows 6 and 7, rounded to even"


def test_a_shorter_chunk_is_the_windows_last_and_hears_the_same_sound() -> None:
    config = load_config("nano")
    whole = replace(batch_of(1, 128), audio_BKS=torch.rand(1, 1, 128_000, generator=torch.Generator().manual_seed(0)))
    short = cropped(whole, Bucket(rows_px=128, columns_px=128, frames=17))
    assert torch.equal(short.video_BTHWC, whole.video_BTHWC[:, 16:])
    codec, audio = random_codec(config, 0), random_audio_encoder(config, 0)
    long, made = encoded(whole, config, codec, audio), encoded(short, config, codec, audio)
    assert made.latents_BKCTHW.shape == (1, 1, 128, 3, 8, 8) and made.reference_BCTHW.shape == (1, 128, 3, 8, 8)
    # The features of a short chunk are the last ones of a long one; only the first latent sees two of the past less.
    assert torch.equal(made.context_BKFWLC, long.context_BKFWLC[:, :, 16:])


def test_masks_have_the_crops_shape() -> None:
    config = load_config("nano")
    made = cropped(with_face(batch_of(1, 128), (0, 0, 128, 40)), Bucket(rows_px=64, columns_px=128, frames=33))
    windows = encoded(made, config, random_codec(config, 0), random_audio_encoder(config, 0))
    assert windows.face_BKTHW is not None and windows.face_BKTHW.shape == (1, 1, 5, 4, 8)
    assert windows.face_BKTHW[0, 0, 0].sum(1).tolist() == [8, 8, 8, 0], "40 px of 64 are two and a half latents"


def test_all_ranks_draw_the_same_bucket_and_each_bucket_is_drawn() -> None:
    buckets = tuple(Bucket(rows_px=px, columns_px=32, frames=33) for px in (16, 32, 48))
    drawn = [drawn_bucket(buckets, 1, step) for step in range(60)]
    assert drawn == [drawn_bucket(buckets, 1, step) for step in range(60)]
    assert set(drawn) == set(buckets)
    assert drawn != [drawn_bucket(buckets, 2, step) for step in range(60)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("128", 'a shape is written as "HEIGHTxWIDTH"'),
        ("128x120", "120 px is no multiple of 16 up to 128"),
        ("256x128", "256 px is no multiple of 16 up to 128"),
        ("128x128x9", "9 frames are not 1 and a multiple of 8, from 17 to 33"),
        ("128x128x41", "41 frames are not"),
        ("128x128x20", "20 frames are not"),
    ],
)
def test_a_shape_that_no_batch_can_have_is_named(tmp_path: Path, name: str, said: str) -> None:
    config = load_config("nano")
    text = as_toml(replace(config, stage1=replace(config.stage1, buckets=(name,))))
    (tmp_path / "odd.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"stage1.buckets cannot hold '{name}': .*{said}"):
        load_config(str(tmp_path / "odd.toml"))


def test_the_shipped_models_have_one_shape() -> None:
    for name in ("nano", "lite", "pro"):
        (bucket,) = load_config(name).buckets
        side_px = load_config(name).stream.side_px
        assert (bucket.rows_px, bucket.columns_px, bucket.frames) == (side_px, side_px, 33)


def test_stage_one_learns_in_buckets_and_resumes_in_the_same(tmp_path: Path) -> None:
    dataset = packed_dataset(tmp_path / "dataset")
    config = tiny(tmp_path, steps=4, buckets=("32x32", "16x32", "32x16x17"))
    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run")
    assert train(order).is_done
    parted = replace(order, run=tmp_path / "parted")
    train(replace(parted, config=replace(config, stage1=replace(config.stage1, steps=2))))
    assert train(parted).is_done
    assert [line["loss"] for line in log(order.run, 1)] == [line["loss"] for line in log(parted.run, 1)]
    with pytest.raises(UsageError, match="stage1.buckets 32x32, 16x32, 32x16x17: cached latents have one shape"):
        still = replace(config, data=replace(config.data, mirrored=0.0, recoloured=0.0))
        train(replace(order, config=still, latents=ANY_CACHE, run=tmp_path / "cached"))


def test_tiny_configurations_take_no_buckets_unasked() -> None:
    assert len(tiny_config().buckets) == 1
