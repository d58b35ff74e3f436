"""The streaming engine on a tiny model: what a stream's pictures may depend on, and what must never happen."""

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.flashhead.stubs import tiny_flashhead
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.generate.engine import Engine, EngineFullError
from vividhead.flashhead.generate.stream import Chunk, Stream, StreamClosedError
from vividhead.flashhead.model.flashhead import FlashHead

NEW_FRAMES = 24
CHUNK = NEW_FRAMES * 640


@pytest.fixture(scope="module")
def model() -> FlashHead:
    torch.manual_seed(0)
    return tiny_flashhead()


def portrait(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)


def speech(n_samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def opened(engine: Engine, seed: int = 0) -> Stream:
    return engine.open(portrait(seed), seed, as_it_is=True)


def spoken(stream: Stream) -> list[Chunk]:
    chunks = []
    while stream.is_speaking:
        chunk = stream.next_chunk()
        if chunk is None:
            break
        chunks.append(chunk)
    return chunks


def said(model: FlashHead, sound: NDArray[Any], seed: int = 0) -> list[Chunk]:
    """What a stream alone makes of the sound."""
    stream = opened(Engine(model), seed)
    stream.push_pcm(sound)
    stream.flush()
    return spoken(stream)


def frames(chunks: list[Chunk]) -> NDArray[np.uint8]:
    return np.concatenate([c.frames_THWC for c in chunks])


def test_sound_comes_back_with_exactly_the_pictures_it_belongs_to(model: FlashHead) -> None:
    sound = speech(2 * CHUNK + 1000)
    chunks = said(model, sound)
    assert [c.frames_THWC.shape for c in chunks] == [(24, 16, 16, 3), (24, 16, 16, 3), (2, 16, 16, 3)]
    assert [c.start_frame for c in chunks] == [0, 24, 48]
    assert [c.start_s for c in chunks] == [0, 0.96, 1.92]
    assert all(c.pcm_S.size == 640 * len(c.frames_THWC) for c in chunks)
    back = np.concatenate([c.pcm_S for c in chunks])
    assert np.array_equal(back[: sound.size], sound)
    assert not back[sound.size :].any()


def test_other_sound_other_seed_and_other_portrait_make_other_pictures(model: FlashHead) -> None:
    usual = frames(said(model, speech(CHUNK)))
    assert np.array_equal(usual, frames(said(model, speech(CHUNK))))
    assert not np.array_equal(usual, frames(said(model, speech(CHUNK, seed=1))))
    assert not np.array_equal(usual, frames(said(model, speech(CHUNK), seed=1)))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2 * CHUNK + 5000), max_size=5), st.booleans())
def test_how_sound_is_cut_and_when_it_is_asked_for_changes_nothing(
    model: FlashHead, cuts: list[int], greedy: bool
) -> None:
    sound = speech(2 * CHUNK + 5000)
    stream = opened(Engine(model))
    chunks = []
    for piece in np.split(sound, sorted(cuts)):
        stream.push_pcm(piece)
        while greedy and (chunk := stream.next_chunk() if stream.is_speaking else None):
            chunks.append(chunk)
    stream.flush()
    chunks += spoken(stream)
    assert np.array_equal(frames(chunks), frames(said(model, sound)))


def test_an_utterance_that_lacks_sound_for_a_chunk_waits(model: FlashHead) -> None:
    stream = opened(Engine(model))
    stream.push_pcm(speech(CHUNK - 1))
    assert stream.next_chunk() is None
    assert stream.is_speaking
    stream.push_pcm(speech(1))
    chunk = stream.next_chunk()
    assert chunk is not None
    assert len(chunk.frames_THWC) == NEW_FRAMES


