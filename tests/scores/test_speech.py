import numpy as np
import pytest

from vividhead.score import loaded_score
from vividhead.testing.media import ArrayClipMedia

BOX = np.array([[2, 2, 6, 6]], np.float32)
FOUR_SECONDS = np.zeros((100, 8, 8, 3), np.uint8)


def read(spans: list[tuple[float, float]]) -> dict[str, float]:
    clip = ArrayClipMedia(FOUR_SECONDS, box_xyxy_px_T4=BOX, speech_spans_s=spans)
    return dict(loaded_score("speech").measure(clip))


def test_the_longest_gap_may_lie_before_between_or_after_speech() -> None:
    assert read([(1.5, 3.5)]) == pytest.approx({"speech_fraction": 0.5, "longest_gap_s": 1.5})
    assert read([(0.5, 1.0), (2.5, 3.5)])["longest_gap_s"] == pytest.approx(1.5)
    assert read([(0.0, 1.5)])["longest_gap_s"] == pytest.approx(2.5)


def test_no_speech_is_measured_as_none_with_a_gap_as_long_as_the_clip() -> None:
    assert read([]) == {"speech_fraction": 0.0, "longest_gap_s": 4.0}


def test_spans_that_overlap_or_overhang_are_not_counted_twice() -> None:
    got = read([(2.0, 9.0), (-1.0, 1.0), (0.5, 1.0), (2.5, 3.0)])
    assert got == pytest.approx({"speech_fraction": 0.75, "longest_gap_s": 1.0})
