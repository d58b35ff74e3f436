"""Pipeline files: defaults, mistakes, and the digests that decide what need not be done again."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vividhead.score
from vividhead.errors import ConfigError
from vividhead.pipeline import (
    SCORES,
    X264_PRESETS,
    Clips,
    Ingest,
    Measure,
    Needs,
    Pack,
    Pipeline,
    Resources,
    Run,
    Scan,
    Segments,
    Track,
    digest_of,
    load_pipeline,
)
from vividhead.settings import Option, options

Load = Callable[[str], Pipeline]
SECTIONS = (Ingest, Segments, Scan, Track, Clips, Measure, Pack, Run, Needs)


@pytest.fixture(autouse=True)
def all_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vividhead.score, "score_names", lambda: sorted(SCORES))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read the text of a pipeline."""

    def read(text: str) -> Pipeline:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_pipeline(str(path))

    return read


def test_options_left_out_have_their_defaults(load: Load) -> None:
    assert load("") == Pipeline(name="mine", text="")
    few = load("seed = 7\n[clips]\nmin_s = 2\n[resources.scan]\ncpus = 2")
    assert few == Pipeline(
        name="mine",
        text=few.text,
        seed=7,
        clips=Clips(min_s=2.0),
        resources=Resources(scan=Needs(cpus=2.0, memory_mb=Resources().scan.memory_mb)),
    )


def test_whole_numbers_may_stand_for_decimal_ones(load: Load) -> None:
    found = load("[clips]\nmin_s = 2\nmax_s = 30.5").clips
    assert (found.min_s, type(found.min_s)) == (2.0, float)
    assert found.max_s == 30.5


def test_a_policy_beside_the_pipeline_is_found_from_anywhere(load: Load, tmp_path: Path) -> None:
    assert load('filters = "./own.toml"').filters == str(tmp_path / "own.toml")
    assert load(f'filters = "{tmp_path}/elsewhere.toml"').filters == f"{tmp_path}/elsewhere.toml"
    assert load('filters = "strict"').filters == "strict"