def test_at_rest_a_stream_is_fed_silence_and_says_so(model: FlashHead) -> None:
    stream = opened(Engine(model))
    idle = stream.next_chunk()
    assert idle is not None
    assert idle.idle
    assert not idle.pcm_S.any()
    assert not stream.is_speaking
    stream.push_pcm(speech(CHUNK))
    spoken_chunk = stream.next_chunk()
    assert spoken_chunk is not None
    assert not spoken_chunk.idle
    assert spoken_chunk.start_frame == NEW_FRAMES


def test_after_a_partial_chunk_the_stream_goes_on_from_its_last_picture(model: FlashHead) -> None:
    """The padding of an utterance's end leaves no trace: sound and pictures go on as if it had never been."""
    engine = Engine(model)
    stream = opened(engine)
    stream.push_pcm(speech(CHUNK + 640 * 12))
    stream.flush()
    whole, part = spoken(stream)
    assert len(part.frames_THWC) == 12
    assert stream.made.cache.n_samples == CHUNK + 640 * 12
    last = np.concatenate((whole.frames_THWC, part.frames_THWC))[-9:]
    video = torch.from_numpy(last.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    wanted = model.codec.encode(video)[0]
    assert (stream.made.motion_CTHW[:, :2] - wanted).abs().max() < 0.02


def test_two_streams_in_a_batch_are_what_each_is_alone(model: FlashHead) -> None:
    engine = Engine(model, capacity=3)
    streams = [opened(engine, seed) for seed in (1, 2, 3)]
    sounds = [speech(3 * CHUNK, 1), speech(CHUNK + 900, 2), speech(2 * CHUNK, 3)]
    for stream, sound in zip(streams, sounds, strict=True):
        stream.push_pcm(sound)
        stream.flush()
    together: list[list[Chunk]] = [[], [], []]
    while any(s.is_speaking for s in streams):
        talking = [k for k, s in enumerate(streams) if s.is_speaking]
        for k, chunk in zip(talking, engine.next_chunks([streams[k] for k in talking]), strict=True):
            assert chunk is not None
            together[k].append(chunk)
    for k, (stream, sound) in enumerate(zip(streams, sounds, strict=True)):
        alone = opened(Engine(model), k + 1)
        alone.push_pcm(sound)
        alone.flush()
        chunks = spoken(alone)
        assert (stream.made.motion_CTHW - alone.made.motion_CTHW).abs().max() < 1e-5
        apart = np.abs(frames(together[k]).astype(int) - frames(chunks).astype(int))
        assert apart.max() <= 1


def test_one_stream_that_asks_takes_the_others_that_speak_along_but_none_at_rest(model: FlashHead) -> None:
    calls: list[int] = []
    engine = Engine(model, capacity=3)
    generate = engine.generate
    engine.generate = lambda batch: calls.append(len(batch.end_frame_B)) or generate(batch)  # type: ignore[func-returns-value]
    one, two, _ = (opened(engine, seed) for seed in (1, 2, 3))
    for stream in (one, two):
        stream.push_pcm(speech(CHUNK))
    assert one.next_chunk() is not None
    assert two.next_chunk() is not None
    assert calls == [2]


def test_an_interrupt_leaves_no_picture_and_no_sound_of_the_old_epoch(model: FlashHead) -> None:
    engine = Engine(model, capacity=2)
    stream, other = opened(engine, 1), opened(engine, 2)
    for s in (stream, other):
        s.push_pcm(speech(4 * CHUNK, 1))
    first = stream.next_chunk()
    other.next_chunk()
    other.next_chunk()  # makes the stream's second chunk ahead
    assert stream._ahead
    stream.interrupt()
    assert not stream.is_speaking
    assert stream.waiting_s == 0
    reply = speech(CHUNK, 9)
    stream.push_pcm(reply)
    after = stream.next_chunk()
    assert first is not None
    assert after is not None
    assert (first.epoch, after.epoch) == (0, 1)
    assert after.start_frame == NEW_FRAMES
    assert np.array_equal(after.pcm_S, reply)
    assert other.is_speaking


@pytest.mark.parametrize("ahead", [False, True])
def test_working_ahead_changes_no_picture_and_survives_an_interrupt(model: FlashHead, ahead: bool) -> None:
    stream = opened(Engine(model, ahead=ahead))
    stream.push_pcm(speech(3 * CHUNK))
    first = stream.next_chunk()
    assert len(stream._ahead) == int(ahead)
    stream.interrupt()
    stream.push_pcm(speech(CHUNK, 5))
    stream.flush()
    after = spoken(stream)
    calm = said(model, np.concatenate((speech(3 * CHUNK)[:CHUNK], speech(CHUNK, 5))))
    assert first is not None
    assert np.array_equal(frames([first, *after]), frames(calm))
    assert [c.start_frame for c in after] == [NEW_FRAMES]


def test_after_an_interrupt_a_stream_goes_on_as_if_what_was_dropped_had_never_been_pushed(model: FlashHead) -> None:
    engine = Engine(model, capacity=2)
    stream, other = opened(engine, 1), opened(engine, 2)
    stream.push_pcm(speech(3 * CHUNK, 1))
    stream.next_chunk()
    other.push_pcm(speech(CHUNK, 2))
    other.next_chunk()  # makes the stream's second chunk ahead
    stream.interrupt()
    stream.push_pcm(speech(CHUNK, 3))
    after = stream.next_chunk()
    calm = said(model, np.concatenate((speech(3 * CHUNK, 1)[:CHUNK], speech(CHUNK, 3))), seed=1)
    assert after is not None
    assert np.abs(after.frames_THWC.astype(int) - calm[1].frames_THWC.astype(int)).max() <= 1


def tensors_alive() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.slow
def test_ten_minutes_hold_memory_flat_and_equal_the_same_stream_in_one_go(model: FlashHead) -> None:
    n_samples = 10 * 60 * 16000
    sound = speech(n_samples)
    live = opened(Engine(model))
    digests, seen_bytes, seen_tensors = [], [], []
    tracemalloc.start()
    for start in range(0, n_samples, 9600):
        live.push_pcm(sound[start : start + 9600])
        if chunk := live.next_chunk():
            digests.append(hash(chunk.frames_THWC.tobytes()))
        seen_bytes.append(tracemalloc.get_traced_memory()[0])
        if start % 960_000 == 0:
            seen_tensors.append(tensors_alive())  # torch's own memory is not traced
    live.flush()
    digests += [hash(c.frames_THWC.tobytes()) for c in spoken(live)]
    tracemalloc.stop()
    assert max(seen_bytes[-100:]) < max(seen_bytes[100:200]) + 300_000
    assert max(seen_tensors[2:]) <= seen_tensors[1]
    assert digests == [hash(c.frames_THWC.tobytes()) for c in said(model, sound)]
    assert len(digests) == 625


def test_a_chunk_that_could_not_be_made_loses_no_sound(model: FlashHead) -> None:
    engine = Engine(model)
    stream, generate = opened(engine), engine.generate
    sound = speech(CHUNK + 700)
    stream.push_pcm(sound)
    stream.flush()

    def full(batch: Any) -> Any:
        raise torch.OutOfMemoryError("no room")

    engine.generate = full
    with pytest.raises(VividHeadError, match="does not hold a wave of 1 streams of tiny"):
        stream.next_chunk()
    engine.generate = generate
    assert np.array_equal(frames(spoken(stream)), frames(said(model, sound)))


def test_a_teacher_takes_twenty_steps_each_with_and_without_sound(model: FlashHead) -> None:
    calls: list[int] = []
    velocity = model.dit.velocity

    def counted(*inputs: Any) -> torch.Tensor:
        calls.append(len(inputs[0]))
        return velocity(*inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.dit, "velocity", counted)
        stream = opened(Engine(model, teacher=True))
        stream.push_pcm(speech(CHUNK))
        chunk = stream.next_chunk()
    assert len(calls) == 2 * 20
    assert chunk is not None
    assert not np.array_equal(chunk.frames_THWC, said(model, speech(CHUNK))[0].frames_THWC)


def test_a_full_engine_refuses_and_a_closed_stream_frees_its_place(model: FlashHead) -> None:
    engine = Engine(model, capacity=1)
    stream = opened(engine)
    with pytest.raises(EngineFullError, match="all 1 places are taken"):
        opened(engine)
    stream.close()
    stream.close()
    with pytest.raises(StreamClosedError):
        stream.push_pcm(speech(10))
    with pytest.raises(StreamClosedError):
        stream.next_chunk()
    opened(engine)


def test_warming_up_takes_no_place_and_changes_no_picture(model: FlashHead) -> None:
    engine = Engine(model, capacity=2)
    engine.warm_up()
    one, two = opened(engine, 1), opened(engine, 2)
    for stream in (one, two):
        stream.push_pcm(speech(CHUNK))
    chunk = one.next_chunk()
    assert chunk is not None
    calm = said(model, speech(CHUNK), seed=1)
    assert np.abs(chunk.frames_THWC.astype(int) - calm[0].frames_THWC.astype(int)).max() <= 1


def test_a_stream_that_is_closed_or_anothers_takes_no_chunk_from_the_rest(model: FlashHead) -> None:
    engine, elsewhere = Engine(model, capacity=2), Engine(model)
    one, two, stranger = opened(engine, 1), opened(engine, 2), opened(elsewhere, 3)
    one.push_pcm(speech(CHUNK))
    with pytest.raises(UsageError, match="another engine"):
        engine.next_chunks([one, stranger])
    two.close()
    with pytest.raises(StreamClosedError):
        engine.next_chunks([one, two])
    chunk = one.next_chunk()
    assert chunk is not None
    assert chunk.start_frame == 0
    assert not chunk.idle


def test_a_stream_named_twice_gives_its_chunks_in_order(model: FlashHead) -> None:
    stream = opened(Engine(model))
    stream.push_pcm(speech(2 * CHUNK))
    first, nothing = stream._engine.next_chunks([stream, stream])
    second = stream.next_chunk()
    assert nothing is None
    assert first is not None
    assert second is not None
    calm = said(model, speech(2 * CHUNK))
    assert np.array_equal(frames([first, second]), frames(calm))


def test_an_empty_push_leaves_a_stream_at_rest(model: FlashHead) -> None:
    stream = opened(Engine(model))
    stream.push_pcm(np.zeros(0, np.float32), 48000)
    chunk = stream.next_chunk()
    assert chunk is not None
    assert chunk.idle


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_a_seed_that_torch_cannot_take_is_refused(model: FlashHead, seed: int) -> None:
    engine = Engine(model)
    with pytest.raises(UsageError, match="a seed of"):
        engine.open(portrait(), seed, as_it_is=True)
    engine.open(portrait(), 2**64 - 1, as_it_is=True)  # no place was taken


def test_a_portrait_that_does_not_fit_is_refused(model: FlashHead) -> None:
    with pytest.raises(UsageError, match=r"uint8 \(16, 16, 3\) is taken as it is"):
        Engine(model).open(np.zeros((8, 8, 3), np.uint8), 0, as_it_is=True)
    with pytest.raises(UsageError, match="1 or more"):
        Engine(model, capacity=0)


def test_an_impulse_in_the_sound_moves_no_picture_before_its_chunk(model: FlashHead) -> None:
    sound = speech(3 * CHUNK)
    struck = sound.copy()
    struck[CHUNK + 640 * 5 : CHUNK + 640 * 6] += 0.9
    calm, moved = said(model, sound), said(model, struck)
    assert np.array_equal(calm[0].frames_THWC, moved[0].frames_THWC)
    assert not np.array_equal(calm[1].frames_THWC, moved[1].frames_THWC)
