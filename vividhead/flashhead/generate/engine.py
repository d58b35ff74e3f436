"""The streaming engine: many talking heads on one device, in lock step, without any transport.

    engine = Engine(load_flashhead(folder), capacity=4)
    stream = engine.open(portrait, seed=0)
    stream.push_pcm(samples, 16000)
    stream.flush()
    while stream.is_speaking:
        chunk = stream.next_chunk()

One thread owns an engine and its streams. A stream's pictures depend on its portrait, seed and sound alone: neither on
how the sound was cut into pushes, nor on the other streams, nor on what was made ahead.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.generate.chunk import ChunkBatch, ChunkGenerator, ChunkResult
from vividhead.flashhead.generate.graphs import GraphedGenerator, padded_size
from vividhead.flashhead.generate.portrait import prepare_portrait
from vividhead.flashhead.generate.stream import Chunk, Look, Made, Request, State, Stream
from vividhead.flashhead.model.audio_cache import TemporalAudioContextCache
from vividhead.flashhead.model.colour import reference_moments
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.model.sampler import drawn

MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1
"""What torch's generators take."""


class EngineFullError(VividHeadError):
    """All places of an engine are taken."""


class Engine:
    """Streams of one model on one device. Memory is bounded by `capacity`; a stream holds under 10 MB of state."""

    def __init__(
        self,
        model: FlashHead,
        capacity: int = 1,
        *,
        graphs: bool | None = None,
        ahead: bool | None = None,
        teacher: bool = False,
    ) -> None:
        """Make room for `capacity` streams.

        A `teacher` is a model of stage 1, not yet distilled: it takes twenty guided steps for each chunk.
        `graphs` replays CUDA graphs; `ahead` starts the next chunk of what is there to be spoken before this one is
        given out, so that the device computes while the caller copies and encodes. Both are done unasked on a GPU.
        """
        if capacity < 1:
            raise UsageError(f"an engine of {capacity} streams: 1 or more")
        self.model, self.capacity = model, capacity
        self._on_gpu = model.device.type == "cuda"
        generator = ChunkGenerator(model, teacher)
        graphed = self._on_gpu if graphs is None else graphs
        self.generate: Callable[[ChunkBatch], ChunkResult] = GraphedGenerator(generator) if graphed else generator
        self._works_ahead = self._on_gpu if ahead is None else ahead
        self._streams: list[Stream] = []
        self._random = torch.Generator(model.device)
        self._copies = torch.cuda.Stream() if self._on_gpu else None

    def open(self, portrait_HWC: NDArray[np.uint8], seed: int, *, as_it_is: bool = False) -> Stream:
        """Start a stream from a portrait, RGB of any size, checked and cropped as curation does it.

        `as_it_is` takes a square picture of the model's side unchecked. Raises PortraitError with the reason, and
        EngineFullError where no place is free.
        """
        if len(self._streams) >= self.capacity:
            raise EngineFullError(f"all {self.capacity} places are taken: close a stream or open an engine with more")
        side = self.model.config.stream.side_px
        if not as_it_is:
            portrait_HWC = prepare_portrait(portrait_HWC, side)
        elif portrait_HWC.shape != (side, side, 3) or portrait_HWC.dtype != np.uint8:
            raise UsageError(f"a portrait of shape {portrait_HWC.shape}: uint8 ({side}, {side}, 3) is taken as it is")
        if not MIN_SEED <= seed <= MAX_SEED:
            raise UsageError(f"a seed of {seed}: {MIN_SEED} … {MAX_SEED}")
        look = self._look(portrait_HWC)
        stream = Stream(self, look, self._start(look, seed))
        self._streams.append(stream)
        return stream

    def next_chunks(self, streams: Sequence[Stream]) -> list[Chunk | None]:
        """The next chunk of each stream, made in one batch; see `Stream.next_chunk`.

        Others that have sound for a chunk ride along, one chunk ahead at most, or two where the engine works ahead;
        silence is made only when asked for. Before anything is made, raises StreamClosedError or UsageError for a
        stream that is closed or another engine's, so that no other loses a chunk by it.
        """
        for stream in streams:
            stream.check_open()
            if stream not in self._streams:
                raise UsageError("a stream of another engine: each engine makes the chunks of its own")
        count = self.model.config.new_frames
        asked = [s for s in dict.fromkeys(streams) if s.wants(count, idle=True)]
        if asked:
            self._advance(asked + [s for s in self._streams if s not in asked and s.wants(count)])
        if self._works_ahead and (riders := [s for s in self._streams if s.wants(count, ahead=1)]):
            self._advance(riders)
        return [stream.take() for stream in streams]

    def warm_up(self) -> None:
        """Make a chunk of nothing in every batch size that `capacity` streams can come in.

        Without it the first chunk of each size waits seconds (minutes for a compiled model) for its graph to be
        captured, and all streams with it: call it before anyone listens.
        """
        side, count = self.model.config.stream.side_px, self.model.config.new_frames
        look = self._look(np.zeros((side, side, 3), np.uint8))
        nobody = Stream(self, look, self._start(look, 0))
        request, (noise, _) = nobody.request(count), self._noise(nobody.made)
        sizes = {padded_size(streams) for streams in range(1, self.capacity + 1)}
        for size in sorted(sizes, reverse=True):  # the smaller fit into the memory of the largest
            self.generate(self._batch([nobody] * size, [request] * size, [noise] * size))

    def forget(self, stream: Stream) -> None:
        """Free the place of a closed stream."""
        if stream in self._streams:
            self._streams.remove(stream)

    @torch.inference_mode()
    def _look(self, portrait_HWC: NDArray[np.uint8]) -> Look:
        config, device = self.model.config, self.model.device
        still_3THW = torch.from_numpy(portrait_HWC.copy()).to(device).permute(2, 0, 1)[:, None].float() / 127.5 - 1
        video = still_3THW.expand(-1, config.stream.frames_per_chunk, -1, -1)
        mean, deviation = reference_moments(still_3THW[None])
        reference = self.model.codec.encode(video[None].to(self.model.dtype))
        return Look(reference_CTHW=reference[0], colour_mean_3111=mean[0], colour_deviation_3111=deviation[0])

    def _start(self, look: Look, seed: int) -> State:
        motion = torch.zeros_like(look.reference_CTHW)
        motion[:, :1] = look.reference_CTHW[:, :1]
        return State(
            motion_CTHW=motion,
            motion_latents=1,
            cache=TemporalAudioContextCache(self.model.config.audio.cache_s),
            random=self._random.manual_seed(seed).get_state(),
            n_frames=0,
        )

    def _advance(self, streams: list[Stream]) -> None:
        """One chunk for each of these streams."""
        requests = [stream.request(self.model.config.new_frames) for stream in streams]
        noises, randoms = zip(*(self._noise(stream.made) for stream in streams), strict=True)
        try:
            result = self.generate(self._batch(streams, requests, noises))
        except torch.OutOfMemoryError as fault:
            raise VividHeadError(
                f"the GPU's memory does not hold a wave of {len(streams)} streams of {self.model.config.name}: "
                "open fewer at once, or take a smaller model; no sound is lost"
            ) from fault
        arriving = self._fetched(result.frames_BTHWC)
        for row, (stream, request, random) in enumerate(zip(streams, requests, randoms, strict=True)):
            after = self._after(stream.made, request, result.motion_BCTHW[row], random)
            stream.add(Made(request=request, frames_THWC=_part(arriving, row, request.n_frames), after=after))

    def _noise(self, state: State) -> tuple[Tensor, Tensor]:
        self._random.set_state(state.random)
        like = state.motion_CTHW
        noise_SBCTHW = drawn((1, *like.shape), self.model.config.sampler.steps, self._random, like)
        return noise_SBCTHW[:, 0], self._random.get_state()

    def _batch(self, streams: list[Stream], requests: list[Request], noises: Sequence[Tensor]) -> ChunkBatch:
        config = self.model.config
        states, looks = [s.made for s in streams], [s.look for s in streams]
        latents_T = torch.arange(config.latent_frames)
        windows = np.stack([_window(s, r, config.new_samples) for s, r in zip(states, requests, strict=True)])
        taken_over = torch.tensor([s.motion_latents for s in states])
        ends = torch.tensor([config.motion_frames + r.n_frames for r in requests])
        return ChunkBatch(
            windows_BS=self._sent(torch.from_numpy(windows)),
            noises_BSCTHW=torch.stack(list(noises)),
            motion_BCTHW=torch.stack([s.motion_CTHW for s in states]),
            is_motion_B1T11=self._sent((latents_T < taken_over[:, None])[:, None, :, None, None]),
            reference_BCTHW=torch.stack([look.reference_CTHW for look in looks]),
            colour_mean_B3111=torch.stack([look.colour_mean_3111 for look in looks]),
            colour_deviation_B3111=torch.stack([look.colour_deviation_3111 for look in looks]),
            end_frame_B=self._sent(ends),
        )

    def _sent(self, values: Tensor) -> Tensor:
        """To the device, without waiting for what it is still at: a copy from memory that is not pinned would."""
        return values.pin_memory().to(self.model.device, non_blocking=True) if self._on_gpu else values

    def _after(self, before: State, request: Request, motion_CTHW: Tensor, random: Tensor) -> State:
        padded = torch.zeros_like(before.motion_CTHW)
        padded[:, : motion_CTHW.shape[1]] = motion_CTHW
        return State(
            motion_CTHW=padded,
            motion_latents=self.model.config.stream.motion_latents,
            cache=_heard(before.cache, request.pcm_S),
            random=random,
            n_frames=before.n_frames + request.n_frames,
        )

    def _fetched(self, frames_BTHWC: Tensor) -> Callable[[], NDArray[np.uint8]]:
        """Begin to copy pictures to this machine's memory; the function waits for them."""
        if self._copies is None:
            pictures: NDArray[np.uint8] = frames_BTHWC.numpy()
            return lambda: pictures
        ready = torch.cuda.Event()
        pinned = torch.empty(frames_BTHWC.shape, dtype=torch.uint8, pin_memory=True)
        self._copies.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._copies):
            pinned.copy_(frames_BTHWC, non_blocking=True)
            frames_BTHWC.record_stream(self._copies)
            ready.record()

        def arrived() -> NDArray[np.uint8]:
            ready.synchronize()
            pictures: NDArray[np.uint8] = pinned.numpy()
            return pictures

        return arrived


def _part(arriving: Callable[[], NDArray[np.uint8]], row: int, n_frames: int) -> Callable[[], NDArray[np.uint8]]:
    return lambda: arriving()[row, :n_frames]


def _heard(cache: TemporalAudioContextCache, pcm_S: NDArray[np.float32]) -> TemporalAudioContextCache:
    after = cache.copy()
    after.push(pcm_S)
    return after


def _window(state: State, request: Request, n_samples: int) -> NDArray[np.float32]:
    """What the encoder hears: all up to the end of the chunk, silence where an utterance ends before it."""
    return _heard(state.cache, np.pad(request.pcm_S, (0, n_samples - request.pcm_S.size))).window_S()
