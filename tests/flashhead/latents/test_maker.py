"""Making latents: the same bytes however often it is killed and by however many workers; damage becomes rows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.driver import environment
from faults.trees import tree
from safetensors.torch import load_file

from vividhead.cli import main
from vividhead.errors import DatasetError, UsageError
from vividhead.flashhead.config import FlashHeadConfig, as_toml
from vividhead.flashhead.latents.identity import check_codec, check_plan, codec_digest, found_cache, read_identity
from vividhead.flashhead.latents.maker import Made, Order, make_latents
from vividhead.flashhead.latents.plan import LatentPlan
from vividhead.flashhead.latents.unit import LatentJob, LatentUnit
from vividhead.flashhead.latents.unit import run_unit as real
from vividhead.flashhead.latents.work import groups
from vividhead.flashhead.model.codecs import random_codec
from vividhead.manifest import read
from vividhead.shards import index

TOO_SHORT, DOOMED = 1, "VIVIDHEAD_DOOMED_UNIT"
"""The first clip of `packed` is shorter than any window; the unit that `crashing` kills its process in."""


def order_of(dataset: Path, config: FlashHeadConfig, **options: Any) -> Order:
    return Order(dataset=str(dataset), config=config, **{"on": "local", "workers": 1, **options})


def rows_of(made: Made) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(made.cache / "latents.parquet").to_pylist()
    return rows


def test_every_kept_clip_has_a_row_and_each_that_is_long_enough_its_member(
    whole: Made, config: FlashHeadConfig
) -> None:
    manifest = read(whole.cache.parents[1] / "manifest.parquet").to_pylist()
    plan, rows = LatentPlan.of(config), rows_of(whole)
    found = index(whole.cache.glob("shards/*.tar"))
    assert [row["clip_id"] for row in rows] == [row["clip_id"] for row in manifest]
    assert [row["n_frames"] for row in rows] == [row["n_frames"] for row in manifest]
    assert sorted(row["status"] for row in rows) == ["cached"] * 6 + ["too_short"] * TOO_SHORT
    for row in rows:
        if row["status"] == "too_short":
            continue
        place = found[f"{row['clip_id']}.safetensors"]
        assert (place.offset, place.size, place.shard.name) == (
            row["member_offset"], row["member_bytes"], row["latents_shard"],
        )  # fmt: skip
        assert row["n_windows"] == len(plan.starts(row["n_frames"])) == len(row["window_crc32"])
        assert row["n_stills"] == len(plan.stills(row["n_frames"])) == len(row["still_crc32"])
    assert len({row["latents_shard"] for row in rows} - {None}) > 2, "several units"
    assert (whole.clips, whole.windows) == (6, sum(row["n_windows"] or 0 for row in rows))


def test_a_member_is_a_safetensors_file_that_anyone_can_read(
    whole: Made, config: FlashHeadConfig, tmp_path: Path
) -> None:
    row = next(row for row in rows_of(whole) if row["status"] == "cached")
    place = index(whole.cache.glob("shards/*.tar"))[f"{row['clip_id']}.safetensors"]
    (tmp_path / "member").write_bytes(place.read())
    tensors, plan = load_file(tmp_path / "member"), LatentPlan.of(config)
    assert tensors["latents"].shape == (row["n_windows"], *plan.window_shape)
    assert tensors["stills"].shape == (row["n_stills"], *plan.still_shape)
    assert tensors["masks"].shape == (row["n_windows"], *plan.window_shape[1:])
    assert {t.dtype for t in tensors.values()} == {torch.float16, torch.uint8}
    assert tensors["latents"].float().std() > 0.1


@pytest.mark.usefixtures("small_groups")
def test_two_workers_make_the_bytes_of_one_and_a_second_run_changes_nothing(
    whole: Made, packed: Path, config: FlashHeadConfig, tmp_path: Path
) -> None:
    dataset = shutil.copytree(packed, tmp_path / "dataset")
    make_latents(order_of(dataset, config, workers=2))
    assert tree(dataset / "latents") == tree(whole.cache.parent)
    written = {path: path.stat().st_mtime_ns for path in dataset.glob("latents/*/shards/*")}
    again = make_latents(order_of(dataset, config))
    assert {path: path.stat().st_mtime_ns for path in dataset.glob("latents/*/shards/*")} == written
    assert tree(dataset / "latents") == tree(whole.cache.parent)
    assert again.windows == whole.windows


def test_runs_that_are_killed_at_any_time_end_in_the_same_bytes(
    whole: Made, packed: Path, config: FlashHeadConfig, tmp_path: Path
) -> None:
    dataset = shutil.copytree(packed, tmp_path / "dataset")
    toml = tmp_path / "tiny.toml"
    toml.write_text(as_toml(config), encoding="utf-8")
    script = (
        "import sys; from vividhead import cli; from vividhead.flashhead.latents import work; work.GROUP_S = 4.0; "
        f"sys.exit(cli.main(['latents', {str(dataset)!r}, '--model', {str(toml)!r}, '--on', 'local', '--quiet']))"
    )
    command = [sys.executable, "-c", script]
    for commits in (0, 1, 3):  # killed when so many groups are done, and another is at work
        process = subprocess.Popen(command, env=environment({}), start_new_session=True)
        while len(list(dataset.glob("latents/tiny-*/ledger/latents/*.json"))) < commits or not list(
            dataset.glob("latents/tiny-*/shards/.*.part")
        ):
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not list(dataset.glob("latents/tiny-*/latents.parquet"))
    subprocess.run(command, env=environment({}), check=True)
    assert tree(dataset / "latents") == tree(whole.cache.parent)


@pytest.mark.slow
@pytest.mark.usefixtures("small_groups")
def test_ray_makes_the_bytes_of_the_local_runner(
    whole: Made, packed: Path, config: FlashHeadConfig, tmp_path: Path
) -> None:
    dataset = shutil.copytree(packed, tmp_path / "dataset")
    make_latents(order_of(dataset, config, on="ray", workers=2))
    assert tree(dataset / "latents") == tree(whole.cache.parent)


@pytest.mark.parametrize("member", ["mp4", "landmarks.npz"])
@pytest.mark.usefixtures("small_groups")
def test_a_damaged_member_becomes_a_row_with_the_reason_and_is_made_when_it_is_mended(
    whole: Made, packed: Path, config: FlashHeadConfig, tmp_path: Path, member: str
) -> None:
    dataset = shutil.copytree(packed, tmp_path / "dataset")
    shutil.copytree(
        next(whole.cache.parent.glob("codec-*")), dataset / "latents" / next(whole.cache.parent.glob("codec-*")).name
    )
    bad = max(read(dataset / "manifest.parquet").to_pylist(), key=lambda row: row["n_frames"])
    shard = dataset / "shards" / bad["shard"]
    sound = shard.read_bytes()
    spoilt = bytearray(sound)
    spoilt[bad[f"{member}_offset"] + bad[f"{member}_bytes"] // 2] ^= 1
    shard.write_bytes(spoilt)
    made = make_latents(order_of(dataset, config))
    (row,) = [row for row in rows_of(made) if row["status"] == "failed"]
    assert (row["clip_id"], row["code"], made.clips) == (bad["clip_id"], "member.digest", 5)
    assert made.failed == (f"{bad['clip_id']}: member.digest: {row['detail']}",)
    shard.write_bytes(sound)
    assert make_latents(order_of(dataset, config)).failed == made.failed, "not tried again unasked"
    assert not make_latents(order_of(dataset, config, retry_failed=True)).failed
    assert tree(dataset / "latents") == tree(whole.cache.parent)


def crashing(unit: LatentUnit, job: LatentJob, beat: Any) -> None:
    """Runs units in place of the real one, and kills the process in one."""
    if unit.key == os.environ[DOOMED]:
        os.abort()
    real(unit, job, beat)


@pytest.mark.usefixtures("small_groups")
def test_a_group_that_kills_its_process_is_set_aside_and_the_others_are_made(
    packed: Path, config: FlashHeadConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = shutil.copytree(packed, tmp_path / "dataset")
    doomed = groups(read(dataset / "manifest.parquet"))[1]
    monkeypatch.setenv(DOOMED, doomed.key)
    monkeypatch.setenv("PYTHONPATH", environment({})["PYTHONPATH"])
    made = make_latents(order_of(dataset, config, entry="tests.flashhead.latents.test_maker:crashing"))
    failed = [row for row in rows_of(made) if row["status"] == "failed"]
    assert {row["clip_id"] for row in failed} == {row["clip_id"] for row in doomed.rows}
    assert {row["code"] for row in failed} == {"failed.crash"}
    assert made.clips + len(failed) + TOO_SHORT >= 7


def test_a_shard_that_was_lost_is_made_again(dataset: Path, whole: Made, config: FlashHeadConfig) -> None:
    from vividhead.flashhead.latents import work

    lost = sorted(dataset.glob("latents/tiny-*/shards/*.tar"))[-1]
    lost.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "GROUP_S", 4.0)
        make_latents(order_of(dataset, config))
    assert tree(dataset / "latents") == tree(whole.cache.parent)


def test_other_codecs_strides_and_shards_make_other_caches(dataset: Path, config: FlashHeadConfig) -> None:
    random = make_latents(order_of(dataset, config, random_weights=True, stride_frames=24))
    assert random.cache.name.startswith("tiny-") and len(random.stale) == 1
    identity = read_identity(random.cache)
    assert identity.codec_sha256 == codec_digest(random_codec(config, 0))
    assert identity.plan.grid_frames == 24
    fitted = read_identity(random.cache.with_name(random.stale[0]))
    assert fitted.codec_sha256 != identity.codec_sha256
    with pytest.raises(DatasetError, match=r"made by another linear codec \(sha256 .* than this run's"):
        check_codec(fitted, random_codec(config, 0), random.cache, "…")
    wider = replace(config, stream=replace(config.stream, side_px=64))
    with pytest.raises(
        DatasetError, match="does not fit tiny: side_px 32, not 64; latent_side 2, not 4. Make one with"
    ):
        check_plan(fitted, wider, random.cache, "…")


def test_where_no_cache_is_the_command_that_makes_one_is_named(
    packed: Path, dataset: Path, config: FlashHeadConfig
) -> None:
    with pytest.raises(
        DatasetError, match="no latents of tiny .* none are cached: run vividhead latents .* --model tiny"
    ):
        found_cache(packed, config)
    assert found_cache(dataset, config).parent == dataset / "latents"


@pytest.mark.usefixtures("small_groups")
def test_the_command_line_says_what_was_made(
    dataset: Path, whole: Made, config: FlashHeadConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "tiny.toml"
    toml.write_text(as_toml(config), encoding="utf-8")
    asked = ["latents", str(dataset), "--model", str(toml), "--on", "local", "--quiet"]
    assert main(asked) == 0
    cache = dataset / "latents" / whole.cache.name
    assert f"{cache}: {whole.windows} windows of 6 clips" in (said := capsys.readouterr().out)
    assert f"--latents {cache}" in said
    assert main([*asked, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["cache"], figures["windows"], figures["failed"]) == (str(cache), whole.windows, [])
    assert main([*asked, "--random-weights", "--weights", str(tmp_path)]) == 2
    assert "--weights and --random-weights: leave one of the two out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"on": "moon"}, "cannot run on 'moon'; there are ray, local"),
        ({"workers": 0}, "workers 0: at least 1"),
        ({"gpus_per_worker": 0.0}, "--gpus-per-worker 0: more than 0"),
        ({"address": "auto"}, "an address is a cluster's"),
        ({"stride_frames": 7}, "--stride-frames 7: .* must be one of 1, 2, 3"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    packed: Path, config: FlashHeadConfig, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make_latents(order_of(packed, config, **change))
    assert not (packed / "latents").exists()
