"""`evaluate`: a checkpoint or a video, and the dataset whose clips it is held against, to a report."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.flashhead.evaluate.boundaries import no_boundaries
from vividhead.flashhead.evaluate.grade import graded
from vividhead.flashhead.evaluate.held_out_talks import ClipFolder, generate, held_out_clips
from vividhead.flashhead.evaluate.others_metrics import STRETCH_FRAMES, Networks, in_stretches, networks_in
from vividhead.flashhead.evaluate.page import page_of
from vividhead.flashhead.evaluate.records import Grade, Reading, Report, Subject, unmeasurable
from vividhead.flashhead.evaluate.watch import Watched, watch
from vividhead.flashhead.generate.talk_file import read_provenance
from vividhead.flashhead.model.flashhead import load_flashhead, usable_device
from vividhead.ledger import storage_error, write_atomically
from vividhead.media import pictures
from vividhead.media.window import clip_rgb
from vividhead.pipeline import DEFAULT_PIPELINE, load_pipeline
from vividhead.plain import to_plain
from vividhead.records import SAMPLES_PER_FRAME

LEAST_MINUTES, MOST_MINUTES = 0.05, 60.0
Talk = tuple[Grade, Watched, Path]
"""With what was seen of it, and where it lies."""
JSON, PAGE = "evaluation.json", "evaluation.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be evaluated, and how."""

    subject: Path
    """A checkpoint folder, or a video."""
    dataset: str
    """Folder or address of a dataset."""
    minutes: float = 1.0
    """Length of each talk; of a video the first so many."""
    portraits: int = 2
    """Held-out portraits that speak, if as many clips are held out."""
    out: Path | None = None
    """Folder for the report, its page and the talks; made if need be."""
    model: str | None = None
    """Which model, where the checkpoint folder holds several."""
    device: str | None = None
    seed: int = 0
    teacher: bool = False
    """See `Engine`."""
    metric_weights: Path | None = None
    """Folder with weights of SyncNet, Inception or I3D; see `others_metrics.FILES`."""


def evaluate(order: Order, told: Callable[[str], None] = lambda text: None) -> Report:
    """Grade it, and write the report where a folder is given. Raises VividHeadError where it cannot be done."""
    if not LEAST_MINUTES <= order.minutes <= MOST_MINUTES:
        raise UsageError(f"{order.minutes:g} minutes: {LEAST_MINUTES:g} … {MOST_MINUTES:g} are possible")
    if order.portraits < 1:
        raise UsageError(f"{order.portraits} portraits: at least 1")
    if not order.subject.exists():
        raise UsageError(f"{order.subject}: there is no such checkpoint folder or video")
    clips = ClipFolder(order.dataset)
    networks = networks_in(order.metric_weights, usable_device(order.device))
    with _workplace(order.out) as folder:
        if order.subject.is_dir():
            subject, talks, real = _of_checkpoint(order, clips, networks, folder, told)
        else:
            subject, talks, real = _of_video(order, clips, networks, told)
        fid, fvd = _distances(subject, talks, clips, real, networks, told)
        report = Report(
            vividhead=version("vividhead"), subject=subject, dataset=order.dataset, minutes=order.minutes,
            seed=order.seed, grades=tuple(grade for grade, _, _ in talks), fid=fid, fvd=fvd,
        )  # fmt: skip
        if order.out is not None:
            write_atomically(folder / JSON, as_json(report).encode())
            write_atomically(folder / PAGE, page_of(report, [watched.sheet for _, watched, _ in talks]).encode())
    return report


