"""Windows as in a mirror and in other colours."""

from dataclasses import replace

import pytest
import torch

from vividhead.flashhead.train.variety import varied
from vividhead.flashhead.training_options import Data
from vividhead.loader import Batch

BOTH = Data(mirrored=0.5, recoloured=0.25)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    count = 12
    return Batch(
        video_BTHWC=torch.randint(0, 256, (count, 3, 8, 8, 3), generator=generator, dtype=torch.uint8),
        reference_BHWC=torch.randint(0, 256, (count, 8, 8, 3), generator=generator, dtype=torch.uint8),
        audio_BKS=torch.randn(count, 1, 50, generator=generator),
        landmarks_BTPX=8 * torch.rand((count, 3, 478, 3), generator=generator),
        clip_id=tuple(map(str, range(count))),
        start_frame_B=torch.arange(count),
        reference_frame_B=torch.arange(count),
        epoch_B=torch.zeros(count, dtype=torch.int64),
        position_B=torch.arange(100, 100 + count),
        stand_in_B=torch.zeros(count, dtype=torch.bool),
        about=({},) * count,
    )


def test_in_a_mirror_pictures_and_marks_change_sides_together(batch: Batch) -> None:
    seen = varied(batch, Data(mirrored=1.0), 0)
    assert torch.equal(seen.video_BTHWC, batch.video_BTHWC.flip(3))
    assert torch.equal(seen.reference_BHWC, batch.reference_BHWC.flip(2))
    assert batch.landmarks_BTPX is not None and seen.landmarks_BTPX is not None
    assert torch.equal(seen.landmarks_BTPX[..., 0], 8 - batch.landmarks_BTPX[..., 0])
    assert torch.equal(seen.landmarks_BTPX[..., 1:], batch.landmarks_BTPX[..., 1:])


def test_about_the_share_that_was_asked_for_is_mirrored(batch: Batch) -> None:
    mirrored = 0
    for begin in range(0, 600, 12):
        seen = varied(replace(batch, position_B=torch.arange(begin, begin + 12)), Data(mirrored=0.25), 1)
        mirrored += sum(not torch.equal(a, b) for a, b in zip(seen.video_BTHWC, batch.video_BTHWC, strict=True))
    assert 110 <= mirrored <= 190


def test_a_window_and_its_portrait_are_recoloured_alike_and_no_further_than_asked(batch: Batch) -> None:
    grey = replace(
        batch,
        video_BTHWC=torch.full_like(batch.video_BTHWC, 128), reference_BHWC=torch.full_like(batch.reference_BHWC, 128),
    )  # fmt: skip
    seen = varied(grey, Data(recoloured=0.25), 0)
    assert torch.equal(seen.video_BTHWC[:, 0, 0, 0], seen.reference_BHWC[:, 0, 0])
    shift = seen.reference_BHWC[:, 0, 0].float() - 128
    assert shift.abs().max() <= 0.25 * 127.5 + 1 and shift.std() > 10
    assert seen.landmarks_BTPX is grey.landmarks_BTPX and seen.audio_BKS is grey.audio_BKS


def test_what_becomes_of_a_window_depends_on_its_position_and_the_seed_alone(batch: Batch) -> None:
    whole = varied(batch, BOTH, 5)
    part = replace(
        batch,
        **{
            name: getattr(batch, name)[7:9] for name in ("video_BTHWC", "reference_BHWC", "audio_BKS", "landmarks_BTPX")
        },
        position_B=batch.position_B[7:9],
    )
    assert torch.equal(varied(part, BOTH, 5).video_BTHWC, whole.video_BTHWC[7:9])
    assert not torch.equal(varied(batch, BOTH, 6).video_BTHWC, whole.video_BTHWC)


def test_nothing_asked_is_nothing_done(batch: Batch) -> None:
    assert varied(batch, Data(), 0) is batch
