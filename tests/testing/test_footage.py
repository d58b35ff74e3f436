"""The demo's files: their truth is stated, the same seed gives the same bytes, the broken ones are broken."""

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from vividhead.errors import UsageError
from vividhead.testing import demo_sources, make_demo_footage
from vividhead.testing.footage import SHIFT_FRAMES

QUICK = ["no_face.mp4", "cut_off.mp4", "notes.mp4"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that take least time to make."""
    folder = tmp_path_factory.mktemp("footage")
    make_demo_footage(folder, only=QUICK)
    return folder


def test_every_source_states_its_truth() -> None:
    sources = demo_sources(Path("footage"))
    assert len({source.path.name for source in sources}) == len(sources)
    for source in sources:
        assert source.story
        assert bool(source.because) == (source.expect != "kept"), source.path.name
        assert source.path.name.startswith("kept_") == (source.expect in ("kept", "duplicate"))
    assert {source.offset_frames for source in sources} == {0, SHIFT_FRAMES}


def test_there_is_one_source_for_each_reason_and_about_two_minutes_in_all() -> None:
    sources = demo_sources(Path("footage"))
    assert 110 <= sum(source.duration_s for source in sources) <= 130
    assert 4 <= sum(source.expect == "kept" for source in sources) <= 5
    reasons = {reason for source in sources for reason in source.because}
    assert reasons == {
        "lip_sync.offset_ms", "lip_sync.", "sharpness.", "framing.", "other_faces.", "too_short", "no_speech",
        "no_face", "failed.unreadable", "duplicate.",
    }  # fmt: skip


def test_files_are_as_long_as_stated(quick: Path) -> None:
    with av.open(str(quick / "no_face.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(6, abs=0.1)


def test_broken_files_cannot_be_opened(quick: Path) -> None:
    for name in ("cut_off.mp4", "notes.mp4"):
        with pytest.raises(av.error.InvalidDataError):
            av.open(str(quick / name))


def test_the_same_seed_gives_the_same_bytes_in_any_process_and_another_one_others(quick: Path, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return hashlib.sha256((folder / "cut_off.mp4").read_bytes()).hexdigest()

    make_demo_footage(tmp_path / "same", only=["cut_off.mp4", "notes.mp4"], workers=2)
    make_demo_footage(tmp_path / "other", 1, only=["cut_off.mp4"])
    assert digest(tmp_path / "same") == digest(quick)
    assert digest(tmp_path / "other") != digest(quick)


def test_the_voice_over_nobody_is_a_voice(quick: Path) -> None:
    with av.open(str(quick / "no_face.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.abs(sound).max() > 0.2


def test_an_unknown_file_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"late_sound\.mp4"):
        make_demo_footage(tmp_path, only=["early_sound.mp4"])


def test_a_copy_needs_its_original(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"kept_interview\.mp4"):
        make_demo_footage(tmp_path, only=["kept_interview_copy.mp4"])
