"""The control that must not learn lips: it hears others in training, and is judged by its own sound like any model."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.flashhead.train.tiny import windows_of
from tests.flashhead.train.tiny_runs import tiny
from vividhead.errors import UsageError
from vividhead.flashhead.train.feeding import Feed
from vividhead.loader import Batch, ShardDataset


def feed_of(config: Any, batch: int) -> tuple[Feed, Any]:
    windows = windows_of(config, rows=batch, chunks=1)

    def encode(films: Any) -> Any:
        return windows

    encode.device = torch.device("cpu")  # type: ignore[attr-defined]
    training = object.__new__(ShardDataset)
    numbers, side = torch.zeros(batch, dtype=torch.int64), config.stream.side_px
    film = Batch(
        video_BTHWC=torch.zeros(batch, 33, side, side, 3), reference_BHWC=torch.zeros(batch, side, side, 3),
        audio_BKS=torch.zeros(batch, 1, 1), landmarks_BTPX=None, clip_id=("a",) * batch, start_frame_B=numbers,
        reference_frame_B=numbers, epoch_B=numbers, position_B=numbers, stand_in_B=numbers.bool(), about=({},) * batch,
    )  # fmt: skip
    training.loader = lambda *_, **__: iter([film])  # type: ignore[method-assign,assignment,return-value]
    asked = SimpleNamespace(config=config, stage=1, seed=0)
    return Feed(training, encode, asked, batch, 0), windows  # type: ignore[arg-type]


def test_the_control_hears_another_window_of_its_batch(tmp_path: Path) -> None:
    config = tiny(tmp_path)
    config = replace(config, data=replace(config.data, mirrored=0.0, recoloured=0.0))
    feed, windows = feed_of(config, 2)
    assert torch.equal(feed().context_BKFWLC, windows.context_BKFWLC)
    control, windows = feed_of(replace(config, stage1=replace(config.stage1, shuffled_audio=True)), 2)
    assert torch.equal(control().context_BKFWLC, windows.context_BKFWLC.flip(0))


def test_a_control_that_could_hear_no_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stage1\.batch is 1: 2 or more"):
        feed_of(tiny(tmp_path, shuffled_audio=True), 1)
