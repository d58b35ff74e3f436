"""Guesses of genderage, put together; the real loading code is tried in tests/test_every_score.py."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.random_weights import put_random_onnx
from tests.scores.test_identity_arcface import Meshed
from vividhead.backends import insightface
from vividhead.pipeline import SCORES, load_pipeline
from vividhead.score import Unmeasurable
from vividhead.scores.attributes import Attributes
from vividhead.settings import shipped_names


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attributes]:
    home = tmp_path_factory.mktemp("weights")
    put_random_onnx(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_WEIGHTS", str(home))
        yield Attributes()


def test_a_clip_s_age_is_the_median_guess_and_gender_the_mean(
    attributes: Attributes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insightface, "age_and_gender", lambda _n, face_HWC, _m: (float(face_HWC[0, 0, 0]), 0.25))
    got = attributes.measure(Meshed([30] * 50 + [60] * 25, without=(0, 1)))
    assert got == {"age_years": 30, "age_range_years": 30, "male_probability": 0.25}


def test_a_real_network_of_the_true_shapes_gives_numbers(attributes: Attributes) -> None:
    got = attributes.measure(Meshed([30] * 25))
    assert np.isfinite(list(got.values())).all() and 0 <= got["male_probability"] <= 1


def test_without_a_mesh_nothing_is_guessed(attributes: Attributes) -> None:
    with pytest.raises(Unmeasurable) as why:
        attributes.measure(Meshed([30] * 25, without=tuple(range(25))))
    assert why.value.code == "face_mesh_lost"


def test_no_shipped_pipeline_asks_for_it() -> None:
    assert "attributes" not in SCORES
    assert all("attributes" not in load_pipeline(name).measure.scores for name in shipped_names("pipelines"))
