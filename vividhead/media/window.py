"""Windows of a packed clip: just the pictures and samples asked for, out of an .mp4 and a .flac held in memory.

For members that `encode` wrote: constant rate, closed GOPs, BT.709 in video range, 16-bit mono. Axes: T time,
H W picture, C channel, S sample.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise

import av
import av.error
import cv2
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media.colour import BT709, CHROMA_STEPS, LUMA_STEPS
from vividhead.media.planes import Planes
from vividhead.records import GRID_FPS

NEAR_FRAMES = 8
"""Pictures between two wanted ones that are decoded rather than sought over: about what seeking costs."""
PCM_STEPS = 32768
"""Steps of 16-bit sound from 0 to 1, as `encode.flac` rounds."""


def _rgb_matrix() -> NDArray[np.float32]:
    """(3, 4): RGB in 0 … 255 from Y, Cb, Cr in video range and 1, by ITU-R BT.709-6."""
    kr, kb = BT709
    kg = 1 - kr - kb
    red, blue = 2 * (1 - kr), 2 * (1 - kb)
    turn = np.array([[1, 0, red], [1, -kb * blue / kg, -kr * red / kg], [1, blue, 0]])
    turn *= 255 / np.array([LUMA_STEPS, CHROMA_STEPS, CHROMA_STEPS])
    shifted = np.concatenate([turn, turn @ [[-16], [-128], [-128]]], 1)
    return np.asarray(shifted, np.float32)


_RGB = _rgb_matrix()


def clip_rgb(picture: VideoFrame, side_px: int) -> NDArray[np.uint8]:
    """A clip's picture as RGB (H, W, C) uint8, scaled down to `side_px`; right to one step of 255.

    FFmpeg's scaler takes four times as long, or is off by up to three steps and 1 on the mean.
    """
    planes = Planes(picture)
    luma_HW = _scaled(planes.y_HW, side_px)
    chroma = (_scaled(plane, side_px) for plane in (planes.u_HW, planes.v_HW))
    return np.asarray(cv2.transform(cv2.merge([luma_HW, *chroma]), _RGB), np.uint8)


def _scaled(plane_HW: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    how = cv2.INTER_AREA if len(plane_HW) > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane_HW, (side_px, side_px), interpolation=how), np.uint8)


def window_pictures(mp4: bytes, frames: Sequence[int], side_px: int) -> NDArray[np.uint8]:
    """The clip's frames with these rising numbers, as RGB (T, H, W, C) uint8; the same as decoding all of it.

    Decodes from the key frame before the first one, and passes over groups of pictures of which none is wanted.
    """
    assert all(a < b for a, b in pairwise(frames)), "frames rise, each is there once"
    out_THWC = np.empty((len(frames), side_px, side_px, 3), np.uint8)
    found = 0
    try:
        with av.open(io.BytesIO(mp4), "r", format="mp4") as container:
            for picture in _decoded(container, frames):
                if picture.is_corrupt:
                    break
                out_THWC[found] = clip_rgb(picture, side_px)
                found += 1
    except (av.error.FFmpegError, IndexError) as fault:
        raise MediaError("failed.corrupt", f"the .mp4 cannot be decoded: {type(fault).__name__} {fault}") from fault
    if found < len(frames):
        raise MediaError("failed.corrupt", f"the .mp4 gave {found} of the {len(frames)} pictures asked for")
    return out_THWC


def _decoded(container: InputContainer, frames: Sequence[int]) -> Iterator[VideoFrame]:
    """The pictures of these frames, in order."""
    film = container.streams.video[0]
    film.codec_context.thread_count = 1
    entries = film.index_entries
    # A closed GOP's key picture is as far in the order of decoding, the index's, as in the order of showing.
    keys = [place for place, entry in enumerate(entries) if entry.is_keyframe]
    for run in _runs(frames, keys):
        if run[-1] >= len(entries):
            return
        yield from _forward(container, film, run)


def _runs(frames: Sequence[int], keys: Sequence[int]) -> list[list[int]]:
    """Parted where going on from a later key frame is cheaper than decoding all between two frames."""
    runs: list[list[int]] = []
    for frame in frames:
        if not runs or any(runs[-1][-1] + NEAR_FRAMES < key <= frame for key in keys):
            runs.append([])
        runs[-1].append(frame)
    return runs


def _forward(container: InputContainer, film: VideoStream, run: Sequence[int]) -> Iterator[VideoFrame]:
    assert film.time_base is not None
    per_frame = 1 / (film.time_base * GRID_FPS)
    wanted = {int(frame * per_frame) for frame in run}
    container.seek(int(run[0] * per_frame), stream=film, backward=True)  # the demuxer of mp4 compares times of showing
    for packet in container.demux(film):
        if packet.pts is not None:  # of pictures not wanted, those on which others build are decoded all the same
            film.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        for picture in packet.decode():
            if picture.pts in wanted:
                yield picture
                wanted.remove(picture.pts)
                if not wanted:
                    return


def window_sound(flac: bytes, start_sample: int, end_sample: int) -> NDArray[np.float32]:
    """The clip's samples `[start_sample, end_sample)` as float32 in -1 … 1, exactly as packed."""
    try:
        samples_S = _sound_from(flac, start_sample, start_sample, end_sample)
        if samples_S is None:
            samples_S = _sound_from(flac, 0, start_sample, end_sample)
    except (av.error.FFmpegError, IndexError) as fault:
        raise MediaError("failed.corrupt", f"the .flac cannot be decoded: {type(fault).__name__} {fault}") from fault
    if samples_S is None or len(samples_S) < end_sample - start_sample:
        got = 0 if samples_S is None else len(samples_S)
        raise MediaError("failed.corrupt", f"the .flac gave {got} of {end_sample - start_sample} samples")
    return samples_S.astype(np.float32) / PCM_STEPS


def _sound_from(flac: bytes, begin: int, start_sample: int, end_sample: int) -> NDArray[np.int16] | None:
    """Read from `begin` on; None where it cannot be found, as FFmpeg fails to in the last blocks of a file."""
    parts: list[NDArray[np.int16]] = []
    first = 0
    with av.open(io.BytesIO(flac), "r", format="flac") as container:
        voice = container.streams.audio[0]
        voice.codec_context.thread_count = 1
        if begin > 0:
            try:
                container.seek(begin, stream=voice, backward=True)
            except av.error.FFmpegError:
                return None
        for block in container.decode(voice):
            if not parts:
                first = block.pts or 0
            parts.append(block.to_ndarray()[0])
            if (block.pts or 0) + block.samples >= end_sample:
                break
    if not parts or first > start_sample:
        return None
    return np.concatenate(parts)[start_sample - first : end_sample - first]


def decode_all(mp4: bytes) -> int:
    """Decode every picture and do nothing with it, on one core; returns how many. The floor of benchmarks."""
    with av.open(io.BytesIO(mp4), "r", format="mp4") as container:
        film = container.streams.video[0]
        film.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(film))
