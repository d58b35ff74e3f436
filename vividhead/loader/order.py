"""In which order windows are read: a pure function of seed, epoch and the chosen clips, known at every position.

A position counts windows from the first of epoch 0, over all ranks and workers. Shards come in an order drawn for
each epoch, and so do the clips within one; consecutive clips of at most `shuffle_bytes` of media form a block, and the
windows of a block are mixed. A block is thus the shuffle buffer, but one that is planned: to resume at a position
nothing has to be replayed, and no other number of ranks or workers changes what comes after it.

Draws are hashes of ids, not of a library's generator, whose numbers may change with its version.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.loader.plan import WindowPlan

ORDER_VERSION = 1
"""Raised when the same seed comes to mean another order; part of a saved state."""
EPOCHS_AT_HAND = 2
"""Orders kept in memory: workers read ahead into the next epoch while the last batches of one are under way."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The clips to read, in the manifest's order."""

    clip_ids: tuple[str, ...]
    shards: tuple[str, ...]
    """Each clip's shard."""
    n_frames_N: NDArray[np.int64]
    bytes_N: NDArray[np.int64]
    """Of the members that are read."""

    @property
    def digest(self) -> str:
        """16 hex digits over all that the order depends on."""
        digest = hashlib.sha256()
        for clip_id, shard in zip(self.clip_ids, self.shards, strict=True):
            digest.update(f"{clip_id}/{shard}\n".encode())
        digest.update(self.n_frames_N.astype("<i8").tobytes() + self.bytes_N.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Window:
    """What stands at one position."""

    epoch: int
    clip: int
    """Index among the chosen clips."""
    start_frame: int


@dataclass(frozen=True, slots=True)
class _Epoch:
    clip_W: NDArray[np.int32]
    start_frame_W: NDArray[np.int32]


class Order:
    """Every window of the chosen clips, epoch after epoch."""

    def __init__(self, chosen: Chosen, plan: WindowPlan, seed: int, shuffle_bytes: int | None) -> None:
        """`shuffle_bytes` None makes all clips one block."""
        self._chosen, self._plan, self._seed, self._shuffle_bytes = chosen, plan, seed, shuffle_bytes
        self._key_N = np.array([_key(clip_id) for clip_id in chosen.clip_ids], np.uint64)
        self._counts_N = plan.counts_N(chosen.n_frames_N)
        self.n_windows = int(self._counts_N.sum())
        """In one epoch."""
        self._epochs: dict[int, _Epoch] = {}

    def window(self, position: int) -> Window:
        """The window at a position."""
        epoch, place = divmod(position, self.n_windows)
        drawn = self._epochs.get(epoch)
        if drawn is None:
            drawn = self._epochs[epoch] = self._draw(epoch)
            while len(self._epochs) > EPOCHS_AT_HAND:
                del self._epochs[min(self._epochs)]
        return Window(epoch, int(drawn.clip_W[place]), int(drawn.start_frame_W[place]))

    def reference_frame(self, window: Window) -> int:
        """The frame that a window refers to, drawn among those near it."""
        frames = self._plan.references(window.start_frame, int(self._chosen.n_frames_N[window.clip]))
        clip_id = self._chosen.clip_ids[window.clip]
        return frames[self._salt(window.epoch, f"reference {clip_id} {window.start_frame}") % len(frames)]

    def block_bytes(self, epoch: int) -> list[int]:
        """Bytes of media in each block of an epoch."""
        turn, blocks = self._blocks(epoch)
        return [int(size) for size in np.bincount(blocks, weights=self._chosen.bytes_N[turn])]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be drawn anew, for the way to another process."""
        return {**self.__dict__, "_epochs": {}}

    def _salt(self, epoch: int, what: str) -> int:
        return _key(f"{self._seed}/{epoch}/{what}")

    def _draw(self, epoch: int) -> _Epoch:
        turn, block_of_turn = self._blocks(epoch)
        grid = self._plan.grid_frames
        steps_N = (np.maximum(0, self._plan.slack_N(self._chosen.n_frames_N)) // grid).astype(np.uint64)
        drawn_N = _mixed(self._key_N, self._salt(epoch, "jitter")) % (steps_N + np.uint64(1))
        jitter_N = drawn_N.astype(np.int64) * grid
        counts = self._counts_N[turn]
        clip_W, block_W = np.repeat(turn, counts), np.repeat(block_of_turn, counts)
        nth_W = np.arange(self.n_windows) - np.repeat(np.cumsum(counts) - counts, counts)
        window_keys = _mixed(self._key_N[clip_W], 0) + nth_W.astype(np.uint64)
        places = np.lexsort((_mixed(window_keys, self._salt(epoch, "windows")), block_W))
        start_W = jitter_N[clip_W] + nth_W * self._plan.stride
        return _Epoch(clip_W[places].astype(np.int32), start_W[places].astype(np.int32))

    def _blocks(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Clips in the epoch's order, and the number of the block that each is in."""
        names = sorted(set(self._chosen.shards))
        drawn = _mixed(np.array([_key(name) for name in names], np.uint64), self._salt(epoch, "shards"))
        drawn_of = dict(zip(names, drawn, strict=True))
        shard_N = np.array([drawn_of[name] for name in self._chosen.shards], np.uint64)
        turn = np.lexsort((_mixed(self._key_N, self._salt(epoch, "clips")), shard_N)).astype(np.int64)
        blocks, block, used = np.zeros(len(turn), np.int64), 0, 0
        for at, size in enumerate(self._chosen.bytes_N[turn].tolist()):
            if self._shuffle_bytes is not None and used and used + size > self._shuffle_bytes:
                block, used = block + 1, 0
            blocks[at] = block
            used += size
        return turn, blocks


def share(
    first: int, end: int | None, *, rank: int, world: int, worker: int = 0, workers: int = 1, batch: int = 1
) -> Iterator[int]:
    """The positions from `first` on that are one worker's: every `world * workers`-th batch of `batch` positions.

    Ranks take batches in turn, and so do the workers of a rank, the order in which a DataLoader asks them. After as
    many batches on every rank just the positions before `first + batches * world * batch` are read, so that one
    number says where to resume. With an `end` the last batch may be short, and some ranks have one fewer.
    """
    for turn in count(worker, workers):
        begin = first + (turn * world + rank) * batch
        if end is not None and begin >= end:
            return
        yield from range(begin, begin + batch if end is None else min(end, begin + batch))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(keys: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Numbers as if drawn by chance, always the same for a key and salt (the finaliser of SplitMix64)."""
    x = keys + np.uint64(salt) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
