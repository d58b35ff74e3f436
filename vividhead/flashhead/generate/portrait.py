"""A portrait to speak with: checked by the scores and limits that curation applies to clips, and cropped as clips are.

    picture ─ detect ─▶ face box ─ still_crop ─▶ square ─▶ side_px
                           └─▶ a clip that stands still ─ scores ─▶ measurements ─ filters/*.toml ─▶ yes, or reasons

So a generator that learnt from our shards is shown what it knows. Axes: H W picture, C channel (RGB).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.clips import still_crop
from vividhead.errors import MediaError, UsageError, VividHeadError
from vividhead.faces import FaceDetector
from vividhead.flashhead.generate.still_clip import still_clip
from vividhead.media.planes import Planes
from vividhead.media.still import FromRgb, read_still, resampled
from vividhead.pipeline import DEFAULT_PIPELINE, Pipeline, load_pipeline
from vividhead.policy import Policy, judge, load_policy
from vividhead.records import Box, Measurement, Reason
from vividhead.score import measure, score_class
from vividhead.settings import plain
from vividhead.track import Sighting, smoothed_box

Picture = NDArray[np.uint8]

PICTURE_SCORES = ("framing", "other_faces", "exposure", "sharpness", "head_pose")
"""What one picture can tell; the other scores need time or sound, and their rules are left out."""
_SIZE_FIELD = "face_height_px_in_source"
"""The one field in pixels of the source: its limit holds for clips of `[pack] side_px` and goes with the side."""

_COVERED = (
    "the face is covered or turned away: its features cannot be found",
    "give a picture with the whole face in sight",
)
_SAID: Mapping[str, tuple[str, str]] = {
    "framing.face_height_px_in_source:low": (
        "the face is {value} px high, and {limit} px are needed for pictures of {side} px",
        "give a larger or less scaled-down picture",
    ),
    "framing.face_fraction_of_crop:high": (
        "the face takes {value} of the picture's smaller side, and at most {limit} leaves room for hair and chin",
        "give a picture with more around the head",
    ),
    "framing.border_distance_fraction:low": (
        "the face is cut off by the picture's edge",
        "give a picture that shows the whole head",
    ),
    "other_faces.seconds_fraction:high": (
        "there is more than one face in it, {others} px high beside one of {face} px",
        "cut the picture so that one person is left",
    ),
    "exposure.face_luma_median:low": ("the face is dark: {value} of 255, at least {limit}", "give a brighter picture"),
    "exposure.face_luma_median:high": ("the face is pale: {value} of 255, at most {limit}", "give a darker picture"),
    "exposure.under_fraction:high": ("{value} of the face is black, at most {limit}", "give an evenly lit picture"),
    "exposure.over_fraction:high": ("{value} of the face is burnt out, at most {limit}", "give an evenly lit picture"),
    "sharpness.blurs_per_face_p10:low": (
        "the face is out of focus: {value} blurs in its height, and {limit} are needed",
        "give a sharper picture",
    ),
    "head_pose.yaw_deg_p95:high": ("the head is turned aside by {value}°, at most {limit}°", "let it face the camera"),
    "head_pose.pitch_deg_p95:high": ("the head is nodded by {value}°, at most {limit}°", "let it face the camera"),
    "head_pose.roll_deg_p95:high": ("the head is tilted by {value}°, at most {limit}°", "turn the picture upright"),
    "head_pose.coverage:low": _COVERED,
    "head_pose.yaw_deg_p95:unmeasurable": _COVERED,
    "head_pose.pitch_deg_p95:unmeasurable": _COVERED,
    "head_pose.roll_deg_p95:unmeasurable": _COVERED,
}
"""Rule and kind → what was read and its limit, and what to do."""


class PortraitError(MediaError):
    """A picture that no talking head is made from. `code` is the first reason's, the text holds all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """What was found in a picture that passes."""

    crop_xyxy_px: tuple[int, int, int, int]
    """The square that is shown: inside the picture, even-numbered."""
    face_xyxy_px: Box
    """The square face box, brow to chin."""
    readings: Mapping[str, float]
    """`<score>.<field>` → value, for all of `PICTURE_SCORES` that could be read."""


@dataclass(frozen=True, slots=True)
class _Standards:
    """Curation's options, and its rules on pictures, for portraits of `side_px`."""

    pipeline: Pipeline
    policy: Policy
    side_px: int