def as_json(report: Report) -> str:
    """The report as indented JSON text."""
    return json.dumps(to_plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _of_checkpoint(
    order: Order, clips: ClipFolder, networks: Networks, folder: Path, told: Callable[[str], None]
) -> tuple[Subject, list[Talk], list[str]]:
    """The clips at the end are those that were held out."""
    model = load_flashhead(order.subject, order.model, order.device)
    held = held_out_clips(order.dataset, model.config)
    n_talks = min(order.portraits, len(held))
    talks: list[Talk] = []
    for which in range(n_talks):
        talk = f"talk {which + 1} of {n_talks}"
        made = generate(
            model, clips, held, which, order.minutes, folder / f"talk-{which}.mp4", seed=order.seed,
            teacher=order.teacher, told=_counting(told, talk),
        )  # fmt: skip
        told(f"{talk}: measured")
        watched = watch(made.path, order.minutes, networks.lip_reader())
        others = clips.other_sounds(held, watched.n_frames * SAMPLES_PER_FRAME)
        grade = graded(watched, others, made.path.name, made.boundaries, networks, made.portrait, made.spoken)
        talks.append((grade, watched, made.path))
    subject = Subject(
        kind="checkpoint", path=str(order.subject), model=model.config.name, synthetic=True,
        checkpoint_sha256=model.checkpoint_sha256, clips_held_out=model.config.data.held_out > 0,
    )  # fmt: skip
    return subject, talks, held


def _counting(told: Callable[[str], None], talk: str) -> Callable[[int, int], None]:
    return lambda done, of: told(f"{talk}: {done} of {of} pictures")


def _of_video(
    order: Order, clips: ClipFolder, networks: Networks, told: Callable[[str], None]
) -> tuple[Subject, list[Talk], list[str]]:
    """The clips at the end are those of other footage."""
    told("measured")
    watched = watch(order.subject, order.minutes, networks.lip_reader())
    its_own = [clip for clip, source in clips.source_of.items() if source == watched.source.source_id]
    others = clips.other_sounds(its_own, watched.n_frames * SAMPLES_PER_FRAME)
    made_by = read_provenance(order.subject)
    subject = Subject(
        kind="video", path=str(order.subject), synthetic=made_by is not None,
        model=made_by.model if made_by else None, checkpoint_sha256=made_by.checkpoint_sha256 if made_by else None,
    )  # fmt: skip
    grade = graded(watched, others, order.subject.name, no_boundaries(), networks)
    real = [clip for clip in clips.clip_ids if clip not in set(its_own)]
    return subject, [(grade, watched, order.subject)], real


def _distances(
    subject: Subject, talks: list[Talk], clips: ClipFolder, real: list[str], networks: Networks,
    told: Callable[[str], None],
) -> tuple[Reading, Reading]:  # fmt: skip
    """FID and FVD of the talks' pictures, as written and read back, against these clips'."""
    if not subject.synthetic:
        lacking = networks.lacking
        other = unmeasurable("not_generated", "a recording is framed otherwise than clips are: FID would measure that")
        return lacking.get("FID", other), lacking.get("FVD", other)
    told("held against the clips' pictures")
    side = min(clips.side_px, *(min(w.source.width_px or 0, w.source.height_px or 0) for _, w, _ in talks))

    def made_stretches() -> Iterator[NDArray[np.uint8]]:
        for _, watched, path in talks:
            yield from in_stretches(_pictures(path, watched, side))

    return networks.distances(
        [watched.n_frames for _, watched, _ in talks], made_stretches,
        [clips.n_frames(clip) for clip in real], lambda: clips.stretches(real, side, STRETCH_FRAMES),
    )  # fmt: skip


def _pictures(path: Path, watched: Watched, side_px: int) -> Iterator[NDArray[np.uint8]]:
    max_gap_s = load_pipeline(DEFAULT_PIPELINE).track.max_picture_gap_s
    for grid in pictures(path, watched.source, 0, watched.n_frames, max_gap_s):
        if grid.picture is not None:
            yield clip_rgb(grid.picture, side_px)


@contextmanager
def _workplace(out: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that is gone afterwards."""
    if out is None:
        with TemporaryDirectory(prefix="vividhead-evaluate-") as folder:
            yield Path(folder)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(fault, out) from fault
    yield out
