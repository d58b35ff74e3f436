"""A small dataset that is whole but for its footage: ledger, tables, encoded clips, settings that can be read again."""

import hashlib
from pathlib import Path

import numpy as np
from hand_made import SCORES, Written, make_clip, make_source, rows_of
from packed import SIDE, media

from vividhead.dataset import run_toml
from vividhead.pipeline import load_pipeline
from vividhead.plain import npz, to_plain
from vividhead.policy import load_policy
from vividhead.publish import publish
from vividhead.records import Listed
from vividhead.shards import tar_bytes
from vividhead.units import ingest_key, measure_key, pack_key

LENGTHS = (20, 24, 28, 32, 36, 40)
FACES_PX = (170, 180, 190, 200, 210, 150)
"""Face heights: the filters below keep all but the last, which is measured whole all the same."""
PIPELINE_TEXT = f"[measure]\nscores = {list(SCORES)}\n[pack]\nside_px = {SIDE}\nshard_mb = 1\n".replace("'", '"')
FILTERS = """
framing.face_height_px_in_source = { min = 160, why = "a test" }
sharpness.blurs_per_face_p10 = { min = 40, why = "a test" }
identity.worst_similarity_to_medoid = { min = 0.4, why = "a test" }
"""
SHARD_BYTES = 150_000
"""Set `vividhead.shard_set.MB` to this: two or three of these clips fill a shard."""


def settings(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def standing_dataset(path: Path, settings_folder: Path, extra_encoded: bool = False) -> Path:
    """Write it; `extra_encoded`: the clip that is not kept was encoded once, for other filters."""
    pipeline = load_pipeline(settings(settings_folder, "small", PIPELINE_TEXT))
    policy = load_policy(settings(settings_folder, "mine", FILTERS), SCORES)
    (path.parent / "a.mp4").write_bytes(b"footage")
    listed = Listed(uri=str(path.parent / "a.mp4"), licence="CC0-1.0", language="de", attributes={"speaker": "Ada"})
    written = Written(path, make_source(seconds=sum(LENGTHS) / 25, listed=listed), pipeline)
    record = {"source": to_plain(written.source)}
    written.ledger.commit("ingest", ingest_key(listed, pipeline), record, {})
    written.scan((0, sum(LENGTHS)))
    starts = np.cumsum((0, *LENGTHS[:-1])).tolist()
    clips = [make_clip(written.segment, at, at + n) for at, n in zip(starts, LENGTHS, strict=True)]
    rows = [row for clip, px in zip(clips, FACES_PX, strict=True) for row in rows_of(clip, face_px=px)]
    written.measure(clips, rows)
    arrays = {f"{c.clip_id}.identity.mean_embedding": np.full(128, at, np.float32) for at, c in enumerate(clips)}
    key = measure_key(written.segment, pipeline)
    written.ledger.part("measure", key, "npz").write_bytes(npz(arrays))
    for clip, px in zip(clips, FACES_PX, strict=True):
        if px < 160 and not extra_encoded:
            continue
        members = media(clip.n_frames, seed=clip.n_frames)
        about = {m: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for m, d in members.items()}
        tape = tar_bytes([(f"{clip.clip_id}.{name}", data) for name, data in members.items()])
        written.ledger.commit("pack", pack_key(clip.clip_id, pipeline), {"members": about}, {"tar": tape})
    chain = written.chain(policy)
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    publish(path, chain, finished=True)
    (path / "run.toml").write_text(run_toml(str(path.parent / "a.mp4"), pipeline, policy), encoding="utf-8")
    return path
