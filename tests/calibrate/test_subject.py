"""A clip whose sound is spoilt: what was read of its pictures is not read again, what was heard is."""

import numpy as np
import pytest

from vividhead import score
from vividhead.calibrate.subject import Seen, media_of, read
from vividhead.clip_media import FaceCrop
from vividhead.pipeline import load_pipeline

N_FRAMES = 75
NAMES = ("exposure", "loudness", "speech", "other_faces")


def test_scores_that_read_no_sound_measure_once_for_all_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    measure = score.measure

    def counted(name: str, media: score.ClipMedia) -> object:
        asked.append(name)
        return measure(name, media)

    monkeypatch.setattr(score, "measure", counted)
    crop = FaceCrop(np.full((384, 256), 128, np.uint8), 0, 0, 256)
    seen = Seen(
        boxes=[(60.0, 60.0, 180.0, 180.0)] * N_FRAMES, crops=[crop] * N_FRAMES, size_px=(256, 256), looked=[0, 25],
        others=[], cuts=0, face_share=1.0, watch_ms=1.0,
    )  # fmt: skip
    pipeline = load_pipeline("talking-head")
    noise_S = np.random.default_rng(0).normal(0, 0.1, N_FRAMES * 640).astype(np.float32)
    quiet = media_of("clip/0.1", seen, noise_S * np.float32(0.1), pipeline)
    loud = media_of("clip/1.0", seen, noise_S, pipeline, quiet)
    first = read("clip", "untouched", 0.0, seen, quiet, NAMES)
    second = read("clip", "sound_noise", 10.0, seen, loud, NAMES)
    assert asked == [*NAMES, "loudness", "speech"]
    values = [{m.score: dict(m.values) for m in reading.measurements} for reading in (first, second)]
    assert values[0]["exposure"] == values[1]["exposure"]
    assert values[0]["loudness"] != values[1]["loudness"]
    assert {m.clip_id for m in second.measurements} == {"clip/1.0"}
