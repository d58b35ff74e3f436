"""CUDA graphs of whole chunks: one for each batch size, replayed without any work of the host in between."""

from dataclasses import fields

import torch

from vividhead.flashhead.generate.chunk import ChunkBatch, ChunkGenerator, ChunkResult

WARM_UPS = 3
"""Runs before a capture, in which libraries choose kernels and constants reach the device."""


class GraphedGenerator:
    """A ChunkGenerator on a GPU. Batches are padded to the next size in a short list, so that few graphs are kept."""

    def __init__(self, generator: ChunkGenerator) -> None:
        """Capture nothing yet: the first batch of each size does, in seconds."""
        self._generator = generator
        self._captured: dict[int, tuple[torch.cuda.CUDAGraph, ChunkBatch, ChunkResult]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    @torch.inference_mode()  # what was made in it may be written to in it alone
    def __call__(self, batch: ChunkBatch) -> ChunkResult:
        """Make the next chunk of every stream in the batch; the result is the caller's to keep."""
        count = batch.end_frame_B.shape[0]
        size = padded_size(count)
        if size not in self._captured:
            self._captured[size] = self._capture(batch, size)
        graph, inputs, outputs = self._captured[size]
        for member in fields(ChunkBatch):
            getattr(inputs, member.name)[:count].copy_(getattr(batch, member.name))
        graph.replay()
        return ChunkResult(**{f.name: getattr(outputs, f.name)[:count].clone() for f in fields(ChunkResult)})

    def _capture(self, batch: ChunkBatch, size: int) -> tuple[torch.cuda.CUDAGraph, ChunkBatch, ChunkResult]:
        inputs = ChunkBatch(**{f.name: _repeated(getattr(batch, f.name), size) for f in fields(ChunkBatch)})
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._generator(inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self._generator(inputs)
        return graph, inputs, outputs


def padded_size(count: int) -> int:
    """The batch size that `count` streams run in: every one up to four, then multiples of four."""
    return count if count <= 4 else -(-count // 4) * 4


def _repeated(rows: torch.Tensor, size: int) -> torch.Tensor:
    """`size` rows, the first again where there are too few."""
    missing = rows[:1].expand(size - rows.shape[0], *rows.shape[1:])
    return torch.cat((rows, missing)).clone()
