"""How much of the clip is speech, and how long is it silent at a stretch?"""

from collections.abc import Mapping
from typing import ClassVar

from vividhead.score import ClipMedia, Field, Score


class Speech(Score):
    """Share of speech and longest pause, from the spans in which voice activity detection hears speech.

    A pause runs from speech to speech, or between speech and either end of the clip. A clip without speech
    is measured all the same: fraction 0, one gap as long as the clip.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "speech_fraction": Field("1", "seconds of speech ÷ seconds of clip", 0, 1),
        "longest_gap_s": Field("s", "longest stretch of the clip without speech", 0),
    }
    cost_ms_per_s: ClassVar[float] = 0.01

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        duration = clip.clip.duration_s
        speech = longest_gap = heard_until = 0.0
        for start, end in sorted(clip.speech_spans_s):
            start, end = max(start, heard_until), min(end, duration)  # spans may overlap or overhang
            if end <= start:
                continue
            longest_gap = max(longest_gap, start - heard_until)
            speech += end - start
            heard_until = end
        return {
            "speech_fraction": min(speech / duration, 1.0),
            "longest_gap_s": max(longest_gap, duration - heard_until),
        }
