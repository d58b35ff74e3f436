"""LiveKit's own interfaces around a served head; runs where livekit-agents is installed (docs/serving.md)."""

import asyncio

import numpy as np
import pytest

from tests.flashhead.adapters.echo import echo
from vividhead.flashhead.adapters.live_head import LiveHead
from vividhead.flashhead.client import connect

pytest.importorskip("livekit.agents", reason="needs an environment with livekit-agents, which MediaPipe's cannot have")
from livekit import rtc
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    QueueAudioOutput,
    VideoGenerator,
)

from vividhead.flashhead.adapters.livekit import TalkingFace


def sound(first: int, count: int, channels: int = 1) -> rtc.AudioFrame:
    samples_S = np.repeat(np.arange(first, first + count, dtype=np.int16), channels)
    return rtc.AudioFrame(samples_S.tobytes(), 16000, channels, count)


def test_a_voice_gets_its_face_through_livekit_s_video_generator() -> None:
    async def story() -> None:
        with echo() as address:
            head = LiveHead(lambda: connect(address, shown=True))
            await head.start()
            face = TalkingFace(head)
            assert isinstance(face, VideoGenerator)
            await face.push_audio(sound(0, 640))
            await face.push_audio(sound(640, 640, channels=2))
            await face.push_audio(AudioSegmentEnd())
            pictures, heard = 0, []
            async for out in face:
                if isinstance(out, rtc.VideoFrame):
                    pictures += 1
                    assert (out.width, out.height, out.type) == (16, 16, rtc.VideoBufferType.RGB24)
                elif isinstance(out, rtc.AudioFrame):
                    assert (out.sample_rate, out.num_channels, out.samples_per_channel) == (16000, 1, 640)
                    heard.append(np.frombuffer(out.data, np.int16))
                else:
                    assert isinstance(out, AudioSegmentEnd)
                    break
            assert np.array_equal(np.concatenate(heard), np.arange(1280)) and pictures >= 2
            await face.clear_buffer()
            await head.close()

    asyncio.run(story())


class Published:
    """What a room gives back for a track."""

    async def wait_for_subscription(self) -> None:
        return


class Room(rtc.EventEmitter):  # type: ignore[type-arg]
    """As much of a room as the runner touches: tracks are published and nobody is there."""

    def __init__(self) -> None:
        super().__init__()
        self.local_participant, self.tracks = self, 0

    def isconnected(self) -> bool:
        return True

    async def publish_track(self, track: object, options: object) -> Published:
        self.tracks += 1
        return Published()


def test_livekit_s_runner_plays_it_and_tells_the_agent_when_it_has_ended() -> None:
    async def story() -> None:
        with echo() as address:
            head = LiveHead(lambda: connect(address, shown=True))
            await head.start()
            voice, room = QueueAudioOutput(sample_rate=16000), Room()
            options = AvatarOptions(16, 16, 25, 16000, 1)
            runner = AvatarRunner(room, audio_recv=voice, video_gen=TalkingFace(head), options=options)  # type: ignore[arg-type]
            ended: list[object] = []
            voice.on("playback_finished", ended.append)
            await runner.start()
            await voice.capture_frame(sound(0, 3200))
            voice.flush()
            async with asyncio.timeout(60):
                while not ended:
                    await asyncio.sleep(0.02)
            assert abs(ended[0].playback_position - 0.2) < 1e-6 and not ended[0].interrupted  # type: ignore[attr-defined]
            assert room.tracks == 2
            await runner.aclose()
            await head.close()

    asyncio.run(story())
