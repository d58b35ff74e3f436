"""A portrait and a recording in, a film out: `vividhead generate`, with a model that nobody trained."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media.truth import beep, onsets_s
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from vividhead.cli import flashhead, main
from vividhead.flashhead.claims import read_manifest
from vividhead.flashhead.generate.talk_file import read_provenance
from vividhead.media import all_sound
from vividhead.testing import write_video

SPOKEN_S = 1.21
"""A chunk of 24 pictures, and 6.25 more."""


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    sound: NDArray[np.float32] = beep(SPOKEN_S, 0.4, 44_100)
    return write_video(tmp_path / "speech.wav", None, audio=sound, audio_rate_hz=44_100)


def test_nano_makes_a_film_that_plays_with_the_sound_in_its_place(
    portrait: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "talk.mp4"
    asked = ["generate", "--random-weights", "--seed", "7", "--portrait", str(portrait), "--audio", str(speech)]
    assert main([*asked, "--device", "cpu", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "RANDOM WEIGHTS: nobody trained this model" in told.err
    assert f"{out}: 31 pictures, 1.24 s" in told.out
    with av.open(str(out)) as container:
        film, voice = container.streams.video[0], container.streams.audio[0]
        assert film.duration * film.time_base == voice.duration * voice.time_base == Fraction(31, 25)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(film)]
    assert len(pictures) == 31
    assert {picture.shape for picture in pictures} == {(128, 128, 3)}
    assert onsets_s(np.concatenate(list(all_sound(out)))) == [pytest.approx(0.4, abs=0.01)]
    made, signed = read_provenance(out), read_manifest(out)
    assert made is not None
    assert signed.state == "holds" and signed.claims["portrait_sha256"] == made.portrait_sha256
    assert made.portrait_sha256 == hashlib.sha256(portrait.read_bytes()).hexdigest()
    assert (made.model, made.seed, made.random_weights, made.checkpoint_sha256) == ("nano", 7, True, None)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--portrait", "gone.png", "--portrait gone.png: there is no such file"),
        ("--audio", "gone.wav", "--audio gone.wav: there is no such file"),
        ("--out", "talk.webm", "a talk is an mp4; name it talk.mp4"),
        ("--out", "gone/talk.mp4", "there is no folder"),
    ],
)
def test_a_mistyped_path_is_told_before_a_model_is_read(
    option: str,
    value: str,
    says: str,
    portrait: Path,
    speech: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(portrait.parent)
    monkeypatch.setattr(flashhead, "chosen_model", lambda _: pytest.fail("a model was read"))
    right = {"--portrait": portrait.name, "--audio": speech.name, "--out": "talk.mp4"} | {option: value}
    assert main(["generate", "--random-weights", *(word for pair in right.items() for word in pair)]) == 2
    assert says in capsys.readouterr().err
    assert sorted(path.name for path in portrait.parent.iterdir()) == ["face.png", "speech.wav"]


def test_a_picture_without_a_face_leaves_no_film(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sky.png"
    Image.fromarray(np.full((256, 256, 3), 200, np.uint8)).save(path)
    asked = ["generate", "--random-weights", "--device", "cpu", "--portrait", str(path), "--audio", str(speech)]
    assert main([*asked, "--out", str(tmp_path / "talk.mp4")]) == 4
    assert "no face is seen in it" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sky.png", "speech.wav"]


def test_a_model_is_either_trained_or_random(portrait: Path, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "generate",
        "--portrait",
        str(portrait),
        "--audio",
        str(speech),
        "--out",
        str(portrait.with_suffix(".mp4")),
    ]
    assert main(asked) == 2
    assert main([*asked, "--random-weights", "--checkpoint", str(portrait.parent)]) == 2
    assert capsys.readouterr().err.count("--checkpoint DIR, or try the shapes with --random-weights") == 2
