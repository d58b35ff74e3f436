"""People who speak before a still camera: pictures and sound on one clock, with the truth of what moves when.

Axes: T video frames, H W C picture, S audio samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.testing.mouth import Performance, perform
from vividhead.testing.portrait import Look, backdrop, cut_out
from vividhead.testing.puppet import Puppet
from vividhead.testing.shapes import SHAPES
from vividhead.testing.speech import Speech, fitted, room_tone

Picture = NDArray[np.uint8]
NOSE_TIP = 1
NOISE_SIGMA = 1.6
"""Standard deviation of the camera's noise, of 255."""
_NOISE_PATTERNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One person in a scene; `speech` None: she looks and moves, but keeps her mouth shut."""

    speech: Speech | None
    look: Look = field(default_factory=Look)
    face_px: float = 185.0
    """Side of the face box at rest; while she speaks the detector finds up to a quarter more."""
    nose_at: tuple[float, float] = (0.5, 0.56)
    """Where the tip of the nose is at rest, in parts of the picture's width and height."""
    liveliness: float = 1.0
    """How far the head moves; 0 holds it still."""


@dataclass(frozen=True, slots=True)
class Take:
    """One scene as recorded. `frames` makes the pictures anew each time it is called."""

    actors: tuple[Actor, ...]
    performances: tuple[Performance, ...]
    puppets: tuple[Puppet, ...]
    behind_HWC: Picture
    times_s: tuple[float, ...]
    audio_S: NDArray[np.float32]
    """The first speaking actor's voice and the room's hiss, as long as the pictures."""
    audio_rate_hz: int
    seed: int
    blur_sigma_px: float = 0.0

    def frames(self) -> Iterator[Picture]:
        """Yield the RGB pictures (H, W, 3)."""
        base_HWC = self.behind_HWC.copy()
        for puppet in self.puppets:
            puppet.draw_still(base_HWC)
        noise = _CameraNoise(base_HWC.shape, self.seed)
        for at in range(len(self.times_s)):
            picture_HWC = base_HWC.copy()
            for puppet, performance in zip(self.puppets, self.performances, strict=True):
                puppet.draw(picture_HWC, self.behind_HWC, performance, at)
            if self.blur_sigma_px:
                cv2.GaussianBlur(picture_HWC, (0, 0), self.blur_sigma_px, dst=picture_HWC)
            yield noise.on(picture_HWC)

    def opening_T(self, actor: int = 0) -> NDArray[np.float64]:
        """Truth: the inner lips' distance per frame, in units of the outer eye corners' distance."""
        performance = self.performances[actor]
        weights_TS = np.stack([performance.shapes_T[name] for name in SHAPES], axis=1)
        return self.puppets[actor].shapes.opening(weights_TS)


def talking_head(
    *actors: Actor,
    duration_s: float | None = None,
    fps: Fraction | int = 25,
    times_s: Sequence[float] | None = None,
    size_px: tuple[int, int] = (640, 480),
    seed: int = 0,
    blur_sigma_px: float = 0.0,
) -> Take:
    """Record `actors` side by side for `duration_s` (default: as long as the first one's speech).

    `times_s` gives each picture's time (variable frame rate) in place of `fps`. `size_px` is width, height.
    """
    speeches = [actor.speech for actor in actors if actor.speech]
    length_s = duration_s if duration_s is not None else speeches[0].duration_s
    at_s = tuple(times_s) if times_s is not None else _steady(length_s, Fraction(fps))
    width_px, height_px = size_px
    puppets = []
    for actor in actors:
        cut = cut_out(actor.look, actor.face_px)
        nose = cut.mesh_N3[NOSE_TIP, :2]
        left = round(actor.nose_at[0] * width_px - float(nose[0]))
        top = round(actor.nose_at[1] * height_px - float(nose[1]))
        puppets.append(Puppet(cut, left, top))
    rate_hz = speeches[0].rate_hz if speeches else 16_000
    n_samples = round(length_s * rate_hz)
    audio_S = room_tone(n_samples, seed)
    if speeches:
        audio_S += fitted(speeches[0].samples_S, n_samples)
    return Take(
        actors=actors,
        performances=tuple(
            perform(actor.speech, at_s, seed + 101 * k, liveliness=actor.liveliness) for k, actor in enumerate(actors)
        ),
        puppets=tuple(puppets),
        behind_HWC=backdrop(actors[0].look, width_px, height_px, seed),
        times_s=at_s,
        audio_S=audio_S,
        audio_rate_hz=rate_hz,
        seed=seed,
        blur_sigma_px=blur_sigma_px,
    )


def panned(picture_HWC: Picture, n_frames: int, size_px: tuple[int, int], seed: int) -> Iterator[Picture]:
    """A camera moving over a still picture: footage without a face."""
    width, height = size_px
    zoom = 1.25 * max(width / picture_HWC.shape[1], height / picture_HWC.shape[0])
    large_HWC = cv2.resize(picture_HWC, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    noise = _CameraNoise((height, width, 3), seed)
    room = large_HWC.shape[1] - width, large_HWC.shape[0] - height
    for k in range(n_frames):
        x, y = (limit * (0.5 + 0.45 * np.sin(k / (60 + 20 * axis))) for axis, limit in enumerate(room))
        move = np.array([[1, 0, -x], [0, 1, -y]])
        view_HWC = cv2.warpAffine(large_HWC, move, (width, height), flags=cv2.INTER_LINEAR)
        yield noise.on(np.asarray(view_HWC, np.uint8))


def _steady(length_s: float, fps: Fraction) -> tuple[float, ...]:
    return tuple(float(k / fps) for k in range(max(1, round(length_s * fps))))


class _CameraNoise:
    """Sensor noise: a few fixed patterns of grain, shifted at random from frame to frame."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        height, width = shape[:2]
        self._rng = rng
        self._shape = height, width
        self._brighter, self._darker = [], []
        for _ in range(_NOISE_PATTERNS):
            grain_HW1 = rng.standard_normal((height + 32, width + 32, 1), np.float32)
            colour_HWC = rng.standard_normal((height + 32, width + 32, 3), np.float32)
            noise_HWC = np.rint(NOISE_SIGMA * (0.9 * grain_HW1 + 0.4 * colour_HWC))
            self._brighter.append(np.clip(noise_HWC, 0, 255).astype(np.uint8))
            self._darker.append(np.clip(-noise_HWC, 0, 255).astype(np.uint8))

    def on(self, picture_HWC: Picture) -> Picture:
        """The picture with the next frame's noise."""
        which = int(self._rng.integers(_NOISE_PATTERNS))
        y, x = (int(v) for v in self._rng.integers(0, 32, 2))
        window = slice(y, y + self._shape[0]), slice(x, x + self._shape[1])
        lit_HWC = cv2.add(picture_HWC, self._brighter[which][window])
        return np.asarray(cv2.subtract(lit_HWC, self._darker[which][window]), np.uint8)
