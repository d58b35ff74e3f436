"""Whose face it is: a picture's embedding, and those that the identity score kept of a dataset's clips."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.clip_media import cut_face
from vividhead.errors import MediaError, UsageError
from vividhead.faces import FaceDetector, hushed
from vividhead.ledger import Ledger
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.media.still import FromRgb, read_still
from vividhead.scores.identity import Identity
from vividhead.track import Sighting, smoothed_box

KEPT = "identity.mean_embedding"
"""Name of the array that the identity score keeps, after the clip's id."""
DETECTOR_WIDTH_PX = 640


def embedding_of(picture: Path) -> NDArray[np.float32]:
    """(128,): of the one face in a PNG, JPEG or WebP file, cut as tracking cuts it. UsageError where there is none."""
    try:
        picture_HWC = read_still(picture)
    except MediaError as fault:
        raise UsageError(f"{picture}: {fault}") from fault
    height, width = (edge // 2 * 2 for edge in picture_HWC.shape[:2])
    planes = Planes(FromRgb()(np.ascontiguousarray(picture_HWC[:height, :width])))
    small_HWC = planes.thumbnail_HWC(DETECTOR_WIDTH_PX)
    scale = width / small_HWC.shape[1]
    with hushed():
        faces = FaceDetector(0.5).detect(small_HWC)
    if len(faces) != 1:
        raise UsageError(f"{picture} shows {len(faces)} faces: give a picture of just the one person")
    box = faces[0].box
    own = smoothed_box([Sighting(0, (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale))], 0)
    return Identity().embedding(rgb_from_i420(cut_face(planes, own).i420))


def stored_embeddings(dataset: Path) -> dict[str, NDArray[np.float32]]:
    """clip_id → (128,), of all candidate clips whose identity was scored; the newest answer of each."""
    ledger = Ledger(dataset)
    out: dict[str, NDArray[np.float32]] = {}
    for stage in ("measure", "more"):
        for key in ledger.keys(stage):
            path = ledger.part(stage, key, "npz")
            if not path.is_file() or not path.stat().st_size:
                continue
            with np.load(path, allow_pickle=False) as stored:
                for name in stored.files:
                    clip_id, _, array = name.partition(".")
                    if array == KEPT:
                        out[clip_id] = stored[name]
    return out
