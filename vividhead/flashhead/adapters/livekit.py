"""LiveKit Agents: the face of an agent's voice, as the `VideoGenerator` that LiveKit's `AvatarRunner` takes.

head = LiveHead(lambda: connect("ws://127.0.0.1:8770", portrait=file, shown=True))
await head.start()
runner = AvatarRunner(room, audio_recv=QueueAudioOutput(16000), video_gen=TalkingFace(head), options=...)
"""

from collections.abc import AsyncIterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, VideoGenerator

from vividhead.flashhead.adapters.live_head import LiveHead
from vividhead.records import SAMPLE_RATE_HZ


class TalkingFace(VideoGenerator):  # type: ignore[misc]  # not installed beside us
    """Sound in, pictures and exactly their sound out; at rest pictures alone."""

    def __init__(self, head: LiveHead) -> None:
        """Show this stream, which was started."""
        self._head = head

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Speak this, or end the utterance."""
        if isinstance(frame, AudioSegmentEnd):
            await self._head.flush()
            return
        interleaved_S = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        await self._head.push(interleaved_S.mean(axis=1).astype(np.int16), frame.sample_rate)

    async def clear_buffer(self) -> None:
        """Be silent at once."""
        await self._head.interrupt()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Each picture, its sound after it, and the ends of utterances."""
        async for moment in self._head:
            height, width = moment.picture_HWC.shape[:2]
            yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, moment.picture_HWC.tobytes())
            if moment.idle:
                continue
            yield rtc.AudioFrame(moment.pcm_S.tobytes(), SAMPLE_RATE_HZ, 1, moment.pcm_S.size)
            if moment.last:
                yield AudioSegmentEnd()
