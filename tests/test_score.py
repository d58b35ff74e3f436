"""Running a score: whatever happens on a clip becomes a row, and the machine's own faults do not."""

import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import vividhead.scores
from vividhead import score
from vividhead.errors import ConfigError, VividHeadError
from vividhead.records import Measurement
from vividhead.testing.media import ArrayClipMedia

FAKE = """
    '''A fake?'''
    from vividhead.score import Field, Score, Unknown, Unmeasurable

    class Fake(Score):
        version = 3
        fingerprint = "fake-model"
        cost_ms_per_s = 1.0
        fields = {{"size_px": Field("px", "how large", 0, 100), "share": Field("1", "how much")}}

        def measure(self, clip):
            {body}
"""
TWO = (
    FAKE.format(body="return {}")
    + """
    class Second(Fake):
        pass
"""
)
NUMBERS = count()
Measure = Callable[[str], Measurement]


@pytest.fixture
def write_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Add a file to the folder of scores, as someone who adds a score does."""
    monkeypatch.setattr(vividhead.scores, "__path__", [*vividhead.scores.__path__, str(tmp_path)])

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    return write


@pytest.fixture
def measured(write_score: Callable[[str, str], None]) -> Measure:
    """Measure a clip with a fake score whose `measure` has this body."""
    box = np.array([[2, 2, 6, 6]], np.float32)
    clip = ArrayClipMedia(np.zeros((3, 8, 8, 3), np.uint8), box_xyxy_px_T4=box)

    def run(body: str) -> Measurement:
        name = f"fake_{next(NUMBERS)}"  # scores are loaded once per process
        write_score(name, FAKE.format(body=body))
        return score.measure(name, clip)

    return run


def test_values_are_rounded_and_carry_the_score_s_version_and_model(measured: Measure) -> None:
    row = measured("return {'size_px': 1 / 3, 'share': 2}")
    assert (row.status, row.values) == ("measured", {"size_px": 0.333333, "share": 2.0})
    assert (row.clip_id, row.version, row.fingerprint) == ("array-clip", 3, "fake-model")


def test_an_unknown_field_is_none_with_its_code_beside_known_ones(measured: Measure) -> None:
    row = measured("return {'size_px': Unknown('no_scale'), 'share': 0.5}")
    assert (row.status, row.values) == ("measured", {"size_px": None, "share": 0.5})
    assert row.unknown == {"size_px": "no_scale"}


def test_unmeasurable_is_a_row_with_its_code_and_no_values(measured: Measure) -> None:
    row = measured("raise Unmeasurable('no_light', 'lens cap on')")
    assert (row.status, row.code, row.detail) == ("unmeasurable", "no_light", "lens cap on")
    assert not row.values


@pytest.mark.parametrize("value", ["-1", "100.1", "float('nan')", "float('inf')"])
def test_a_number_outside_its_range_is_a_fault_not_a_value(measured: Measure, value: str) -> None:
    row = measured(f"return {{'size_px': {value}, 'share': 0}}")
    assert (row.status, row.code) == ("failed", "VividHeadError")
    assert "size_px" in row.detail
    assert "0 … 100" in row.detail
    assert not row.values


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-float('inf')"])
def test_an_unbounded_field_takes_no_infinity_either(measured: Measure, value: str) -> None:
    assert measured(f"return {{'size_px': 1, 'share': {value}}}").status == "failed"


@pytest.mark.parametrize("body", ["return {'size_px': 1}", "return {'size_px': 1, 'share': 1, 'more': 1}"])
def test_fields_other_than_the_declared_are_a_fault(measured: Measure, body: str) -> None:
    row = measured(body)
    assert row.status == "failed"
    assert "declared ['share', 'size_px']" in row.detail


def test_an_exception_becomes_a_row_with_its_type_and_text(measured: Measure) -> None:
    row = measured("return {'size_px': 1, 'share': 1 / 0}")
    assert (row.status, row.code, row.detail) == ("failed", "ZeroDivisionError", "division by zero")


@pytest.mark.parametrize("fault", [MemoryError, OSError])
def test_the_machine_s_faults_pass_through_so_that_the_unit_is_tried_again(
    measured: Measure, fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        measured(f"raise {fault.__name__}('later')")


def test_a_new_file_is_a_new_score_unless_its_name_begins_with_an_underscore(
    write_score: Callable[[str, str], None],
) -> None:
    write_score("brightest", FAKE.format(body="return {}"))
    write_score("_helper", "")
    assert "brightest" in score.score_names()
    assert "_helper" not in score.score_names()


def test_a_misspelt_name_is_answered_with_the_near_one_and_all_names() -> None:
    with pytest.raises(ConfigError) as why:
        score.score_class("sharpnes")
    known = ", ".join(score.score_names())
    assert "exposure, expression, framing" in known
    assert f"no score 'sharpnes'; did you mean sharpness? there are {known}" in str(why.value)


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    with pytest.raises(ConfigError) as why:
        score.score_class("zzz")
    assert f"no score 'zzz'; there are {', '.join(score.score_names())}" in str(why.value)


@pytest.mark.parametrize("text", ["", TWO])
def test_a_file_holds_exactly_one_score(write_score: Callable[[str, str], None], text: str) -> None:
    name = f"crowd_{len(text)}"
    write_score(name, text)
    with pytest.raises(VividHeadError, match="exactly one Score"):
        score.score_class(name)
