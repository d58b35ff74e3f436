"""How far are lips and sound apart by the measure that papers report?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vividhead.score import FACE_CROP_SCALE, ClipMedia, Field, Score, Unmeasurable
from vividhead.weights import find_file, fingerprint

_LEAST_WINDOWS = 31  # as many as shifts; below, most shifts look beyond the sound
_FARTHEST_FRAMES = 15


class LipSyncSyncnet(Score):
    """LSE-C, LSE-D and offset of SyncNet (Chung and Zisserman 2016), over the whole clip.

    Every window of lips is read, or one in so many frames where the pipeline's `measure.syncnet_every_frames`
    says so, which costs as much less; each is held against the sound at every shift either way.

    Needs its published weights (`vividhead weights fetch syncnet`), whose authors state no licence. Network,
    coefficients of sound, distances and view of the face are the reference's; the face box is our detector's
    and not S3FD's, so values differ a little from those of its own pipeline. Runs on CUDA where there is one,
    else the lips' branch by ONNX Runtime.

    Papers ask for an LSE-C of 3 and more, and an offset of 0 or 1 frames. The offset has the sign of
    `lip_sync`: positive where the picture is later than the sound.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, str] | None] = ("syncnet", "syncnet_v2.model")
    fields: ClassVar[Mapping[str, Field]] = {
        "lse_c": Field("1", "median of the mean distances at all shifts minus the least", 0),
        "lse_d": Field("L2", "least of the mean distances of lips and sound at shifts of -15 … 15 frames", 0),
        "offset_frames": Field(
            "frames", "shift of that least; positive: picture later than sound", -_FARTHEST_FRAMES, _FARTHEST_FRAMES
        ),
        "windows": Field("windows", "windows of five frames that were read", 1),
    }
    cost_ms_per_s: ClassVar[float] = 1600.0

    def __init__(self) -> None:
        """Load the network from the weights folder."""
        import torch

        from vividhead.backends.syncnet import SyncNet
        from vividhead.backends.weights_file import loaded

        assert self.needs is not None
        path = find_file(*self.needs)
        self._network = loaded(SyncNet, path, "cuda" if torch.cuda.is_available() else "cpu")
        self.fingerprint = fingerprint(self.needs[0], path)

    def measure(self, clip: ClipMedia) -> Mapping[str, float]:
        from vividhead.backends.syncnet import WINDOW_FRAMES, LipReader, face_of, fit, sound_points_ND

        windows = clip.clip.n_frames - WINDOW_FRAMES
        if windows < _LEAST_WINDOWS:
            raise Unmeasurable("too_short", f"{max(windows, 0)} windows of five frames, {_LEAST_WINDOWS} are needed")
        reader = LipReader(self._network, clip.syncnet_every_frames)
        for _, face_HWC in clip.faces():
            reader.add(face_of(face_HWC, FACE_CROP_SCALE))
        lips_ND = reader.points_ND()
        found = fit(lips_ND, sound_points_ND(self._network, clip.audio_S))
        return {
            "lse_c": found.lse_c,
            "lse_d": found.lse_d,
            "offset_frames": found.offset_frames,
            "windows": int(np.isfinite(lips_ND[:, 0]).sum()),
        }
