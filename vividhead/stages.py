"""Run one unit and commit it: the bridge between the chain and the rooms that do the work. Runs in a child process."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError, StorageError
from vividhead.ingest import examine
from vividhead.ledger import Ledger
from vividhead.measure import Measured, Work, measure_more, measure_segment
from vividhead.pack import encode_clips
from vividhead.plain import npz, to_plain
from vividhead.scan import scan
from vividhead.segment_state import SegmentState, load_segment
from vividhead.units import LOOKS, Job, Unit, ingest_key, is_encoded, pack_key

Beat = Callable[[], None]


def run_unit(unit: Unit, job: Job, beat: Beat) -> None:
    """Do the unit's work and commit it. `beat` is called again and again while there is progress.

    Raises MediaError for footage that cannot be used; any other exception is a fault that may pass when retried.
    """
    ledger = Ledger(Path(job.dataset))
    if job.here is not None and not Path(unit.listed.uri).is_absolute():
        _stand_in(job.here)
    if unit.stage == "ingest":
        source = examine(unit.listed, job.pipeline.ingest, beat)
        ledger.commit("ingest", unit.key, {"source": to_plain(replace(source, listed=unit.listed))}, {})
        return
    check_unchanged(unit, job)
    {"scan": _scan, "measure": _measure, "more": _more, "pack": _pack}[unit.stage](unit, job, ledger, beat)


def _stand_in(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as fault:
        raise StorageError(
            f"{folder}, where the run was begun, is not to be had on every node: give footage by absolute paths, on "
            "storage that all nodes share"
        ) from fault


def check_unchanged(unit: Unit, job: Job) -> None:
    """Raise MediaError unless the file is still there, with the size and time of change it was hashed with."""
    path = Path(unit.listed.uri)
    try:
        path.stat()
    except OSError as fault:
        raise MediaError("failed.vanished", f"the file went away during the run: {fault.strerror}") from fault
    if unit.stamp is not None and ingest_key(unit.listed, job.pipeline) != unit.stamp:
        raise MediaError("failed.changed", "the file is not the one that was hashed any more")


def _scan(unit: Unit, job: Job, ledger: Ledger, beat: Beat) -> None:
    assert unit.source is not None and unit.segment is not None
    found = scan(Path(unit.listed.uri), unit.source, unit.segment, job.pipeline, beat)
    check_unchanged(unit, job)
    ledger.commit("scan", unit.key, {"scan": to_plain(found)}, {})


def _work(unit: Unit, job: Job, state: SegmentState, beat: Beat) -> Work:
    assert unit.source is not None and unit.segment is not None and state.scan is not None
    return Work(Path(unit.listed.uri), unit.source, unit.segment, state.scan, job.pipeline, job.policy, beat)


def _state(unit: Unit, job: Job, ledger: Ledger) -> SegmentState:
    assert unit.source is not None and unit.segment is not None
    return load_segment(ledger, unit.segment, unit.source, job.pipeline)


def _measure(unit: Unit, job: Job, ledger: Ledger, beat: Beat) -> None:
    work = _work(unit, job, _state(unit, job, ledger), beat)
    measured = measure_segment(work)
    check_unchanged(unit, job)
    commit_measured(ledger, unit.key, measured, npz(work.arrays))


def commit_measured(ledger: Ledger, key: str, measured: Measured, arrays: bytes) -> None:
    """Make a `measure` unit done. Looks are a part of their own: half of it all, and only `more` reads them."""
    plain = to_plain(measured)
    looks = json.dumps(plain.pop("looks"), allow_nan=False).encode()
    ledger.commit("measure", key, {"measured": plain}, {"npz": arrays, LOOKS: looks})


def _more(unit: Unit, job: Job, ledger: Ledger, beat: Beat) -> None:
    state = _state(unit, job, ledger)
    assert state.measured is not None
    work = _work(unit, job, state, beat)
    rows = measure_more(work, state.measured, unit.clip_ids, state.rows)
    check_unchanged(unit, job)
    ledger.commit("more", unit.key, {"measurements": to_plain(rows)}, {"npz": npz(work.arrays)})


def _pack(unit: Unit, job: Job, ledger: Ledger, beat: Beat) -> None:
    """Encode the clips in one forward decode; each is a commit of its own, those already there are not redone."""
    state = _state(unit, job, ledger)
    assert unit.source is not None and state.measured is not None
    missing = [
        clip
        for clip in state.measured.clips
        if clip.clip_id in unit.clip_ids and not is_encoded(ledger, pack_key(clip.clip_id, job.pipeline))
    ]
    arrays = {clip.clip_id: clip_arrays(ledger, state, clip.clip_id) for clip in missing}
    for clip_id, fragment, record in encode_clips(
        Path(unit.listed.uri), unit.source, missing, arrays, job.pipeline, beat
    ):
        check_unchanged(unit, job)
        ledger.commit("pack", pack_key(clip_id, job.pipeline), record, {"tar": fragment})


def clip_arrays(ledger: Ledger, state: SegmentState, clip_id: str) -> dict[str, NDArray[np.generic]]:
    """All arrays kept of a clip: the mesh (the same in every commit), and each score's by its present version."""
    out: dict[str, NDArray[np.generic]] = {}
    for stage, key, known in state.array_parts:
        with np.load(ledger.part(stage, key, "npz"), allow_pickle=False) as stored:
            for full_name in stored.files:
                owner, _, name = full_name.partition(".")
                if owner == clip_id and (name == "landmarks" or (clip_id, name.split(".")[0]) in known):
                    out[name] = stored[full_name]
    return out
