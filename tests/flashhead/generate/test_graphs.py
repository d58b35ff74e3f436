"""Graphs of whole chunks: what goes in and comes out around a replay, with a replay that needs no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.flashhead.stubs import tiny_flashhead
from vividhead.flashhead.generate import graphs
from vividhead.flashhead.generate.chunk import ChunkBatch, ChunkGenerator, ChunkResult
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.graphs import GraphedGenerator, padded_size
from vividhead.flashhead.generate.stream import Stream
from vividhead.flashhead.model.flashhead import FlashHead

CHUNK = 24 * 640


@pytest.fixture(scope="module")
def model() -> FlashHead:
    return tiny_flashhead()


class Remembering(ChunkGenerator):
    """Notes each call, as a capture does."""

    calls: list[tuple[ChunkBatch, ChunkResult]]

    def __call__(self, batch: ChunkBatch, mark: Any = lambda phase: None) -> ChunkResult:
        result = super().__call__(batch, mark)
        self.calls.append((batch, result))
        return result


class Replay:
    """A CUDA graph's promise: the same work again, from the same inputs into the same outputs."""

    def __init__(self, generator: Remembering) -> None:
        self.generator = generator

    @torch.inference_mode()
    def replay(self) -> None:
        again = ChunkGenerator.__call__(self.generator, self.inputs)
        for member in fields(ChunkResult):
            getattr(self.outputs, member.name).copy_(getattr(again, member.name))


@pytest.fixture
def graphed(model: FlashHead, monkeypatch: pytest.MonkeyPatch) -> tuple[GraphedGenerator, Remembering]:
    generator = Remembering(model)
    generator.calls = []

    @contextmanager
    def capture(graph: Replay, pool: object) -> Iterator[None]:
        yield
        graph.inputs, graph.outputs = generator.calls[-1]  # type: ignore[attr-defined]

    class Queue:
        def wait_stream(self, other: object) -> None: ...

    class FakeCuda:
        CUDAGraph = staticmethod(lambda: Replay(generator))
        graph = staticmethod(capture)
        graph_pool_handle = staticmethod(lambda: None)
        Stream = current_stream = Queue
        stream = staticmethod(nullcontext)

    monkeypatch.setattr(graphs.torch, "cuda", FakeCuda)
    return GraphedGenerator(generator), generator


def speech(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, 3 * CHUNK).astype(np.float32)


def opened(engine: Engine, seed: int) -> Stream:
    portrait = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    stream = engine.open(portrait, seed, as_it_is=True)
    stream.push_pcm(speech(seed))
    return stream


def test_streams_in_a_graph_that_is_larger_than_their_number_are_what_each_is_alone(
    model: FlashHead, graphed: tuple[GraphedGenerator, Remembering]
) -> None:
    generate, generator = graphed
    engine = Engine(model, capacity=5)
    engine.generate = generate
    streams = [opened(engine, seed) for seed in range(5)]
    first, second = engine.next_chunks(streams), engine.next_chunks(streams)
    third = engine.next_chunks(streams[:2])
    assert [len(batch.end_frame_B) for batch, _ in generator.calls] == [8] * (graphs.WARM_UPS + 1)
    for seed in range(5):
        alone = opened(Engine(model), seed)
        for together in (first, second, third):
            wanted = alone.next_chunk()
            if seed < len(together):
                found = together[seed]
                assert found is not None
                assert wanted is not None
                assert np.abs(found.frames_THWC.astype(int) - wanted.frames_THWC.astype(int)).max() <= 1


def test_after_warming_up_no_number_of_streams_waits_for_a_capture(
    model: FlashHead, graphed: tuple[GraphedGenerator, Remembering]
) -> None:
    generate, generator = graphed
    engine = Engine(model, capacity=6)
    engine.generate = generate
    engine.warm_up()
    sizes = [len(batch.end_frame_B) for batch, _ in generator.calls]
    assert sizes == [size for size in (8, 4, 3, 2, 1) for _ in range(graphs.WARM_UPS + 1)]
    streams = []
    for seed in range(6):
        streams.append(opened(engine, seed))
        engine.next_chunks(streams)
    assert len(generator.calls) == len(sizes)


def test_a_result_is_the_callers_to_keep(model: FlashHead, graphed: tuple[GraphedGenerator, Remembering]) -> None:
    generate, _ = graphed
    engine = Engine(model)
    engine.generate = generate
    stream = opened(engine, 1)
    kept = stream.next_chunk()
    assert kept is not None
    before = kept.frames_THWC.copy()
    after = stream.next_chunk()
    assert after is not None
    assert np.array_equal(kept.frames_THWC, before)
    assert not np.array_equal(after.frames_THWC, before)


def test_few_sizes_are_captured() -> None:
    assert [padded_size(count) for count in (1, 2, 3, 4, 5, 8, 9, 20)] == [1, 2, 3, 4, 8, 8, 12, 20]