WRONG = {
    "[clip]\nmin_s = 3": "clip is no option; did you mean [clips]? There are filters, seed, [ingest]",
    "[clips]\nmin_sec = 3": "clips.min_sec is no option; did you mean min_s? [clips] has min_s, max_s",
    "[resources.scann]\ncpus = 1": "resources.scann is no option; did you mean [scan]?",
    "[resources.scan]\ncpu = 1": "resources.scan.cpu is no option; did you mean cpus?",
    "clips = 3": "clips must be a section, written [clips], not 3",
    "seed = 0.5": "seed must be a whole number, not 0.5",
    "seed = -1": "seed cannot be -1: 0 … 2147483647",
    "[clips]\nmin_s = 'three'": "clips.min_s must be a number, not 'three'",
    "[clips]\nmin_s = true": "clips.min_s must be a number, not true",
    "[clips]\nmin_s = nan": "clips.min_s must be a finite number, not nan",
    "[clips]\nmin_s = 0": "clips.min_s cannot be 0: s, 0.2 … 600",
    "[pack]\nside_px = 511": "pack.side_px cannot be 511: px, 64 … 2048, a multiple of 2",
    "[pack]\npreset = 'veryfsat'": "pack.preset cannot be 'veryfsat'; did you mean veryfast? There are",
    "[pack]\npreset = 3": "pack.preset must be a text in quotes, not 3",
    "[pack]\nshard_prefix = '../up'": "pack.shard_prefix cannot be '../up': a text matching [A-Z",
    "[measure]\nexhaustive = 1": "measure.exhaustive must be true or false, not 1",
    "[measure]\nscores = 'speech'": "measure.scores must be a list of names in quotes",
    "[measure]\nscores = ['speech', 1]": "measure.scores must be a list of names in quotes",
    "[measure]\nscores = ['speech', 'speech']": "measure.scores names 'speech' more than once",
    "[measure]\nscores = ['speach']": "measure.scores has no 'speach'; did you mean speech? There are",
    "[measure]\nscores = []": "measure.scores is empty; there are artifacts",
    "filters = 'strikt'": "filters 'strikt' is not there; did you mean strict?",
    "[clips]\nmin_s = 5\nmax_s = 4": "clips.min_s 5 is above clips.max_s 4",
    "[clips]\nmax_s = 500\n[segments]\nmax_s = 400": "clips.max_s 500 is above segments.max_s 400",
    "[track]\nmax_gap_frames = 4": "track.detect_every_frames 8 is above track.max_gap_frames 4",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_named(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert len(caught.value.mistakes) == 1
    assert WRONG[text] in caught.value.mistakes[0]


def test_all_mistakes_of_a_file_are_named_at_once(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("seed = 'x'\nfilters = 'x'\n[clip]\n[clips]\nmin_s = 9\nmax_s = 8\n[pack]\ncrf = 52\npreset = 'x'")
    assert len(caught.value.mistakes) == 6


def test_a_wrong_value_is_not_also_called_contradictory(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("[clips]\nmin_s = 'x'\nmax_s = 2")
    assert caught.value.mistakes == ["clips.min_s must be a number, not 'x'"]


def test_a_missing_pipeline_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"talking-haed: is not there; did you mean talking-head\?"):
        load_pipeline("talking-haed")


def another(option: Option, value: Any) -> Any:
    """A legal value that differs from `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return next(choice for choice in (*option.choices, f"{value}2") if choice != value)
    if isinstance(value, tuple):
        return value[:-1]
    return value + option.multiple_of if value + option.multiple_of <= option.high else value / 2


EVERY = [(section, name) for section in SECTIONS for name in options(section)]


@pytest.mark.parametrize(("section", "name"), EVERY, ids=[f"{s.__name__}.{n}" for s, n in EVERY])
def test_every_option_changes_its_sections_digest(section: type[Any], name: str) -> None:
    default = section()
    changed = replace(default, **{name: another(options(section)[name], getattr(default, name))})
    assert digest_of(changed) != digest_of(default)
    assert digest_of(Segments(), changed) != digest_of(Segments(), default)


def test_every_option_is_declared_with_its_range() -> None:
    undeclared = [f"{s.__name__}.{f.name}" for s in SECTIONS for f in fields(s) if "option" not in f.metadata]
    assert undeclared == []
    numbers = [(s, n) for s, n in EVERY if type(getattr(s(), n)) in (int, float)]
    assert [f"{s.__name__}.{n}" for s, n in numbers if not options(s)[n].legal] == []


def test_equal_values_have_equal_digests() -> None:
    assert digest_of(Clips(min_s=3)) == digest_of(Clips(min_s=3.0)) == digest_of(Clips())
    assert digest_of(Measure(scores=("a", "b"))) == digest_of(Measure(scores=("b", "a")))
    assert len(digest_of(Clips())) == 16


def test_digests_tell_sections_plain_values_and_their_order_apart() -> None:
    parts = [(Clips(),), (Segments(),), (Clips(), 1), (Clips(), "1"), (1, Clips()), (), (Clips(), Segments())]
    assert len({digest_of(*part) for part in parts}) == len(parts)


def test_digests_stay_what_they_were() -> None:
    """A ledger of yesterday must be found today: change this only with a reason to do all work again."""
    assert digest_of(Segments(max_s=600.0), 1, "x") == "92b02e4fb8e251a2"


scalars = st.sampled_from(["1", "0.5", "-1", "nan", "true", '"fast"', "[]", '["speech"]', "{}", "1979-05-27"])
names = st.sampled_from(
    ["seed", "filters", "clips", "clips.min_s", "pack.preset", "measure.scores", "resources.scan", "zoom.z"]
)


@given(st.dictionaries(names, scalars, max_size=4))
def test_no_file_breaks_the_reader(content: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in content.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda path: text.encode())
        try:
            found = load_pipeline("any.toml")
        except ConfigError as fault:
            assert fault.mistakes
        else:
            assert found.pack.preset in X264_PRESETS
            assert found.clips.min_s <= found.clips.max_s
