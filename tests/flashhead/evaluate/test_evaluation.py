"""Whole evaluations: drawn heads whose truth is known, and a tiny model through the streaming engine."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.flashhead.stubs import tiny_config
from tests.packed import SIDE, packed_dataset
from vividhead.backends.syncnet import SyncNet
from vividhead.cli import main
from vividhead.errors import MediaError, UsageError, VividHeadError
from vividhead.flashhead.config import as_toml, load_config
from vividhead.flashhead.evaluate.evaluation import JSON, PAGE, Order, as_json, evaluate
from vividhead.flashhead.evaluate.held_out_talks import ClipFolder, held_out_clips
from vividhead.flashhead.evaluate.records import Report
from vividhead.flashhead.model.checkpoint import export_dit
from vividhead.flashhead.model.codecs import LinearCodec, random_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise
from vividhead.plain import from_plain
from vividhead.testing.cast import SENTENCES
from vividhead.testing.containers import write_video
from vividhead.testing.speech import speak
from vividhead.testing.talking_head import Actor, talking_head

SECONDS = 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One head, once with its own voice, once with another sentence; and its first picture, standing still."""
    folder = tmp_path_factory.mktemp("videos")
    own, other = (speak(SENTENCES[k], rate_hz=16_000) for k in (0, 1))
    take = talking_head(Actor(speech=own, face_px=110.0), duration_s=SECONDS, size_px=(240, 240))
    frames = list(take.frames())
    sounds = {"own": take.audio_S, "dubbed": other.samples_S[: len(take.audio_S)], "still": take.audio_S}
    for name, audio_S in sounds.items():
        shown = [frames[0]] * len(frames) if name == "still" else frames
        write_video(folder / f"{name}.mp4", shown, audio=audio_S, audio_rate_hz=16_000)
    return {name: folder / f"{name}.mp4" for name in sounds}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nano's kind of model, as small as it gets, untrained, with an engine's worth of everything."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny = tiny_config(side_px=SIDE)
    settings = folder / "tiny.toml"
    settings.write_text(as_toml(replace(tiny, dit=replace(tiny.dit, latent_channels=8))), encoding="utf-8")
    config = load_config(str(settings))
    codec = random_codec(config, 0)
    assert isinstance(codec, LinearCodec)
    codec.save(folder)
    export_dit(initialise(Dit(config), 0), folder)
    return folder


def test_a_head_follows_its_own_voice_and_neither_noise_nor_another_sentence(
    videos: dict[str, Path], dataset: Path
) -> None:
    own, dubbed = (evaluate(Order(subject=videos[name], dataset=str(dataset))).grades[0] for name in ("own", "dubbed"))
    r, strange = own.own.opening.best_r.value, dubbed.own.opening.best_r.value
    assert r is not None
    assert strange is not None
    assert r > 0.5
    assert r > strange + 0.3
    assert all(heard.opening.best_r.value is not None for heard in own.others)
    assert all(heard.opening.best_r.value < r - 0.3 for heard in own.others if heard.opening.best_r.value is not None)
    assert own.own.lip_sync_confidence.value is not None
    assert dubbed.own.lip_sync_confidence.value is not None
    assert own.own.lip_sync_confidence.value > 0.9 > dubbed.own.lip_sync_confidence.value
    assert own.boundaries.jump_db.code == "no_chunks"
    assert own.identity.lowest.value is not None
    assert own.identity.lowest.value > 0.6


def test_a_still_picture_follows_nothing(videos: dict[str, Path], dataset: Path) -> None:
    grade = evaluate(Order(subject=videos["still"], dataset=str(dataset))).grades[0]
    assert grade.mesh_coverage == 1
    assert (grade.own.opening.best_r.value, grade.own.opening.best_r.code) == (None, "mouth_still")
    assert grade.identity.lowest.value == pytest.approx(1, abs=0.1)