def check_portrait(
    picture_HWC: Picture, side_px: int, *, pipeline: str = DEFAULT_PIPELINE, filters: str | None = None
) -> Portrait:
    """Find the face in an RGB picture and judge it by `filters` (the pipeline's own unless named) at this side.

    Raises PortraitError with every limit it breaks: what was read, the limit, and what to do.
    """
    if picture_HWC.dtype != np.uint8 or picture_HWC.ndim != 3 or picture_HWC.shape[2] != 3:
        raise UsageError(f"a portrait is uint8 (H, W, 3) RGB, not {picture_HWC.dtype} {picture_HWC.shape}")
    standards = _standards(side_px, pipeline, filters)
    options = standards.pipeline
    height, width = (edge // 2 * 2 for edge in picture_HWC.shape[:2])
    least = options.ingest.min_side_px
    if min(height, width) < least:
        size = f"{picture_HWC.shape[1]} × {picture_HWC.shape[0]} px"
        raise PortraitError("portrait.too_small", f"it is {size}, and no side may be under {least} px")
    planes = Planes(FromRgb()(picture_HWC[:height, :width]))
    boxes = _faces(planes, options)
    if not boxes:
        seen = f"no face is seen in it ({width} × {height} px)"
        raise PortraitError("portrait.no_face", f"{seen}; give a picture of one person who faces the camera")
    own = smoothed_box([Sighting(0, boxes[0])], 0)
    crop = still_crop(own, own[3] - own[1], options.clips.crop_scale, (width, height))
    others = [box[3] - box[1] for box in boxes[1:]]
    rows = _measured(planes, own, crop, others)
    _refuse(standards, rows, own, others)
    readings = {f"{s}.{f}": v for s, row in rows.items() for f, v in row.values.items() if v is not None}
    return Portrait(crop_xyxy_px=crop, face_xyxy_px=own, readings=readings)


def prepare_portrait(
    portrait: str | Path | Picture, side_px: int, *, pipeline: str = DEFAULT_PIPELINE, filters: str | None = None
) -> Picture:
    """Read, check and crop a portrait: a PNG, JPEG or WebP file, or an RGB picture; uint8 (side_px, side_px, 3).

    The same picture gives the same bytes. Raises PortraitError, naming the file.
    """
    try:
        picture_HWC = portrait if isinstance(portrait, np.ndarray) else read_still(Path(portrait))
        found = check_portrait(picture_HWC, side_px, pipeline=pipeline, filters=filters)
    except MediaError as fault:
        name = "the picture" if isinstance(portrait, np.ndarray) else portrait
        raise PortraitError(fault.code, f"{name} cannot be the portrait: {fault.detail}") from fault
    return resampled(picture_HWC, found.crop_xyxy_px, side_px)


def _standards(side_px: int, pipeline: str, filters: str | None) -> _Standards:
    options = load_pipeline(pipeline)
    policy = load_policy(filters if filters is not None else options.filters, options.measure.scores)
    scale = side_px / options.pack.side_px
    rules = [rule for rule in policy.rules if rule.score in PICTURE_SCORES]
    for at, rule in enumerate(rules):
        if rule.field == _SIZE_FIELD:
            low, high = (None if limit is None else limit * scale for limit in (rule.min, rule.max))
            rules[at] = replace(rule, min=low, max=high)
    return _Standards(options, replace(policy, rules=tuple(rules)), side_px)


def _faces(planes: Planes, options: Pipeline) -> list[Box]:
    """All face boxes, largest first, found as tracking finds them."""
    small_HWC = planes.thumbnail_HWC(options.track.detector_width_px)
    scale = planes.y_HW.shape[1] / small_HWC.shape[1]
    found = FaceDetector(options.track.min_confidence).detect(small_HWC)  # its own: portraits come on any thread
    return [(x0 * scale, y0 * scale, x1 * scale, y1 * scale) for x0, y0, x1, y1 in (face.box for face in found)]


def _measured(planes: Planes, own: Box, crop: tuple[int, int, int, int], others: list[float]) -> dict[str, Measurement]:
    """Score → its row. Raises VividHeadError where a score fails: that is no fault of the picture's."""
    media = still_clip(planes, own, crop, others)
    rows = {name: measure(name, media) for name in PICTURE_SCORES}
    for name, row in rows.items():
        if row.status == "failed":
            raise VividHeadError(f"the portrait's {name} could not be measured: {row.code}: {row.detail}")
    return rows


def _refuse(standards: _Standards, rows: Mapping[str, Measurement], own: Box, others: list[float]) -> None:
    """Raise PortraitError if the policy has reasons."""
    decision = judge(standards.policy, "portrait", rows)
    if decision.kept:
        return
    given = {
        "side": plain(standards.side_px), "face": f"{own[3] - own[1]:.0f}",
        "others": ", ".join(f"{height:.0f}" for height in others),
    }  # fmt: skip
    sentences = dict.fromkeys(_sentence(reason, given) for reason in decision.reasons)
    raise PortraitError(decision.reasons[0].code, "; ".join(sentences))


def _sentence(reason: Reason, given: Mapping[str, str]) -> str:
    value, limit = _rounded(reason.value), _rounded(reason.limit)
    if reason.code in _SAID:
        read, do = _SAID[reason.code]
        return f"{read.format(value=value, limit=limit, **given)}: {do}"
    score, _, field = reason.field.partition(".")
    about = score_class(score).fields[field]
    unit = "" if about.unit == "1" else f" {about.unit}"
    if reason.value is None:
        detail = f" ({reason.detail})" if reason.detail else ""
        return f"{reason.code}{detail}: {about.meaning} cannot be read; give a clearer picture of the face"
    return f"{reason.code}: {about.meaning} is {value}{unit}, the limit {limit}{unit}; give another picture"


def _rounded(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.0f}" if abs(number) >= 10 else f"{number:.2g}"
