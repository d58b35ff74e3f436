"""What a trainer sees: real windows, exact resumption, damage that costs no more than itself."""

import hashlib
import io
import itertools
import json
import logging
import multiprocessing
import os
import pickle
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import vividhead
from tests.packed import LENGTHS, SIDE
from vividhead.errors import DatasetError, MediaError, StorageError, UsageError
from vividhead.loader import Batch, Sample, ShardDataset, WindowPlan, batched, windows
from vividhead.loader.order import Window
from vividhead.media.window import clip_rgb
from vividhead.view import open_dataset

STAGE_1 = WindowPlan()
STAGE_2 = WindowPlan(chunks=5)
KB = 1000


def opened(path: Path, plan: WindowPlan = STAGE_1, **options: Any) -> ShardDataset:
    return ShardDataset(path, plan, **{"side_px": SIDE, "seed": 3, **options})


def whole_clip(path: Path, clip_id: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All pictures (T, H, W, C) and samples of a clip, decoded from its beginning."""
    members = dict(open_dataset(path).members(clip_id))
    with av.open(io.BytesIO(members["mp4"])) as container:
        video = np.stack([clip_rgb(picture, SIDE) for picture in container.decode(video=0)])
    with av.open(io.BytesIO(members["flac"])) as container:
        sound = np.concatenate([block.to_ndarray()[0] for block in container.decode(audio=0)])
    return video, sound.astype(np.float32) / 32768


@pytest.mark.parametrize("plan", [STAGE_1, STAGE_2, WindowPlan(chunks=2, motion_frames=5, audio_s=2.0)])
def test_every_window_is_what_decoding_the_whole_clip_gives(packed: Path, plan: WindowPlan) -> None:
    clips: dict[str, Any] = {}
    n_seen = 0
    for sample in opened(packed, plan):
        if sample.clip_id not in clips:
            clips[sample.clip_id] = whole_clip(packed, sample.clip_id)
        video, sound = clips[sample.clip_id]
        start, end = sample.start_frame, sample.start_frame + plan.window_frames
        assert sample.video_THWC.dtype == sample.reference_HWC.dtype == torch.uint8
        assert np.array_equal(sample.video_THWC.numpy(), video[start:end])
        assert np.array_equal(sample.reference_HWC.numpy(), video[sample.reference_frame])
        assert not start <= sample.reference_frame < end
        assert sample.audio_KS.shape == (plan.chunks, plan.audio_samples) and sample.audio_KS.dtype == torch.float32
        for chunk, audio_S in enumerate(sample.audio_KS.numpy()):
            last = (start + plan.frames_per_chunk + chunk * plan.new_frames) * 640
            heard = sound[max(0, last - plan.audio_samples) : last]
            assert np.array_equal(audio_S[plan.audio_samples - len(heard) :], heard)
            assert not audio_S[: plan.audio_samples - len(heard)].any(), "silence before the clip"
        n_seen += 1
    assert n_seen > 0


def test_a_window_is_reached_by_the_packages_public_name(packed: Path) -> None:
    found = vividhead.ShardDataset(packed, vividhead.WindowPlan(), side_px=32)
    sample = next(iter(found))
    assert sample.video_THWC.shape == (33, 32, 32, 3) and sample.landmarks_TPX is None


def test_clips_too_short_for_the_plan_are_left_out_and_counted(packed: Path) -> None:
    one, five = opened(packed), opened(packed, STAGE_2)
    assert (one.n_clips, one.n_too_short) == (6, 1)
    assert (five.n_clips, five.n_too_short) == (3, 4)
    assert {s.clip_id for s in five} < {s.clip_id for s in one}


def test_language_attributes_and_scores_come_with_the_window_as_asked(packed: Path) -> None:
    columns = ["language", "attributes", "sharpness.blurs_per_face_p10", "identity.drift_start_to_end"]
    sample = next(iter(opened(packed, columns=columns)))
    (row,) = [r for r in open_dataset(packed).table("manifest").to_pylist() if r["clip_id"] == sample.clip_id]
    assert sample.about == {
        "language": "de", "attributes": {"speaker": "Ada"}, "identity.drift_start_to_end": None,
        "sharpness.blurs_per_face_p10": row["sharpness.blurs_per_face_p10"],
    }  # fmt: skip


def test_the_mesh_comes_in_pixels_of_the_video_at_hand(packed: Path) -> None:
    for sample in opened(packed, landmarks=True, side_px=32):
        assert sample.landmarks_TPX is not None and sample.landmarks_TPX.shape == (33, 478, 3)
        frames = torch.arange(sample.start_frame, sample.start_frame + 33)
        wanted = torch.where(frames == 5, torch.nan, frames / 16 / 2)  # the clips' meshes are numbered in 1/16 px
        assert torch.equal(sample.landmarks_TPX[:, 7, 1].nan_to_num(-1), wanted.nan_to_num(-1))


class NumberedReader:
    """Stands in for decoding: tells which window it was asked for, and refuses some clips."""

    def __init__(self, bad: frozenset[int] = frozenset()) -> None:
        self.bad = bad

    def sample(self, window: Window, reference_frame: int, position: int, *, stand_in: bool) -> Sample:
        if window.clip in self.bad:
            raise MediaError("member.digest", "a test")
        nothing = torch.zeros(0)
        return Sample(
            video_THWC=nothing, reference_HWC=nothing, audio_KS=nothing, landmarks_TPX=None,
            clip_id=str(window.clip), start_frame=window.start_frame, reference_frame=reference_frame,
            epoch=window.epoch, position=position, stand_in=stand_in, about={},
        )  # fmt: skip


class Undecoded(ShardDataset):
    """A dataset whose windows are numbers, so that hypothesis may read many."""

    bad: frozenset[int] = frozenset()

    def reader(self) -> Any:
        return NumberedReader(self.bad)


class DataLoaderWithoutProcesses:
    """Asks its workers in turn for a batch each, as a DataLoader does, but in this process."""

    def __init__(self, share: Any, batch_size: int, *, num_workers: int, collate_fn: Any, **_: Any) -> None:
        self.share, self.batch_size, self.workers, self.collate = share, batch_size, num_workers, collate_fn

    def __iter__(self) -> Iterator[Batch]:
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*map(self._asked, range(self.workers))))
        return (self.collate(samples) for samples in in_turn if samples is not None)

    def _asked(self, worker: int) -> Iterator[list[Sample]]:
        samples = iter(self.share)
        while True:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(windows, "get_worker_info", lambda: SimpleNamespace(id=worker, num_workers=self.workers))
                if not (drawn := list(itertools.islice(samples, self.batch_size))):
                    return
            yield drawn


def batches(data: ShardDataset, batch_size: int, workers: int) -> Generator[Batch, None, None]:
    """The dataset's loader without the processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "DataLoader", DataLoaderWithoutProcesses)
        yield from data.loader(batch_size, workers=workers)


LAYOUT = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
"""Ranks, workers of each, windows in a batch."""
Key = tuple[int, str, int]


def keys_of(batch: Batch) -> list[Key]:
    return list(zip(batch.epoch_B.tolist(), batch.clip_id, batch.start_frame_B.tolist(), strict=True))


def run(path: Path, layout: tuple[int, int, int], steps: int, state: Any, **options: Any) -> tuple[list[Key], Any]:
    """Windows in the order of their positions after so many steps of all ranks, and rank 0's state."""
    world, workers, batch_size = layout
    read: list[tuple[int, Key]] = []
    states = []
    for rank in range(world):
        data = Undecoded(path, STAGE_1, side_px=SIDE, rank=rank, world=world, endless=True, **options)
        if state is not None:
            data.load_state_dict(state)
        first = data.position
        with closing(batches(data, batch_size, workers)) as stream:
            for batch in itertools.islice(stream, steps):
                read += zip(batch.position_B.tolist(), keys_of(batch), strict=True)
        states.append(json.loads(json.dumps(data.state_dict())))
    assert all(each == states[0] for each in states), "any rank's state will do"
    positions = sorted(position for position, _ in read)
    assert positions == list(range(first, first + len(positions))), "each position once, none left out"
    return [key for _, key in sorted(read)], states[0]


@settings(max_examples=60)
@given(before=LAYOUT, after=LAYOUT, steps=st.integers(0, 9), seed=st.integers(0, 3))
def test_reading_goes_on_exactly_with_other_ranks_workers_and_batches(
    packed: Path, before: tuple[int, int, int], after: tuple[int, int, int], steps: int, seed: int
) -> None:
    head, state = run(packed, before, steps, None, seed=seed)
    tail, _ = run(packed, after, 5, state, seed=seed)
    alone, _ = run(packed, (1, 1, 1), len(head) + len(tail), None, seed=seed)
    assert head + tail == alone


@settings(max_examples=40)
@given(layout=LAYOUT, start=st.integers(0, 40), limit=st.none() | st.integers(1 * KB, 900 * KB))
def test_each_rank_and_worker_together_read_the_rest_of_an_epoch_once(
    packed: Path, layout: tuple[int, int, int], start: int, limit: int | None
) -> None:
    world, workers, batch_size = layout
    read: list[int] = []
    for rank in range(world):
        data = Undecoded(packed, STAGE_1, side_px=SIDE, rank=rank, world=world, shuffle_bytes=limit)
        data.position = start
        read += [p for batch in batches(data, batch_size, workers) for p in batch.position_B.tolist()]
    assert sorted(read) == list(range(start, (start // data.n_windows + 1) * data.n_windows))


@settings(max_examples=40)
@given(layout=LAYOUT)
def test_all_ranks_begin_the_next_epoch_also_those_that_had_one_batch_fewer(
    packed: Path, layout: tuple[int, int, int]
) -> None:
    world, workers, batch_size = layout
    read: list[int] = []
    one_by_one: list[int] = []
    for rank in range(world):
        data, plain = (Undecoded(packed, STAGE_1, side_px=SIDE, rank=rank, world=world) for _ in range(2))
        for epoch in range(3):
            assert data.epoch == plain.epoch == epoch
            read += [p for batch in batches(data, batch_size, workers) for p in batch.position_B.tolist()]
            one_by_one += [sample.position for sample in plain]
    assert sorted(read) == sorted(one_by_one) == list(range(3 * data.n_windows))


@settings(max_examples=40)
@given(layout=LAYOUT, bad=st.frozensets(st.integers(0, 5), max_size=5))
def test_damaged_clips_cost_no_other_window_in_any_layout(
    packed: Path, layout: tuple[int, int, int], bad: frozenset[int]
) -> None:
    world, workers, batch_size = layout
    read: list[tuple[Key, bool]] = []
    for rank in range(world):
        data = Undecoded(packed, STAGE_1, side_px=SIDE, rank=rank, world=world)
        data.bad = bad
        for batch in batches(data, batch_size, workers):
            read += zip(keys_of(batch), batch.stand_in_B.tolist(), strict=True)
    whole = [(w.epoch, str(w.clip), w.start_frame) for w in map(data._order.window, range(data.n_windows))]
    sound = sorted(key for key in whole if int(key[1]) not in bad)
    assert sorted(key for key, stand_in in read if not stand_in) == sound
    assert {key for key, _ in read} == set(sound) and len(read) == len(whole)


def test_a_loader_with_processes_gives_what_one_without_gives(packed: Path) -> None:
    cv2_has_threads = opened(packed)
    next(iter(cv2_has_threads))
    kept = {}
    for workers in (0, 2):
        data = opened(packed, shuffle_bytes=500 * KB)
        kept[workers] = list(data.loader(4, workers=workers))
        assert data.position == data.n_windows and data.epoch == 1
    assert [len(batch) for batch in kept[2]] == [4, 4, 4, 4, len(kept[2][-1])]
    for alone, shared in zip(kept[0], kept[2], strict=True):
        assert torch.equal(alone.video_BTHWC, shared.video_BTHWC)
        assert torch.equal(alone.audio_BKS, shared.audio_BKS)
        assert torch.equal(alone.reference_BHWC, shared.reference_BHWC)
        assert torch.equal(alone.position_B, shared.position_B)
        assert alone.clip_id == shared.clip_id


def test_what_workers_have_ready_is_not_counted_as_read(packed: Path) -> None:
    data = opened(packed)
    batches_to_come = data.loader(2, workers=2)
    first = [next(batches_to_come) for _ in range(3)]
    assert data.position == 6
    resumed = opened(packed)
    resumed.load_state_dict(data.state_dict())
    rest = list(resumed.loader(3))
    positions = torch.cat([batch.position_B for batch in (*first, *rest)])
    assert positions.tolist() == list(range(data.n_windows))


def test_iterating_again_goes_on_with_the_next_epoch(packed: Path) -> None:
    data = opened(packed)
    epochs = [[(s.epoch, s.clip_id, s.start_frame) for s in data] for _ in range(2)]
    assert {e for e, _, _ in epochs[0]} == {0} and {e for e, _, _ in epochs[1]} == {1}
    assert [key[1:] for key in epochs[0]] != [key[1:] for key in epochs[1]]
    assert len(epochs[0]) == len(epochs[1]) == data.n_windows


def test_a_dataloader_of_ones_own_reads_each_window_once(packed: Path) -> None:
    theirs = DataLoader(opened(packed), 4, num_workers=2, collate_fn=batched, persistent_workers=True)
    for _ in range(2):  # it cannot tell how far it came, so the same epoch comes again
        read = sorted(position for batch in theirs for position in batch.position_B.tolist())
        assert read == list(range(opened(packed).n_windows))


def test_a_dataset_can_be_sent_to_another_process(packed: Path) -> None:
    data = opened(packed, where=lambda rows: rows["n_frames"] > 100)
    sent = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert [s.start_frame for s in sent] == [s.start_frame for s in data]


def flip(path: Path, clip_id: str, member: str) -> None:
    """Change one byte in the middle of a clip's member, in its shard."""
    (row,) = [r for r in open_dataset(path).table("manifest").to_pylist() if r["clip_id"] == clip_id]
    shard = path / "shards" / row["shard"]
    spoilt = bytearray(shard.read_bytes())
    spoilt[row[f"{member}_offset"] + row[f"{member}_bytes"] // 2] ^= 1
    shard.write_bytes(spoilt)


@pytest.mark.parametrize("member", ["mp4", "flac"])
def test_a_flipped_byte_costs_just_its_clips_windows_each_logged_and_counted(
    dataset: Path, tmp_path: Path, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound = [(s.clip_id, s.start_frame) for s in opened(dataset)]
    bad = sound[3][0]
    flip(dataset, bad, member)
    data = opened(dataset, skip_log=tmp_path / "skipped.jsonl")
    with caplog.at_level(logging.WARNING):
        read = list(data)
    lost = [(place, key) for place, key in enumerate(sound) if key[0] == bad]
    assert [(s.clip_id, s.start_frame) for s in read if not s.stand_in] == [key for key in sound if key[0] != bad]
    assert [s.position for s in read if s.stand_in] == [place for place, _ in lost]
    assert bad not in {s.clip_id for s in read}
    assert data.n_skipped == data.state_dict()["n_skipped"] == len(lost)
    rows = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert [(r["position"], (r["clip_id"], r["start_frame"])) for r in rows] == lost
    assert {(r["code"], r["epoch"], r["rank"]) for r in rows} == {("member.digest", 0, 0)}
    assert f".{member} is not as the manifest has it" in rows[0]["detail"]
    assert len(caplog.records) == 1 and bad in caplog.text, "one warning for a clip"


def test_a_damaged_member_that_is_not_asked_for_costs_nothing(dataset: Path) -> None:
    flip(dataset, next(iter(opened(dataset))).clip_id, "landmarks.npz")
    plain, with_mesh = opened(dataset), opened(dataset, landmarks=True)
    assert len(list(plain)) == len(list(with_mesh))
    assert plain.n_skipped == 0 and with_mesh.n_skipped > 0


def test_a_member_that_cannot_be_decoded_is_skipped_though_its_digest_is_right(dataset: Path, tmp_path: Path) -> None:
    import pyarrow

    from vividhead.manifest import parquet

    table = open_dataset(dataset).table("manifest")
    row = table.to_pylist()[0]
    shard = dataset / "shards" / row["shard"]
    spoilt = bytearray(shard.read_bytes())
    begin, size = row["mp4_offset"], row["mp4_bytes"]
    spoilt[begin : begin + size] = bytes(size)
    shard.write_bytes(spoilt)
    digests = table["mp4_sha256"].to_pylist()
    digests[0] = hashlib.sha256(bytes(size)).hexdigest()
    at = table.column_names.index("mp4_sha256")
    changed = table.set_column(at, table.schema.field(at), pyarrow.array(digests))
    (dataset / "manifest.parquet").write_bytes(parquet(changed))
    data = opened(dataset, skip_log=tmp_path / "skipped.jsonl")
    read = list(data)
    assert data.n_skipped > 0 and row["clip_id"] not in {s.clip_id for s in read}
    rows = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    assert {r["code"] for r in rows} == {"failed.corrupt"}


def test_skips_are_counted_through_processes_and_resumption(dataset: Path) -> None:
    bad = next(iter(opened(dataset))).clip_id
    n_bad = sum(s.clip_id == bad for s in opened(dataset))
    flip(dataset, bad, "mp4")
    data = opened(dataset)
    half = list(itertools.islice(data.loader(2, workers=2), 4))
    resumed = opened(dataset)
    resumed.load_state_dict(data.state_dict())
    rest = list(resumed.loader(3))
    assert resumed.n_skipped == n_bad == sum(int(b.stand_in_B.sum()) for b in (*half, *rest))


def test_a_dataset_of_which_nothing_can_be_read_ends_with_an_error(dataset: Path) -> None:
    for clip_id in {s.clip_id for s in opened(dataset)}:
        flip(dataset, clip_id, "flac")
    with pytest.raises(DatasetError, match=r"18 windows in a row cannot be read, the last as member.digest"):
        next(iter(opened(dataset)))


def test_a_shard_that_vanishes_while_reading_is_damage_too(dataset: Path) -> None:
    data = opened(dataset, shuffle_bytes=1)
    samples = iter(data)
    gone = next(samples).clip_id
    (row,) = [r for r in open_dataset(dataset).table("manifest").to_pylist() if r["clip_id"] == gone]
    (dataset / "shards" / row["shard"]).unlink()
    data.position = 0
    read = list(data)
    assert len(read) == data.n_windows and data.n_skipped > 0
    assert gone not in {s.clip_id for s in read}


@pytest.mark.parametrize("limit", [1, 400 * KB, 10_000 * KB])
def test_media_held_in_memory_stay_within_the_shuffle_buffer(packed: Path, limit: int) -> None:
    data = opened(packed, shuffle_bytes=limit)
    reader = data.reader()
    sizes = dict(zip(data._chosen.clip_ids, data._chosen.bytes_N.tolist(), strict=True))
    held = []
    for position in range(2 * data.n_windows):
        sample = data.sample_at(position, reader)
        held.append(reader.cache.held_bytes)
        assert held[-1] <= max(limit, sizes[sample.clip_id])
    assert (
        max(held) == sum(sizes.values())
        if limit > sum(sizes.values())
        else max(held) >= min(limit, max(sizes.values()))
    )


def test_within_its_block_a_clip_is_read_from_the_shard_once(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vividhead.loader.folder import Folder

    reads = []
    read = Folder.read
    monkeypatch.setattr(Folder, "read", lambda *where: (reads.append(where[1:]), read(*where))[1])
    list(opened(packed, shuffle_bytes=900 * KB))
    assert len(reads) == len(set(reads)) == 2 * 6
    reads.clear()
    list(opened(packed, shuffle_bytes=None))
    assert len(reads) > 2 * 6, "without a buffer each window reads its clip"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, r"seed \(4; now 3\)"),
        ({"shuffle_bytes": 5}, r"shuffle_bytes \(5; now 256000000\)"),
        ({"where": "n_frames > 100"}, r"clips \(3, digest [0-9a-f]{16}; now 6, digest [0-9a-f]{16}\)"),
        ({"plan": WindowPlan(motion_frames=5)}, r"plan \(.*motion_frames=5.*; now .*motion_frames=9"),
    ],
)
def test_a_position_of_another_order_is_refused_naming_what_differs(
    packed: Path, change: dict[str, Any], said: str
) -> None:
    state = opened(packed, **change).state_dict()
    with pytest.raises(DatasetError, match=said):
        opened(packed).load_state_dict(state)


def test_pictures_may_have_another_size_after_resumption(packed: Path) -> None:
    small = opened(packed, side_px=32)
    next(iter(small))
    large = opened(packed)
    large.load_state_dict(small.state_dict())
    assert large.position == 1


def test_what_cannot_be_read_is_refused_at_the_start(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no dataset: there is no such folder"):
        opened(tmp_path / "nowhere")
    too_short = r"no clip is long enough: .* need 226 \(9.04 s\), the longest of 7 has 200"
    with pytest.raises(UsageError, match=too_short) as told:
        opened(dataset, WindowPlan(chunks=9))
    assert "take 7 or fewer chunks (stage2.chunks), or curate longer clips" in str(told.value)
    opened(dataset, WindowPlan(chunks=7))
    assert max(LENGTHS) == 200
    for side_px, said in ((0, "an even number"), (63, "an even number"), (128, "are 64 px wide, and enlarging")):
        with pytest.raises(UsageError, match=f"side_px {side_px}: .*{said}"):
            opened(dataset, side_px=side_px)
    with pytest.raises(UsageError, match="shuffle_bytes 0"):
        opened(dataset, shuffle_bytes=0)
    with pytest.raises(UsageError, match="rank 2 of 2"):
        opened(dataset, rank=2, world=2)
    with pytest.raises(UsageError, match="rank and world are given together"):
        opened(dataset, rank=1)
    with pytest.raises(UsageError, match="the manifest has no 'languages'; did you mean language?"):
        opened(dataset, columns=["languages"])
    with pytest.raises(StorageError, match="cannot write .*skipped.jsonl"):
        opened(dataset, skip_log=tmp_path / "nowhere" / "skipped.jsonl")


def test_a_dataset_that_is_not_whole_is_refused_at_the_start(dataset: Path) -> None:
    shard = sorted((dataset / "shards").glob("*.tar"))[1]
    content = shard.read_bytes()
    shard.write_bytes(content[:-512])
    with pytest.raises(DatasetError, match=rf"{shard.name} has {len(content) - 512} bytes, the manifest says"):
        opened(dataset)
    shard.unlink()
    with pytest.raises(DatasetError, match=rf"{shard.name} is missing, the manifest says"):
        opened(dataset)
    (dataset / "manifest.parquet").unlink()
    with pytest.raises(DatasetError, match=r"manifest.parquet is missing: no run has come to its end here"):
        opened(dataset)
    (dataset / "run.toml").write_text("")
    with pytest.raises(DatasetError, match="damaged: it holds no pipeline"):
        opened(dataset)


def test_rank_and_world_are_those_of_torch_unless_given(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (opened(packed).rank, opened(packed).world) == (0, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    assert (opened(packed).rank, opened(packed).world) == (2, 4)
    assert (opened(packed, rank=0, world=2).rank, opened(packed, rank=0, world=2).world) == (0, 2)


def test_the_sound_is_what_the_streaming_generator_would_hear(packed: Path) -> None:
    from vividhead.flashhead.model.audio_cache import window_ending_at

    sample = next(iter(opened(packed)))
    _, sound = whole_clip(packed, sample.clip_id)
    heard_S = window_ending_at(sound, (sample.start_frame + 33) * 640, STAGE_1.audio_s)
    assert np.array_equal(heard_S, sample.audio_KS[0].numpy())


def test_batches_move_as_one(packed: Path) -> None:
    batch = next(opened(packed, landmarks=True).loader(3))
    assert len(batch) == 3 and batch.video_BTHWC.shape == (3, 33, SIDE, SIDE, 3)
    assert batch.landmarks_BTPX is not None and batch.landmarks_BTPX.shape == (3, 33, 478, 3)
    moved = batch.to("meta")
    assert moved.video_BTHWC.is_meta and moved.audio_BKS.is_meta and moved.clip_id == batch.clip_id


def test_workers_outlive_the_signals_that_a_terminal_or_batch_system_sends_to_all(packed: Path) -> None:
    """The reader decides when it is over, and they end with it."""
    data = opened(packed, endless=True)
    before = set(multiprocessing.active_children())
    with closing(data.loader(1, workers=1)) as stream:
        first = next(stream)
        (worker,) = set(multiprocessing.active_children()) - before
        assert worker.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
        later = [next(stream) for _ in range(5)]
    assert [int(batch.position_B[0]) for batch in (first, *later)] == list(range(6))
    worker.join(10)
    assert not worker.is_alive()
