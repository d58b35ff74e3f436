"""Where a run leaves things, what it was asked to do (run.toml), and whether a folder may be written to."""

import json
import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vividhead.errors import DatasetError
from vividhead.ledger import write_atomically
from vividhead.licences import models_of
from vividhead.pipeline import Pipeline, digest_of
from vividhead.plain import utf8
from vividhead.policy import Policy

SCHEMA_VERSION = 1
"""Of the tables and shards; raised when a reader of the older ones would misread."""

NOTED_PACKAGES = (
    "av",
    "dlib-bin",
    "mediapipe",
    "numpy",
    "onnxruntime",
    "opencv-contrib-python",
    "ray",
    "scenedetect",
    "scipy",
    "silero-vad",
    "torch",
)


def run_toml(where: str, pipeline: Pipeline, policy: Policy) -> str:
    """What this run is: inputs, versions, texts and digests of pipeline and filters, models' licences, the machine."""
    sections: dict[str, Mapping[str, str | int]] = {
        "input": {"where": where},
        "pipeline": {
            "name": pipeline.name, "digest": pipeline_digest(pipeline), "seed": pipeline.seed, "text": pipeline.text,
        },
        "filters": {"name": policy.name, "digest": policy.digest, "text": policy.text},
        "versions": {
            "vividhead": version("vividhead"), "schema": SCHEMA_VERSION, "python": platform.python_version(),
            **{name: version(name) for name in NOTED_PACKAGES},
        },
        "models": models_of(pipeline.measure.scores),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }  # fmt: skip
    lines = ["# What made this dataset. Written by vividhead; do not edit."]
    for name, values in sections.items():
        lines.append(f"\n[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _toml(value: str | int) -> str:
    """A basic string is JSON's, except that TOML knows no surrogate pairs and no bare DEL."""
    return json.dumps(utf8(value) if isinstance(value, str) else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def pipeline_digest(pipeline: Pipeline) -> str:
    """Of every option that a clip or a shard depends on; not of limits, resources and the scores taken.

    Scores may be added to a dataset: `more` units measure just them.
    """
    p = pipeline
    return digest_of(p.ingest, p.segments, p.scan, p.track, p.clips, p.pack, p.seed)


def read_run(dataset: Path) -> dict[str, Any]:
    """The folder's run.toml, or DatasetError saying what the folder is instead."""
    path = dataset / "run.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        what = "there is no such folder" if not dataset.is_dir() else f"it has no readable run.toml ({fault.strerror})"
        raise DatasetError(
            f"{dataset} is no dataset: {what}; `vividhead curate FOLDER --out {dataset}` makes one"
        ) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise DatasetError(f"{path} is damaged: {fault}") from fault


def check_schema(run: Mapping[str, Any], where: str) -> None:
    """Raise DatasetError for tables of another schema version, with what to do."""
    version = run.get("versions", {}).get("schema")
    if version == SCHEMA_VERSION:
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise DatasetError(
            f"{where} has tables of schema version {version}, and this vividhead knows {SCHEMA_VERSION}: update it"
        )
    raise DatasetError(
        f"{where} has tables of schema version {version}, older than {SCHEMA_VERSION}: write them anew with "
        f"`vividhead repair {where}`"
    )


def claim(dataset: Path, where: str, pipeline: Pipeline, policy: Policy) -> None:
    """Make the folder this run's, or check that it is: the same input and pipeline; new filters are welcome.

    Raises DatasetError for a folder of anything else. Call while holding the lock.
    """
    if (dataset / "run.toml").is_file():
        before = read_run(dataset)
        anew = f"choose another --out, or delete {dataset} to start anew"
        if before["pipeline"]["digest"] != pipeline_digest(pipeline):
            raise DatasetError(
                f"{dataset} holds a run of another pipeline ({before['pipeline']['name']}, digest "
                f"{before['pipeline']['digest']}; asked for {pipeline.name}, {pipeline_digest(pipeline)}). "
                f"To resume it give the pipeline it was begun with (its text is in run.toml); else {anew}"
            )
        if before["input"]["where"] != utf8(where):
            raise DatasetError(
                f"{dataset} holds a run over {before['input']['where']!r}, not {where!r}. To add footage, add files "
                f"there or lines to its source list and run the same command; else {anew}"
            )
    else:
        refuse_strangers(dataset)
        note_run(dataset, where, pipeline, policy)


def refuse_strangers(dataset: Path) -> None:
    """Raise DatasetError for a folder that holds things but no dataset. A file or no folder at all passes."""
    ours = (".lock", ".run.toml.")  # the latter half written by a run killed at its very start
    strangers = [p.name for p in dataset.iterdir() if not p.name.startswith(ours)] if dataset.is_dir() else []
    if strangers and not (dataset / "run.toml").is_file():
        raise DatasetError(f"{dataset} is not empty and no dataset (it holds {strangers[0]!r}); choose another --out")


def note_run(dataset: Path, where: str, pipeline: Pipeline, policy: Policy) -> None:
    """Write run.toml: when a folder is claimed, and again when other filters have become the dataset's own."""
    write_atomically(dataset / "run.toml", run_toml(where, pipeline, policy).encode())
