"""A small dataset whose clips are really encoded, made by hand up to the ledger and published by the code."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from av import VideoFrame
from hand_made import PIPELINE, Written, make_clip, make_source, policy, rows_of

from vividhead.dataset import run_toml
from vividhead.media import ClipWriter, EncodeOptions, flac
from vividhead.plain import npz
from vividhead.publish import publish
from vividhead.records import Listed
from vividhead.shards import tar_bytes
from vividhead.units import pack_key

SIDE = 64
LENGTHS = (20, 34, 60, 75, 130, 131, 200)
"""Frames of the clips; the first is shorter than any window, the second just long enough for one chunk."""
SHARP = (100, 110, 120, 130, 140, 150, 160)
"""`sharpness.blurs_per_face_p10` of each."""
SMALL_SHARDS = replace(PIPELINE.pack, side_px=SIDE, shard_mb=0.6)  # type: ignore[arg-type]
TINY = replace(PIPELINE, pack=SMALL_SHARDS, text=f"[pack]\nside_px = {SIDE}\n")


def packed_dataset(path: Path) -> Path:
    """Write seven kept clips in several shards to an empty folder."""
    listed = Listed(uri="a.mp4", language="de", attributes={"speaker": "Ada"})
    written = Written(path, make_source(seconds=60, listed=listed), TINY)
    written.scan((0, 1500))
    starts = np.cumsum((0, *LENGTHS[:-1])).tolist()
    clips = [make_clip(written.segment, at, at + n) for at, n in zip(starts, LENGTHS, strict=True)]
    rows = [row for clip, sharp in zip(clips, SHARP, strict=True) for row in rows_of(clip, blurs=sharp)]
    written.measure(clips, rows)
    for clip in clips:
        members = media(clip.n_frames, seed=clip.n_frames)
        about = {m: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for m, d in members.items()}
        tape = tar_bytes([(f"{clip.clip_id}.{name}", data) for name, data in members.items()])
        written.ledger.commit("pack", pack_key(clip.clip_id, TINY), {"members": about}, {"tar": tape})
    chain = written.chain()
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    publish(path, chain, finished=True)
    (path / "run.toml").write_text(run_toml("footage", TINY, policy()))
    return path


def media(n_frames: int, seed: int) -> dict[str, bytes]:
    """The members of a clip: noise that moves, noise to hear, a mesh whose points count frames in sixteenths."""
    rng = np.random.default_rng(seed)
    audio_S = rng.uniform(-0.5, 0.5, n_frames * 640).astype(np.float32)
    field_HWC = np.kron(rng.integers(30, 220, (24, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    options = EncodeOptions(side_px=SIDE, crf=18, preset="ultrafast", gop_frames=50, aac_kbps=32)
    writer = ClipWriter((0, 0, SIDE, SIDE), audio_S, options)
    for frame in range(n_frames):
        shown_HWC = np.ascontiguousarray(np.roll(field_HWC, (frame, 2 * frame), (0, 1))[:SIDE, :SIDE])
        writer.add(VideoFrame.from_ndarray(shown_HWC, format="rgb24").reformat(format="yuv420p"))
    mesh_TPX = np.broadcast_to(np.arange(n_frames, dtype=np.int16)[:, None, None], (n_frames, 478, 3)).copy()
    mesh_TPX[5] = np.iinfo(np.int16).min
    mesh = npz({"landmarks": mesh_TPX})
    return {"mp4": writer.finish(), "flac": flac(audio_S), "landmarks.npz": mesh}
