"""Which clips are read: a condition, a policy, and clear words where one is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.packed import SHARP, SIDE
from vividhead.errors import ConfigError, UsageError
from vividhead.loader.select import check_columns, chosen_rows
from vividhead.manifest import read

SHARPNESS = "sharpness.blurs_per_face_p10"


@pytest.fixture(scope="module")
def manifest(packed: Path) -> Any:
    return read(packed / "manifest.parquet")


def sharp(table: Any) -> list[float]:
    return sorted(table[SHARPNESS].to_pylist())


def test_without_conditions_all_kept_clips_are_read_in_the_manifests_order(manifest: Any) -> None:
    assert chosen_rows(manifest, None, None).equals(manifest)


def test_a_condition_in_sql_and_a_function_choose_alike(manifest: Any) -> None:
    in_sql = chosen_rows(manifest, f"\"{SHARPNESS}\" > 120 AND language = 'de' -- the sharper half", None)
    by_function = chosen_rows(manifest, lambda rows: (rows[SHARPNESS] > 120) & (rows["language"] == "de"), None)
    assert in_sql.equals(by_function)
    assert sharp(in_sql) == [s for s in SHARP if s > 120]


def test_free_attributes_can_be_asked_for(manifest: Any) -> None:
    assert len(chosen_rows(manifest, "attributes['speaker'] = 'Ada'", None)) == len(SHARP)
    by_function = chosen_rows(manifest, lambda rows: rows["attributes"].map(lambda a: a["speaker"] == "Ada"), None)
    assert len(by_function) == len(SHARP)


def test_a_row_of_which_the_condition_is_unknown_is_not_read(manifest: Any) -> None:
    with pytest.raises(UsageError, match="keeps none of 7 clips"):
        chosen_rows(manifest, "licence <> 'CC0'", None)


def test_a_policy_is_applied_to_the_manifest(manifest: Any, tmp_path: Path) -> None:
    policy = tmp_path / "sharper.toml"
    policy.write_text(f'{SHARPNESS} = {{ min = 120, max = 150, why = "a test" }}\n')
    assert sharp(chosen_rows(manifest, None, str(policy))) == [120, 130, 140, 150]
    assert sharp(chosen_rows(manifest, f'"{SHARPNESS}" < 140', str(policy))) == [120, 130]


def test_what_the_manifest_does_not_know_is_unmeasured_to_the_policy(manifest: Any, tmp_path: Path) -> None:
    drift = "identity.drift_start_to_end"
    values = [None, *np.linspace(0.1, 0.6, len(SHARP) - 1)]
    half_known = manifest.set_column(manifest.column_names.index(drift), drift, [values])
    for unmeasured, kept in (("reject", 3), ("accept", 4)):
        policy = tmp_path / f"{unmeasured}.toml"
        policy.write_text(f'{drift} = {{ max = 0.35, unmeasured = "{unmeasured}", why = "a test" }}\n')
        assert len(chosen_rows(half_known, None, str(policy))) == kept


def test_mistakes_in_a_policy_are_named(manifest: Any, tmp_path: Path) -> None:
    policy = tmp_path / "wrong.toml"
    policy.write_text('sharpnes.blurs = { min = 1, why = "a test" }\nlip_sync.confidence = { min = 0.5, why = "…" }\n')
    with pytest.raises(ConfigError) as raised:
        chosen_rows(manifest, None, str(policy))
    assert "did you mean sharpness?" in str(raised.value)
    assert "lip_sync is not measured" in str(raised.value), "this dataset has no such column"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("sharpnes > 1", 'sharpnes.*names with a dot go in double quotes, as in "lip_sync.confidence"'),
        ("duration_s >", "is no condition on the manifest: Parser Error"),
        ("1 = 1) OR (SELECT count(*) > 0 FROM read_csv('/etc/passwd')", "is no condition on the manifest"),
        (f'"{SHARPNESS}" > 1000', "keeps none of 7 clips; loosen it"),
        (lambda rows: rows[SHARPNESS], "must return true or false for each of 7 rows, not float64"),
        (lambda rows: [True], r"not bool of shape \(1,\)"),
        (lambda rows: rows[SHARPNESS] > 1000, "where=<lambda> keeps none of 7 clips"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(manifest: Any, where: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_rows(manifest, where, None)


def test_a_dataset_without_kept_clips_is_refused(manifest: Any) -> None:
    with pytest.raises(UsageError, match="holds no kept clip; `vividhead status DATASET`"):
        chosen_rows(manifest.slice(0, 0), None, None)


def test_an_unknown_column_is_refused_with_the_near_one(manifest: Any) -> None:
    check_columns(manifest, ["language", "attributes", SHARPNESS])
    with pytest.raises(UsageError, match="no 'languag'; did you mean language?"):
        check_columns(manifest, ["languag"])


def test_the_fixture_is_as_small_as_it_says(packed: Path) -> None:
    from vividhead.loader.checks import packed_side_px
    from vividhead.loader.folder import Folder

    assert packed_side_px(Folder(str(packed))) == SIDE
