"""Faces whose part in a talk is known: one that talks, the same one still, one that another speaks over."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.score import Score, score_class
from vividhead.testing.media import ArrayClipMedia

Frames = Callable[..., NDArray[np.uint8]]
N_FRAMES = 75


@pytest.fixture(scope="module")
def score(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Score:
    path = shared / "weights" / "light_asd_talkset.model"
    if not path.is_file():
        pytest.skip(f"no {path}")
    home = tmp_path_factory.mktemp("weights")
    (home / "light-asd").mkdir()
    (home / "light-asd" / "finetuning_TalkSet.model").symlink_to(path.absolute())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_WEIGHTS", str(home))
        return score_class("active_speaker")()


@pytest.fixture(scope="module")
def voice_S(shared: Path) -> NDArray[np.float32]:
    """The sound of radio34's first three seconds, 16 kHz."""
    with av.open(str(shared / "footage" / "radio34.mp4")) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        parts = [p.to_ndarray()[0] for f in container.decode(audio=0) for p in resampler.resample(f)]
    return np.concatenate(parts)[: N_FRAMES * 640].astype(np.float32)


def test_a_talking_face_speaks_and_the_same_face_held_still_does_not(
    score: Score, footage: Frames, voice_S: NDArray[np.float32]
) -> None:
    pictures = footage("radio34", 0, N_FRAMES)
    spans = [(0.0, N_FRAMES / 25)]
    talks = ArrayClipMedia(pictures, audio_S=voice_S, speech_spans_s=spans)
    held = ArrayClipMedia(
        pictures[:1].repeat(N_FRAMES, 0), box_xyxy_px_T4=talks.box_xyxy_px_T4[:1], audio_S=voice_S, speech_spans_s=spans
    )
    talking, still = score.measure(talks), score.measure(held)
    assert talking["share_of_speech"] > 0.8 > 0.3 > still["share_of_speech"]  # type: ignore[operator]
    assert talking["mean_logit"] > still["mean_logit"] + 2  # type: ignore[operator]


def test_the_recipe_for_several_people_makes_a_pipeline_and_filters_that_ask_who_speaks(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    recipe = re.search(
        r"## Several people.*?```sh\n(.*?)```", (root / "docs" / "scores.md").read_text(encoding="utf-8"), re.S
    )
    assert recipe
    for folder in ("filters", "pipelines"):
        (tmp_path / folder).symlink_to(root / folder)
    subprocess.run(["sh", "-ec", recipe[1]], cwd=tmp_path, check=True)  # noqa: S607
    pipeline = load_pipeline(str(tmp_path / "several-pipeline.toml"))
    rules = {rule.id for rule in load_policy(pipeline.filters, pipeline.measure.scores).rules}
    assert "active_speaker.share_of_speech" in rules
    assert not [rule for rule in rules if rule.startswith("other_faces")]
