"""What must hold of every score there is, also of one added tomorrow."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from tests.random_weights import put_random_weights
from vividhead import score
from vividhead.cascade import is_known
from vividhead.errors import VividHeadError
from vividhead.faces import FaceMesh
from vividhead.records import Measurement
from vividhead.testing.media import ArrayClipMedia
from vividhead.weights import model

N_FRAMES = 75
NEEDING = [name for name in score.score_names() if score.score_class(name).needs]
SCORES = score.score_names()
JUDGING = re.compile(r"threshold|reject|accept|pass(es|ed)?$|good|bad|too_|enough|keep_if|is_ok", re.I)


def portrait_clip() -> ArrayClipMedia:
    """Three seconds of a portrait under a breathing light, with a voice-like sound and a passer-by."""
    picture = skimage.data.astronaut()
    seconds_S = np.arange(N_FRAMES * 640) / 16_000
    voice_S = np.sin(2 * np.pi * 140 * seconds_S) * (0.2 + 0.15 * np.sin(2 * np.pi * 3 * seconds_S))

    def show(frame: int) -> NDArray[np.uint8]:
        grain = np.random.default_rng(frame).normal(0, 2, picture.shape)
        return np.clip(picture * (1 + 0.02 * np.sin(frame / 6)) + grain, 0, 255).round().astype(np.uint8)

    return ArrayClipMedia(
        show, N_FRAMES,
        box_xyxy_px_T4=np.array([[174, 68, 278, 172]], np.float32),
        audio_S=voice_S.astype(np.float32),
        others=[score.OtherFace(5, 40.0)],
        speech_spans_s=[(0.4, 1.5), (1.8, 2.9)],
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A weights folder with every file that a score needs: of true shapes, with random numbers."""
    home = tmp_path_factory.mktemp("weights")
    put_random_weights(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_WEIGHTS", str(home))
        yield
    score.loaded_score.cache_clear()


Told = tuple[Measurement, Mapping[str, NDArray[np.float32]]]
Twice = Callable[[str], list[Told]]


@pytest.fixture(scope="module")
def twice() -> Twice:
    """What a score says, and keeps, of the same clip made twice from nothing."""
    clips = portrait_clip(), portrait_clip()

    def told(name: str, clip: ArrayClipMedia) -> Told:
        row = score.measure(name, clip)
        return row, score.loaded_score(name).keep(clip) if row.status == "measured" else {}

    return cache(lambda name: [told(name, clip) for clip in clips])


@pytest.fixture(scope="module")
def blank() -> ArrayClipMedia:
    """A grey picture and silence, which a wrong detection may well hand to a score."""
    grey = np.full((N_FRAMES, 120, 160, 3), 128, np.uint8)
    return ArrayClipMedia(grey, box_xyxy_px_T4=np.array([[40, 30, 90, 80]], np.float32))


def test_there_are_scores() -> None:
    assert {"framing", "sharpness", "identity", "motion"} <= set(SCORES)


@pytest.mark.parametrize("name", SCORES)
def test_it_says_what_it_measures(name: str) -> None:
    cls = score.score_class(name)
    module = inspect.getmodule(cls)
    assert module is not None
    question = (module.__doc__ or "").splitlines()[0]
    assert question.endswith("?"), "a score's file begins with the question it answers"
    assert len((cls.__doc__ or "").split()) >= 20
    assert cls.__name__.lower() == name.replace("_", "")
    assert cls.version >= 1


@pytest.mark.parametrize("name", SCORES)
def test_every_field_has_a_unit_a_meaning_and_a_range(name: str) -> None:
    fields = score.score_class(name).fields
    assert fields
    for key, field in fields.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert field.unit
        assert len(field.meaning.split()) >= 2
        assert field.low < field.high


@pytest.mark.parametrize("name", SCORES)
def test_it_measures_and_never_judges(name: str) -> None:
    cls = score.score_class(name)
    assert not [text for key, f in cls.fields.items() for text in (key, f.meaning) if JUDGING.search(text)]
    source = ast.parse(inspect.getsource(inspect.getmodule(cls)))
    names = {node.id for node in ast.walk(source) if isinstance(node, ast.Name)}
    names |= {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
    assert not [found for found in names if JUDGING.search(found)]


@pytest.mark.parametrize("name", SCORES)
def test_it_is_in_range_or_says_why_not(name: str, twice: Twice) -> None:
    row, fields = twice(name)[0][0], score.score_class(name).fields
    assert row.status in ("measured", "unmeasurable"), f"{row.code}: {row.detail}"
    if row.status == "unmeasurable":
        assert re.fullmatch(r"[a-z_]+", row.code)
        return
    assert set(row.values) == set(fields)
    for key, value in row.values.items():
        if value is None:
            assert re.fullmatch(r"[a-z_]+", row.unknown[key])
        else:
            assert fields[key].low <= value <= fields[key].high


@pytest.mark.parametrize("name", SCORES)
def test_the_same_clip_gives_the_same_numbers(name: str, twice: Twice) -> None:
    (first, first_kept), (second, second_kept) = twice(name)
    assert first == second
    assert first_kept.keys() == second_kept.keys()
    assert all(np.array_equal(array, second_kept[key]) for key, array in first_kept.items())


@pytest.mark.parametrize("name", SCORES)
def test_a_blank_picture_and_silence_are_no_fault(name: str, blank: ArrayClipMedia) -> None:
    row = score.measure(name, blank)
    assert row.status in ("measured", "unmeasurable"), f"{row.code}: {row.detail}"


@pytest.mark.parametrize("name", SCORES)
def test_what_it_keeps_are_finite_float_arrays(name: str, twice: Twice) -> None:
    for key, array in twice(name)[0][1].items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", NEEDING)
def test_what_measured_is_named_with_digest_and_licence(name: str, twice: Twice) -> None:
    needed = score.score_class(name).needs
    assert needed is not None
    file, licence = Path(needed[1]).stem, model(needed[0]).licence.name
    row = twice(name)[0][0]
    assert is_known(row), "the fingerprint holds that of the file it needs, else it is measured over and over"
    told = row.fingerprint
    own = told.removesuffix(f" {FaceMesh.fingerprint}")
    assert re.fullmatch(rf"{file}\.\w+/[0-9a-f]{{16}} \(licence {licence} \(.*\)\)", own)


@pytest.mark.parametrize("name", NEEDING)
def test_missing_weights_are_refused_with_the_command_that_fetches_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path))
    needed = score.score_class(name).needs
    assert needed is not None
    with pytest.raises(VividHeadError, match=f"vividhead weights fetch {needed[0]}"):
        score.require_models([name])


def test_the_cheap_come_first_then_those_of_the_mesh_then_identity() -> None:
    order = [
        [
            *("framing", "other_faces", "speech", "exposure", "loudness", "sharpness"),
            *("audio_quality", "artifacts", "detail", "interlacing", "jump_cut", "background", "overlay"),
        ],
        ["head_pose", "motion", "expression", "occlusion", "lip_sync"],
        ["identity"],
        ["active_speaker", "lip_sync_syncnet", "transcript"],
    ]
    costs = [[score.score_class(name).cost_ms_per_s for name in group if name in SCORES] for group in order]
    assert min(costs[0]) > 0
    assert all(max(cheaper) < min(dearer) for cheaper, dearer in pairwise(costs))
