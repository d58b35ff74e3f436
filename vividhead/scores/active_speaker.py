"""Is it this face that speaks?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.records import GRID_FPS
from vividhead.score import FACE_CROP_SCALE, ClipMedia, Field, Score, Unknown
from vividhead.weights import find_file, fingerprint


class ActiveSpeaker(Score):
    """How much of the time the face is the one that speaks, by Light-ASD (Liao et al., CVPR 2023).

    Needs its published weights (`vividhead weights fetch light-asd`, MIT), tuned on TalkSet. A frame counts as
    speaking where the network finds that likelier than not. Of several faces in view, the one that
    speaks through most of the speech is its speaker. It tells a mouth that talks from one that rests, not whose voice
    is heard: a talking face reads as speaking under another's voice, too (logits of 8 to 9 either way), which
    `lip_sync.confidence` tells apart. Runs on CUDA where there is one.
    """

    needs: ClassVar[tuple[str, str] | None] = ("light-asd", "finetuning_TalkSet.model")
    fields: ClassVar[Mapping[str, Field]] = {
        "speaking_fraction": Field("1", "fraction of frames in which this face speaks", 0, 1),
        "share_of_speech": Field("1", "fraction of the frames with speech in which this face speaks", 0, 1),
        "mean_logit": Field("1", "mean over frames of log odds that this face speaks"),
    }
    cost_ms_per_s: ClassVar[float] = 460.0

    def __init__(self) -> None:
        """Load the network from the weights folder."""
        import torch

        from vividhead.backends.light_asd import LightAsd
        from vividhead.backends.weights_file import loaded

        assert self.needs is not None
        path = find_file(*self.needs)
        self._network = loaded(LightAsd, path, "cuda" if torch.cuda.is_available() else "cpu")
        self.fingerprint = fingerprint(self.needs[0], path)

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        from vividhead.backends.light_asd import logits_T2, view_of

        views = (view_of(face_HWC, FACE_CROP_SCALE) for _, face_HWC in clip.faces())
        silent_T, speaking_T = logits_T2(self._network, views, clip.audio_S).T
        odds_T = speaking_T - silent_T
        heard_T = _frames_with_speech(clip)
        return {
            "speaking_fraction": float((odds_T > 0).mean()),
            "share_of_speech": float((odds_T[heard_T] > 0).mean()) if heard_T.any() else Unknown("no_speech"),
            "mean_logit": float(odds_T.mean()),
        }


def _frames_with_speech(clip: ClipMedia) -> NDArray[np.bool_]:
    middles_T = (np.arange(clip.clip.n_frames) + 0.5) / GRID_FPS
    heard_T = np.zeros(clip.clip.n_frames, bool)
    for start_s, end_s in clip.speech_spans_s:
        heard_T |= (middles_T >= start_s) & (middles_T < end_s)
    return heard_T
