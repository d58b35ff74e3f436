"""Words and their texts on their way from the score into tables, manifest and the clip's JSON."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hand_made import make_clip, make_segment, make_source

from tests.random_weights import put_random_weights
from vividhead import score
from vividhead.errors import VividHeadError
from vividhead.manifest import MEASUREMENTS, score_columns, table
from vividhead.plain import from_plain, to_plain
from vividhead.records import Measurement
from vividhead.shard_set import sample_json
from vividhead.testing.media import ArrayClipMedia
from vividhead.testing.speech import fitted, speak

N_FRAMES = 75


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measurement]:
    home = tmp_path_factory.mktemp("weights")
    put_random_weights(home)
    voice_S = fitted(speak("She had your dark suit.").samples_S, N_FRAMES * 640)
    clip = ArrayClipMedia(
        np.zeros((N_FRAMES, 32, 32, 3), np.uint8), box_xyxy_px_T4=np.array([[8, 8, 24, 24]], np.float32),
        audio_S=voice_S, speech_spans_s=[(0.0, 2.0)],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_WEIGHTS", str(home))
        score.loaded_score.cache_clear()
        yield score.measure("transcript", clip)
    score.loaded_score.cache_clear()


def test_words_have_times_within_the_clip_and_are_counted_by_the_second_of_speech(row: Measurement) -> None:
    assert row.status == "measured", f"{row.code}: {row.detail}"
    words = json.loads(row.texts["words"])
    assert row.values["words_per_second"] == pytest.approx(len(words) / 2.0)
    assert words and all(0 <= start <= end <= 30 and 0 <= sure <= 1 for _, start, end, sure in words)
    assert row.values["word_confidence"] == pytest.approx(np.mean([sure for *_, sure in words]), abs=1e-3)


def test_texts_travel_through_the_ledger_the_tables_and_the_clips_json(row: Measurement) -> None:
    assert from_plain(Measurement, json.loads(json.dumps(to_plain(row)))) == row
    columns = (*MEASUREMENTS, *score_columns(score.score_class("transcript")))
    (cells,) = table(columns, [{**to_plain(row), **row.values, **row.texts}]).to_pylist()
    assert {name: cells[name] for name in row.texts} == dict(row.texts)
    source = make_source()
    member = json.loads(sample_json(source, make_clip(make_segment(source), 0, 75), {"transcript": row}))
    assert member["texts"] == {"transcript": dict(row.texts)}


def test_a_ledger_from_before_there_were_texts_is_read(row: Measurement) -> None:
    plain = to_plain(row)
    del plain["texts"]
    assert from_plain(Measurement, plain).texts == {}


def test_a_clip_in_which_nobody_speaks_has_no_transcript(row: Measurement) -> None:
    clip = ArrayClipMedia(
        np.zeros((N_FRAMES, 32, 32, 3), np.uint8), box_xyxy_px_T4=np.array([[8, 8, 24, 24]], np.float32)
    )
    assert score.measure("transcript", clip).code == "no_speech"


def test_a_run_without_the_package_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score, "find_spec", lambda name: None)
    with pytest.raises(VividHeadError, match=r"pip install 'vividhead\[transcript\]'"):
        score.require_models(["transcript"])
