"""Pipecat: a frame processor, after the one that makes speech, which gives the speech its face.

head = LiveHead(lambda: connect("ws://127.0.0.1:8770", portrait=file, shown=True))
pipeline = Pipeline([transport.input(), …, tts, TalkingFaceProcessor(head), transport.output()])
"""

import asyncio
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from vividhead.errors import VividHeadError
from vividhead.flashhead.adapters.live_head import LiveHead
from vividhead.records import SAMPLE_RATE_HZ

LAST_WORDS_S = 60.0
"""At the end of a pipeline, what is being said may be finished within so long."""


class TalkingFaceProcessor(FrameProcessor):  # type: ignore[misc]  # not installed beside us
    """Takes speech out of the pipeline and gives it back with pictures, in step; at rest pictures alone."""

    def __init__(self, head: LiveHead, **options: Any) -> None:
        """Show this stream, which is started with the pipeline."""
        super().__init__(**options)
        self._head = head
        self._shows: asyncio.Task[None] | None = None
        self._said = asyncio.Event()
        self._said.set()

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Open the stream."""
        await super().setup(setup)
        await self._head.start()
        self._shows = self.create_task(self._show())

    async def cleanup(self) -> None:
        """End the stream."""
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speak what is speech, pass on the rest."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            interleaved_S = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
            self._said.clear()
            await self._head.push(interleaved_S.mean(axis=1).astype(np.int16), frame.sample_rate)
            return
        if isinstance(frame, TTSStoppedFrame):
            await self._head.flush()
        elif isinstance(frame, InterruptionFrame):
            await self._head.interrupt()
            self._said.set()
        elif isinstance(frame, EndFrame):
            await self._finish()
        elif isinstance(frame, CancelFrame):
            await self._close()
        await self.push_frame(frame, direction)

    async def _finish(self) -> None:
        if not self._said.is_set():
            await self._head.flush()
            try:
                await asyncio.wait_for(self._said.wait(), LAST_WORDS_S)
            except TimeoutError:
                await self.push_error(error_msg=f"what was being said did not end within {LAST_WORDS_S:g} s")
        await self._close()

    async def _close(self) -> None:
        if self._shows is not None:
            shows, self._shows = self._shows, None
            await self.cancel_task(shows)
            await self._head.close()

    async def _show(self) -> None:
        try:
            async for moment in self._head:
                height, width = moment.picture_HWC.shape[:2]
                picture = OutputImageRawFrame(image=moment.picture_HWC.tobytes(), size=(width, height), format="RGB")
                picture.sync_with_audio = not moment.idle
                await self.push_frame(picture)
                if not moment.idle:
                    await self.push_frame(TTSAudioRawFrame(moment.pcm_S.tobytes(), SAMPLE_RATE_HZ, 1))
                    if moment.last:
                        self._said.set()
        except VividHeadError as fault:
            await self.push_error(error_msg=f"the talking head has ended: {fault}", exception=fault)
        finally:
            self._said.set()
