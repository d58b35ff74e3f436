"""Things before the face and over the picture: a hand or an object over the mouth, captions."""

import cv2
import numpy as np

from vividhead.calibrate.perturbations.family import Family, Pictures, Scene

SKIN_RGB = (198, 150, 125)
OBJECT_RGB = (40, 60, 90)
WHITE = (255,)
"""Of a mask, where it holds."""
WORDS = "AND THIS IS WHAT WE SAID THEN OF ALL THESE THINGS YOU KNOW IT TAKES TIME".split()


def _hand(size: int, rng: np.random.Generator) -> tuple[Pictures, Pictures]:
    """A hand's picture (size, size, 3) and mask: a palm, four fingers side by side, and a thumb."""
    mask = np.zeros((size, size), np.uint8)
    unit = size / 10
    cv2.ellipse(mask, (size // 2, round(6.5 * unit)), (round(2.6 * unit), round(2.8 * unit)), 0, 0, 360, WHITE, -1)
    for finger in range(4):
        x = (3.2 + 1.2 * finger) * unit
        tip = round(x + (finger - 1.5) * 0.4 * unit), round((1.6 - 0.5 * (finger in (1, 2))) * unit)
        cv2.line(mask, (round(x), round(5.5 * unit)), tip, WHITE, round(1.15 * unit))
    cv2.line(mask, (round(3 * unit), round(7 * unit)), (round(0.9 * unit), round(5 * unit)), WHITE, round(1.2 * unit))
    shade = cv2.GaussianBlur(mask, (0, 0), unit / 2).astype(np.float32) / 255
    grain = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), unit / 3) * 6
    picture = np.array(SKIN_RGB) * (0.55 + 0.45 * shade[..., None]) + grain[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def _thing(size: int) -> tuple[Pictures, Pictures]:
    """Something like a microphone with its head up: picture and mask."""
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), size * 3 // 10, WHITE, -1)
    cv2.rectangle(mask, (size * 2 // 5, size // 2), (size * 3 // 5, size), WHITE, -1)
    picture = np.full((size, size, 3), OBJECT_RGB, np.uint8)
    for at in range(0, size, max(2, size // 24)):
        cv2.line(picture, (at, 0), (at, size), (90, 105, 130), 1)
    return picture, mask


def _laid_on(frame_HWC: Pictures, picture: Pictures, mask: Pictures, x: int, y: int) -> Pictures:
    """The picture where its mask is set, its middle at (x, y)."""
    height, width = frame_HWC.shape[:2]
    size = len(mask)
    x0, y0 = x - size // 2, y - size // 2
    rows, columns = slice(max(0, y0), min(height, y0 + size)), slice(max(0, x0), min(width, x0 + size))
    inner = slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)
    out = frame_HWC.copy()
    if rows.stop > rows.start and columns.stop > columns.start:
        out[rows, columns][mask[inner] > 0] = picture[inner][mask[inner] > 0]
    return out


def _covered(scene: Scene, picture: Pictures, mask: Pictures, level: float) -> Scene:
    """The mouth covered in the middle `level` of the clip."""
    count = round(level * scene.n_frames)
    first = (scene.n_frames - count) // 2
    frames_THWC = scene.frames_THWC.copy()
    for frame in range(first, first + count):
        x, y = np.nan_to_num(scene.mouth_xy_T2[frame]).astype(int).tolist()
        frames_THWC[frame] = _laid_on(frames_THWC[frame], picture, mask, x, y)
    return scene.shown(frames_THWC)


def hand_over_mouth(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """A drawn hand over the mouth in the middle `level` of the clip."""
    return _covered(scene, *_hand(max(16, round(scene.face_px * 0.8)), rng), level)


def thing_over_mouth(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """A drawn microphone over the mouth in the middle `level` of the clip."""
    return _covered(scene, *_thing(max(16, round(scene.face_px * 0.6))), level)


def captioned(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """White words with a black rim in the lower `level` of the picture, new ones every second and a half."""
    height, width = scene.frames_THWC.shape[1:3]
    lines = 2 if level >= 0.2 else 1
    tall = height * level / lines
    frames = []
    for k, frame_HWC in enumerate(scene.frames_THWC):
        frame = frame_HWC.copy()
        first = k // 38 * 4
        for line in range(lines):
            words = " ".join(WORDS[(first + 2 * line + i) % len(WORDS)] for i in range(2))
            (wide, high), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
            scale = min(tall * 0.7 / high, width * 0.9 / wide)
            at = round((width - wide * scale) / 2), round(height - (lines - 1 - line) * tall - tall * 0.2)
            for colour, thick in (((0, 0, 0), 5), ((255, 255, 255), 2)):
                cv2.putText(frame, words, at, cv2.FONT_HERSHEY_DUPLEX, scale, colour, thick, cv2.LINE_AA)
        frames.append(frame)
    return scene.shown(np.stack(frames))


HIDDEN = ("occlusion.mouth_hidden_fraction",)
SEEN = ("head_pose.coverage", "lip_sync.confidence")

FAMILIES = (
    Family(
        name="hand_over_mouth", meaning="a drawn hand over the mouth for this part of the time", unit="of 1",
        levels=(0.25, 0.5, 1), harmful=(0.25, 0.5, 1), concerns=HIDDEN, watches=SEEN, changes="pictures",
        make=hand_over_mouth,
    ),
    Family(
        name="object_over_mouth", meaning="a drawn microphone over the mouth for this part of the time", unit="of 1",
        levels=(0.5, 1), harmful=(0.5, 1), concerns=HIDDEN, watches=SEEN, changes="pictures", make=thing_over_mouth,
    ),
    Family(
        name="captions", meaning="words burned into this part of the picture's height", unit="of 1",
        levels=(0.1, 0.3), harmful=(0.1, 0.3), concerns=("overlay.swapped_fraction",), changes="pictures",
        make=captioned, watches=("sharpness.blurs_per_face_p10",),
    ),
)  # fmt: skip