def test_a_checkpoint_speaks_held_out_sound_and_what_shows_no_face_has_no_numbers(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    order = Order(subject=checkpoint, dataset=str(dataset), minutes=0.05, out=tmp_path / "out", device="cpu")
    report = evaluate(order)
    (grade,) = report.grades
    assert report.subject.clips_held_out is True
    held = held_out_clips(str(dataset), load_config("nano"))
    assert (grade.portrait, list(grade.spoken)) == (held[0], held)
    assert set(held).isdisjoint(name for heard in grade.others for name in heard.sound.split())
    assert grade.duration_s == 3
    assert grade.boundaries.n_boundaries == 3
    assert grade.boundaries.across_db.value is not None
    assert grade.mesh_coverage == 0
    assert grade.own.lip_sync_confidence.code == "face_mesh_lost"
    assert {grade.identity.end.value, grade.sharpness.end.value, grade.own.opening.best_r.value} == {None}
    assert (tmp_path / "out" / grade.talk).is_file()
    assert grade.talk in (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    written = json.loads((tmp_path / "out" / JSON).read_text(encoding="utf-8"))
    assert from_plain(Report, written) == report
    assert as_json(evaluate(order)) == as_json(report)


def test_pauses_part_the_clips_that_are_spoken_and_the_sound_is_as_long_as_asked(dataset: Path) -> None:
    clips = ClipFolder(str(dataset))
    name = clips.clip_ids[0]
    one_S = clips.sound_S(name)
    said_S = np.concatenate(list(clips.in_turns([name], 2 * len(one_S) + 40_000)))
    assert len(said_S) == 2 * len(one_S) + 40_000
    assert np.array_equal(said_S[: len(one_S)], one_S)
    assert not said_S[len(one_S) : len(one_S) + 32_000].any()
    assert np.array_equal(said_S[len(one_S) + 32_000 :][: len(one_S)], one_S)


def test_what_cannot_be_evaluated_is_refused_with_the_reason(
    videos: dict[str, Path], dataset: Path, tmp_path: Path
) -> None:
    order = Order(subject=videos["own"], dataset=str(dataset))
    with pytest.raises(UsageError, match="0 minutes: 0.05 … 60"):
        evaluate(replace(order, minutes=0))
    with pytest.raises(UsageError, match="at least 1"):
        evaluate(replace(order, portraits=0))
    with pytest.raises(UsageError, match=r"nowhere.mp4: there is no such"):
        evaluate(replace(order, subject=tmp_path / "nowhere.mp4"))
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(MediaError, match="text.mp4"):
        evaluate(replace(order, subject=tmp_path / "text.mp4"))
    with pytest.raises(UsageError, match="no clip with another sound"):
        ClipFolder(str(dataset)).other_sounds(ClipFolder(str(dataset)).clip_ids, 100)


def random_syncnet(path: Path) -> None:
    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), path)


def test_lips_are_read_where_syncnets_weights_are_given_and_what_lacks_a_file_names_it(
    videos: dict[str, Path], dataset: Path, tmp_path: Path
) -> None:
    random_syncnet(tmp_path / "syncnet_v2.model")
    order = Order(subject=videos["own"], dataset=str(dataset), minutes=0.05, metric_weights=tmp_path)
    report = evaluate(order)
    for heard in (report.grades[0].own, *report.grades[0].others):
        error = heard.lip_sync_error
        assert error.lse_c.value is not None
        assert error.lse_d.value is not None
        assert error.lse_c.value >= 0
        assert 0 < error.lse_d.value < 1000
        assert error.offset_frames.value in range(-15, 16)
    assert (report.fid.code, report.fvd.code) == ("no_weights", "no_weights")
    assert "pt_inception-2015-12-05-6726825d.pth" in report.fid.detail
    assert "rgb_imagenet.pt" in report.fvd.detail
    assert from_plain(Report, json.loads(as_json(report))) == report
    without = evaluate(replace(order, metric_weights=None))
    assert "--metric-weights" in without.grades[0].own.lip_sync_error.lse_d.detail


def test_a_metrics_file_that_is_another_or_a_folder_that_is_not_there_is_refused(
    videos: dict[str, Path], dataset: Path, tmp_path: Path
) -> None:
    order = Order(subject=videos["own"], dataset=str(dataset), metric_weights=tmp_path)
    random_syncnet(tmp_path / "rgb_imagenet.pt")
    with pytest.raises(VividHeadError, match=r"rgb_imagenet.pt lacks Conv3d_1a_7x7.bn.bias, .* not the weights of I3d"):
        evaluate(order)
    with pytest.raises(UsageError, match="nowhere: there is no such folder"):
        evaluate(replace(order, metric_weights=tmp_path / "nowhere"))


def test_the_command_line_prints_the_report(
    videos: dict[str, Path], dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(videos["own"]), "--data", str(dataset), "--minutes", "0.05", "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["subject"]["kind"] == "video"
    assert printed["subject"]["synthetic"] is False
    assert printed["grades"][0]["duration_s"] == 3
