"""`vividhead curate` on real files: folders that must be refused, disks that fill, and what users read of it all."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Whole
from faults import driver
from faults.entries import Planned, write_plan
from faults.film import REFUSED, Film
from faults.full_disk import full_disk
from faults.trees import commits, copied, segment_of, tree, undo

from vividhead.audit.account import BUCKETS
from vividhead.cli import main
from vividhead.main_job import curate
from vividhead.manifest import MEMBERS, parquet, read
from vividhead.plain import utf8
from vividhead.view import open_dataset

LOCAL = ("--on", "local", "--quiet")


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What standard error says when the arguments are refused with exit code 3."""
    assert main([*map(str, arguments), *LOCAL]) == 3
    return capsys.readouterr().err


def test_a_folder_with_a_run_of_another_pipeline_is_refused_with_the_way_out(
    film: Film, whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (other := tmp_path / "other.toml").write_text("[clips]\nmin_s = 2.5\n")
    before = tree(whole.dataset)
    said = _refused(capsys, "curate", film.folder, "--out", whole.dataset, "--pipeline", other)
    assert "holds a run of another pipeline" in said
    assert "its text is in run.toml" in said and "choose another --out, or delete" in said
    assert tree(whole.dataset) == before


def test_a_folder_with_a_run_over_other_footage_is_refused_with_the_way_out(
    film: Film, whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(film.text, tmp_path / "notes.mp4")
    said = _refused(capsys, "curate", tmp_path, "--out", whole.dataset)
    assert "holds a run over" in said
    assert "To add footage" in said and "choose another --out, or delete" in said


def test_a_folder_of_strangers_files_is_refused_and_left_as_it_is(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (thesis := tmp_path / "thesis.tex").write_text("years of work")
    said = _refused(capsys, "curate", film.folder, "--out", tmp_path)
    assert "is not empty and no dataset (it holds 'thesis.tex'); choose another --out" in said
    assert thesis.read_text() == "years of work"
    assert not (tmp_path / "run.toml").exists()


@pytest.fixture
def writer(film: Film, whole: Whole, tmp_path: Path) -> Iterator[Path]:
    """A dataset that another process is busy writing."""
    dataset = copied(whole.dataset, tmp_path / "dataset")
    undo(dataset, "scan", segment_of(film.silent))
    plan = write_plan(tmp_path / "plan.json", [Planned("scan", film.silent, "endless")])
    process = driver.start(["curate", film.folder, "--out", dataset, *LOCAL], plan)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("plan.json.*")):
        assert process.poll() is None and time.monotonic() < until, "the writer does not write"
        time.sleep(0.05)
    yield dataset
    process.kill()
    driver.finish(process)


def test_of_two_runs_on_one_folder_the_second_is_refused(
    film: Film, writer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(writer)
    said = _refused(capsys, "curate", film.folder, "--out", writer)
    assert "is being written by process " in said and "wait for it, or choose another --out" in said
    assert tree(writer) == before


@pytest.fixture
def unpacked(film: Film, whole: Whole, tmp_path: Path) -> Path:
    """The film's dataset before its clip was encoded."""
    dataset = copied(whole.dataset, tmp_path / "dataset")
    undo(dataset, "pack")
    shutil.rmtree(dataset / "shards")
    (dataset / "manifest.parquet").unlink()
    return dataset


def test_a_limit_on_file_sizes_ends_the_run_with_its_own_code_and_lifting_it_resumes_it(
    film: Film, whole: Whole, unpacked: Path
) -> None:
    with full_disk(100_000):
        process = driver.start(["curate", film.folder, "--out", unpacked, *LOCAL])
    code, words = driver.finish(process)
    assert code == 5, words
    assert "clip.mp4: File too large" in words and "run the same command again" in words
    curate(film.folder, unpacked, on="local", workers=1)
    assert tree(unpacked) == whole.tree


IN_A_SMALL_FILE_SYSTEM = """
mount -t tmpfs -o size="$1" tmpfs "$3" && cp -r "$2/." "$3" || exit
shift 3
"$@"; echo "first exit code $?" >&2
mount -o remount,size=200m "$OUT" && "$@"; echo "second exit code $?" >&2
cp -r "$OUT/." "$COPY"
"""
"""Runs a command on a dataset in a file system with room for little, then again with more room."""


def test_a_disk_that_is_really_full_ends_the_run_with_its_own_code(
    film: Film, whole: Whole, unpacked: Path, tmp_path: Path
) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no program unshare here, so that no file system can be mounted")
    mounted, copy = tmp_path / "mounted", tmp_path / "copy"
    mounted.mkdir()
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in unpacked.rglob("*"))
    command = driver.command(["curate", film.folder, "--out", mounted, *LOCAL])
    answer = subprocess.run(
        [unshare, "-rm", "sh", "-c", IN_A_SMALL_FILE_SYSTEM, "sh", str(used + 100_000), unpacked, mounted, *command],
        env=driver.environment({"OUT": str(mounted), "COPY": str(copy)}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "first exit code" not in answer.stderr:
        pytest.skip("no file system can be mounted here")
    assert "the disk is full" in answer.stderr
    assert "first exit code 5" in answer.stderr and "second exit code 0" in answer.stderr
    assert tree(copy) == whole.tree


def test_an_output_that_is_a_file_is_refused(film: Film, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(capsys, "curate", film.folder, "--out", film.text)
    assert said.endswith("is a file, not a folder; choose another --out\n")


def test_status_accounts_for_every_second_of_the_footage(
    film: Film, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(whole.dataset), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["footage_s"] == pytest.approx(film.duration_s, abs=0.1)
    assert sum(found["seconds"].values()) == pytest.approx(found["footage_s"])
    assert found["seconds"].keys() == set(BUCKETS)
    assert sum(source["duration_s"] for source in found["sources"]) == pytest.approx(found["footage_s"])
    for bucket, codes in found["why"].items():
        assert sum(codes.values()) == pytest.approx(found["seconds"][bucket])
    for source in found["sources"]:
        assert source.keys() >= {"uri", "sha256", "duration_s", "outcome", "kept_s", "clips", "reasons"}
        for clip in source["clips"]:
            assert clip.keys() == {"clip_id", "start_s_in_source", "end_s_in_source", "kept", "reasons"}


def test_status_says_of_each_file_what_became_of_it(
    film: Film, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["status", str(whole.dataset), "--json"])
    sources = {source["uri"]: source for source in json.loads(capsys.readouterr().out)["sources"]}
    became = {name: sources[utf8(str(getattr(film, name)))]["outcome"] for name in
              ("kept", "small", "silent", "twin", "empty", "text")}  # fmt: skip
    assert became == {
        "kept": "kept", "small": "rejected", "silent": "rejected", "twin": "duplicate", "empty": "failed",
        "text": "failed",
    }  # fmt: skip
    kept = sources[str(film.kept)]
    assert kept["kept_s"] == pytest.approx(kept["duration_s"], abs=0.2)
    assert list(sources[str(film.small)]["clips"][0]["reasons"]) == [REFUSED]
    assert sources[str(film.silent)]["reasons"].keys() == {"no_speech"}


def test_status_of_no_dataset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 3
    assert "is no dataset" in capsys.readouterr().err


def test_running_again_changes_nothing(film: Film, whole: Whole, tmp_path: Path) -> None:
    dataset = copied(whole.dataset, tmp_path / "dataset")
    assert curate(film.folder, dataset, on="local", workers=1) == dataset
    assert (tree(dataset), commits(dataset)) == (whole.tree, commits(whole.dataset))


def test_decisions_that_older_measurements_gave_are_taken_away_and_that_is_told(
    film: Film, whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = copied(whole.dataset, tmp_path / "dataset")
    other = dataset / "decisions" / "0123456789abcdef"
    other.mkdir()
    again = ["curate", str(film.folder), "--out", str(dataset), "--on", "local", "--quiet"]
    assert main(again) == 0 and other.exists()
    framing = dataset / "measurements" / "framing" / "measurements.parquet"
    framing.write_bytes(parquet(read(framing).slice(1)))
    capsys.readouterr()
    assert main(again) == 0 and not other.exists()
    assert "decisions/0123456789abcdef were of older measurements" in capsys.readouterr().err
    assert tree(dataset) == whole.tree


def test_the_library_joins_every_candidate_with_scores_and_decision(film: Film, whole: Whole) -> None:
    clips = open_dataset(whole.dataset).clips().set_index("uri")
    assert set(clips.index) == {str(film.kept), str(film.small)}
    kept, small = clips.loc[str(film.kept)], clips.loc[str(film.small)]
    assert kept["kept"] and not kept["reasons"]
    assert not small["kept"] and small["reasons"][0] == REFUSED
    assert kept["lip_sync.status"] == "measured" and abs(kept["lip_sync.offset_ms"]) < 100
    assert small["lip_sync.status"] == "skipped"


def test_members_are_read_by_offset_and_match_their_digests(whole: Whole) -> None:
    dataset = open_dataset(whole.dataset)
    (row,) = dataset.table("manifest").to_pylist()
    members = dict(dataset.members(row["clip_id"]))
    assert members.keys() == set(MEMBERS)
    with tarfile.open(whole.dataset / "shards" / row["shard"]) as shard:
        for name, data in members.items():
            assert data == shard.extractfile(f"{row['clip_id']}.{name}").read()  # type: ignore[union-attr]


def test_a_kept_clips_pictures_sound_and_landmarks_are_of_one_length(whole: Whole) -> None:
    import av
    import numpy as np

    dataset = open_dataset(whole.dataset)
    (row,) = dataset.table("manifest").to_pylist()
    members = dict(dataset.members(row["clip_id"]))
    with av.open(io.BytesIO(members["mp4"]), "r") as film:
        frames = list(film.decode(video=0))
    with av.open(io.BytesIO(members["flac"]), "r") as sound:
        samples = sum(frame.samples for frame in sound.decode(audio=0))
    landmarks = np.load(io.BytesIO(members["landmarks.npz"]))["landmarks"]
    assert (frames[0].width, frames[0].height) == (512, 512)
    assert len(frames) == row["n_frames"] == len(landmarks)
    assert samples == 640 * row["n_frames"]
    assert json.loads(members["json"])["clip_id"] == row["clip_id"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves the shard open
def test_webdataset_reads_the_shards(whole: Whole) -> None:
    webdataset = pytest.importorskip("webdataset", reason="pip install 'vividhead[dev]'")
    (shard,) = (whole.dataset / "shards").glob("*.tar")
    (sample,) = webdataset.WebDataset(str(shard), shardshuffle=False)
    (clip_id,) = open_dataset(whole.dataset).table("manifest")["clip_id"].to_pylist()
    assert sample["__key__"] == clip_id
    assert {"mp4", "flac", "landmarks.npz", "json"} <= sample.keys()


def test_duckdb_answers_the_readmes_question(film: Film, whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb", reason="pip install 'vividhead[sql]'")
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (query,) = [block.split("```")[0] for block in readme.split("```sql\n")[1:]]
    monkeypatch.chdir(whole.dataset.parent)
    assert Path("dataset/manifest.parquet").is_file()
    ((uri, clips, offset_ms),) = duckdb.sql(query).fetchall()
    assert (uri, clips) == (str(film.kept), 1)
    assert abs(offset_ms) <= 100


def test_the_readmes_python_runs(film: Film, tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    (program,) = [block for block in blocks if "curate(" in block]
    (tmp_path / "footage").mkdir()
    shutil.copyfile(film.small, tmp_path / "footage" / "small.mp4")
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=driver.environment({}), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert REFUSED in answer.stdout
