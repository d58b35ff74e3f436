"""The files that users read first: shipped pipelines and policies are right, complete and explained."""

import re
from pathlib import Path

import pytest

from vividhead.errors import VividHeadError
from vividhead.pipeline import Needs, Pipeline, load_pipeline
from vividhead.policy import Policy, Rule, load_policy
from vividhead.score import score_class, score_names
from vividhead.settings import Option, options, shipped_names
from vividhead.shipped import shipped

POLICIES = shipped_names("filters")
PIPELINES = shipped_names("pipelines")
RESOLUTION = "framing.face_height_px_in_source"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline("talking-head")


def policy(name: str, pipeline: Pipeline) -> Policy:
    return load_policy(name, pipeline.measure.scores)


def declared() -> dict[str, Option]:
    """Dotted name → what it may be, for every option of a pipeline."""
    found = dict(options(Pipeline))
    default = Pipeline()
    for section in ("ingest", "segments", "scan", "track", "clips", "measure", "pack", "run"):
        found |= {f"{section}.{key}": about for key, about in options(getattr(default, section)).items()}
    for stage in ("ingest", "scan", "measure", "pack"):
        found |= {f"resources.{stage}.{key}": about for key, about in options(Needs).items()}
    return found


def comments(text: str) -> dict[str, str]:
    """Dotted name → comment on the line that sets it."""
    found, section = {}, ""
    for line in text.splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            section = f"{header[1]}."
        elif setting := re.match(r"(\w+) = .*?  ?# (.*)", line):
            found[section + setting[1]] = setting[2]
    return found


def test_the_shipped_pipeline_says_what_would_hold_without_it(pipeline: Pipeline) -> None:
    assert pipeline == Pipeline(name="talking-head", text=pipeline.text)


def test_the_shipped_pipeline_shows_every_option_with_unit_range_and_meaning(pipeline: Pipeline) -> None:
    expected = {
        name: f"{about.legal}: {about.meaning}" if about.legal else about.meaning for name, about in declared().items()
    }
    assert comments(pipeline.text) == expected


def test_the_shipped_pipeline_measures_every_score_that_needs_nothing_fetched(pipeline: Pipeline) -> None:
    assert sorted(pipeline.measure.scores) == [name for name in score_names() if not score_class(name).needs]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_shipped_pipeline_fits_its_policy(name: str) -> None:
    found = load_pipeline(name)
    assert policy(found.filters, found).rules


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_asks_for_pixels_of_the_face_and_that_they_hold_detail(name: str, pipeline: Pipeline) -> None:
    rules = policy(name, pipeline).rules
    in_pixels = [rule for rule in rules if score_class(rule.score).fields[rule.field].unit == "px"]
    assert [rule.id for rule in in_pixels] == [RESOLUTION, "detail.true_face_px"]
    assert all(rule.hard and rule.max is None for rule in in_pixels)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_refuses_clips_whose_sync_is_unknown(name: str, pipeline: Pipeline) -> None:
    rules = {rule.id: rule for rule in policy(name, pipeline).rules}
    for field in ("offset_ms", "confidence"):
        assert rules[f"lip_sync.{field}"].unmeasured == "reject"
        assert 'unmeasured = "reject"' in line_of(name, f"lip_sync.{field}")


@pytest.mark.parametrize("name", POLICIES)
def test_every_rule_is_one_line(name: str, pipeline: Pipeline) -> None:
    for rule in policy(name, pipeline).rules:
        assert line_of(name, rule.id).endswith('" }')


def line_of(name: str, rule_id: str) -> str:
    text = (shipped("filters") / f"{name}.toml").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith(f"{rule_id} = "))
    return line


def test_strict_is_nowhere_looser_than_the_default(pipeline: Pipeline) -> None:
    strict = {rule.id: rule for rule in policy("strict", pipeline).rules}
    loose = policy("talking-head", pipeline).rules
    assert [rule.id for rule in loose if rule.id not in strict or not within(strict[rule.id], rule)] == []
    assert strict != {rule.id: rule for rule in loose}


def within(tight: Rule, loose: Rule) -> bool:
    return (
        (loose.min is None or (tight.min is not None and tight.min >= loose.min))
        and (loose.max is None or (tight.max is not None and tight.max <= loose.max))
        and tight.unmeasured in (loose.unmeasured, "reject")
    )


@pytest.mark.parametrize("kind", ["pipelines", "filters"])
def test_a_shipped_folder_holds_settings_and_a_readme_that_names_them(kind: str) -> None:
    files = sorted(path.relative_to(shipped(kind)).as_posix() for path in shipped(kind).rglob("*") if path.is_file())
    settings = [path.relative_to(shipped(kind)).as_posix() for path in sorted(shipped(kind).rglob("*.toml"))]
    assert files == sorted([*settings, "README.md"])
    readme = (shipped(kind) / "README.md").read_text(encoding="utf-8")
    assert [name for name in settings if name not in readme] == []


def test_the_example_in_the_filters_readme_is_a_policy(tmp_path: Path, pipeline: Pipeline) -> None:
    readme = (shipped("filters") / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", readme, flags=re.DOTALL)
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    assert load_policy(str(path), pipeline.measure.scores).rules


def test_a_folder_that_is_not_shipped_is_an_error() -> None:
    with pytest.raises(VividHeadError, match="no recipes/ in the wheel"):
        shipped("recipes")
