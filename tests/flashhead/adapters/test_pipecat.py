"""Pipecat's own pipeline around a served head; runs where pipecat-ai is installed (docs/serving.md)."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from tests.flashhead.adapters.echo import echo
from vividhead.flashhead.adapters.live_head import LiveHead
from vividhead.flashhead.client import ServerRefusedError, connect

pytest.importorskip("pipecat", reason="needs an environment with pipecat-ai, which MediaPipe's cannot have")
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from vividhead.flashhead.adapters.pipecat import TalkingFaceProcessor


def speech(first: int, count: int) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(np.arange(first, first + count, dtype=np.int16).tobytes(), 16000, 1)


def through(*frames: Frame) -> list[Frame]:
    async def story() -> list[Frame]:
        with echo() as address:
            face = TalkingFaceProcessor(LiveHead(lambda: connect(address, shown=True)))
            down, _ = await run_test(face, frames_to_send=list(frames), start_timeout=60.0)
            return list(down)

    return asyncio.run(story())


def heard(found: list[Frame]) -> np.ndarray:
    return np.concatenate([np.frombuffer(f.audio, np.int16) for f in found if isinstance(f, TTSAudioRawFrame)])


def test_speech_leaves_with_a_picture_before_each_of_its_blocks() -> None:
    found = through(speech(0, 640), speech(640, 640), TTSStoppedFrame(), TextFrame("passes"))
    assert np.array_equal(heard(found), np.arange(1280))
    media = [f for f in found if isinstance(f, TTSAudioRawFrame | OutputImageRawFrame)]
    for picture, sound in pairwise(media):
        if isinstance(sound, TTSAudioRawFrame):
            assert isinstance(picture, OutputImageRawFrame) and picture.sync_with_audio
            assert (picture.size, picture.format, len(picture.image)) == ((16, 16), "RGB", 16 * 16 * 3)
            assert (sound.sample_rate, sound.num_channels, len(sound.audio)) == (16000, 1, 1280)
    assert any(isinstance(f, TextFrame) for f in found)


def test_after_an_interruption_only_what_comes_then_is_said() -> None:
    found = through(
        speech(0, 640), SleepFrame(0.5), InterruptionFrame(), SleepFrame(0.5), speech(5000, 640), TTSStoppedFrame()
    )
    assert np.array_equal(heard(found), np.arange(5000, 5640))


def test_a_stream_that_the_server_ends_is_told_upstream() -> None:
    class Gone(LiveHead):
        async def start(self) -> None:
            await super().start()
            self._end(ServerRefusedError("idle", "nobody spoke"))

    async def story() -> None:
        with echo() as address:
            face = TalkingFaceProcessor(Gone(lambda: connect(address, shown=True)))
            _, up = await run_test(face, frames_to_send=[TextFrame("x")], start_timeout=60.0)
            assert any(isinstance(frame, ErrorFrame) and "nobody spoke" in frame.error for frame in up)

    asyncio.run(story())
