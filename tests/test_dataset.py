"""Whose folder is it? run.toml, and when a run may write."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hand_made import PIPELINE, face_at_least, policy
from hypothesis import given, settings
from hypothesis import strategies as st

from vividhead.dataset import claim, note_run, pipeline_digest, read_run, run_toml
from vividhead.errors import DatasetError
from vividhead.pipeline import Measure, Pipeline, load_pipeline
from vividhead.policy import load_policy


def test_run_toml_says_what_made_the_dataset(tmp_path: Path) -> None:
    pipeline = load_pipeline()
    judged_by = load_policy("talking-head", pipeline.measure.scores)
    claim(tmp_path, "footage", pipeline, judged_by)
    run = read_run(tmp_path)
    assert run["input"]["where"] == "footage"
    assert run["pipeline"] == {
        "name": "talking-head", "digest": pipeline_digest(pipeline), "seed": 0, "text": pipeline.text,
    }  # fmt: skip
    assert run["filters"] == {"name": "talking-head", "digest": judged_by.digest, "text": judged_by.text}
    assert set(run["versions"]) >= {"vividhead", "schema", "python", "av", "mediapipe", "numpy"}
    assert set(run["machine"]) == {"system", "processor"}
    assert run["models"]["identity"] == "dlib: CC0-1.0 (commercial use allowed)"
    weighted = replace(pipeline, measure=Measure(scores=("framing", "lip_sync_syncnet")))
    models = tomllib.loads(run_toml("footage", weighted, judged_by))["models"]
    assert models["lip_sync_syncnet"] == "syncnet/syncnet_v2.model: not stated (commercial use not settled)"


@settings(max_examples=40)
@given(st.text("aü🎬\"'\\\n\t\x00\x1b\x7f\x85\u2028\ud83d\udce9$[]#=", max_size=12))
def test_any_path_can_be_written_down_and_read_back(where: str) -> None:
    text = run_toml(where, PIPELINE, policy())
    assert tomllib.loads(text)["input"]["where"] == where.encode(errors="backslashreplace").decode()


def test_the_same_run_may_go_on_also_with_other_filters_limits_and_odd_names(tmp_path: Path) -> None:
    claim(tmp_path, "caf\udce9 🎬", PIPELINE, policy())
    claim(tmp_path, "caf\udce9 🎬", PIPELINE, face_at_least(1))
    harmless = replace(PIPELINE, run=replace(PIPELINE.run, attempts=1), name="other", text="other")
    claim(tmp_path, "caf\udce9 🎬", harmless, policy())


def test_other_filters_are_noted_when_they_have_become_the_datasets_own(tmp_path: Path) -> None:
    claim(tmp_path, "footage", PIPELINE, policy())
    claim(tmp_path, "footage", PIPELINE, face_at_least(1))
    assert read_run(tmp_path)["filters"]["digest"] == policy().digest, "its tables may not be there yet"
    note_run(tmp_path, "footage", PIPELINE, face_at_least(1))
    assert read_run(tmp_path)["filters"]["digest"] == face_at_least(1).digest


@pytest.mark.parametrize("section", ["ingest", "segments", "scan", "track", "clips", "pack"])
def test_a_run_with_another_pipeline_is_refused_with_both_ways_out(tmp_path: Path, section: str) -> None:
    options = {
        "ingest": {"min_side_px": 100}, "segments": {"max_s": 300.0}, "scan": {"pad_s": 2.0},
        "track": {"max_faces": 1}, "clips": {"max_s": 30.0}, "pack": {"crf": 20},
    }[section]  # fmt: skip
    other = replace(PIPELINE, **{section: replace(getattr(PIPELINE, section), **options)})
    claim(tmp_path, "footage", PIPELINE, policy())
    with pytest.raises(DatasetError, match="holds a run of another pipeline.*To resume it.*else choose another --out"):
        claim(tmp_path, "footage", other, policy())
    assert read_run(tmp_path)["pipeline"]["digest"] == pipeline_digest(PIPELINE), "nothing was overwritten"


def test_another_seed_is_another_pipeline() -> None:
    assert pipeline_digest(Pipeline(seed=1)) != pipeline_digest(Pipeline(seed=2))


def test_a_run_over_other_footage_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, "footage", PIPELINE, policy())
    with pytest.raises(DatasetError, match="holds a run over 'footage', not 'elsewhere'.*To add footage"):
        claim(tmp_path, "elsewhere", PIPELINE, policy())


def test_a_folder_with_other_things_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".run.toml.77.part").touch()
    claim(tmp_path, "footage", PIPELINE, policy())
    (tmp_path / "run.toml").unlink()
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(DatasetError, match=r"not empty and no dataset \(it holds 'thesis.doc'\); choose another --out"):
        claim(tmp_path, "footage", PIPELINE, policy())


def test_what_is_no_dataset_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder; `vividhead curate FOLDER --out"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is no dataset: it has no readable run.toml"):
        read_run(tmp_path)
    for damage in (b"[input\n", b"\xff\xfe"):
        (tmp_path / "run.toml").write_bytes(damage)
        with pytest.raises(DatasetError, match="run.toml is damaged"):
            read_run(tmp_path)
