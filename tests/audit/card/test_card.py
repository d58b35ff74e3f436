"""The card, the Croissant file and a clip's lineage."""

import json
import shutil
import tomllib
import warnings
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Whole

from vividhead.audit.card import lineage, write_card
from vividhead.audit.card.figures import Terms
from vividhead.audit.card.markdown import _licence_lines, _limits, hub_licence
from vividhead.audit.splits import SplitOptions, split
from vividhead.audit.tables import Tables
from vividhead.cli import main
from vividhead.errors import UsageError
from vividhead.manifest import MANIFEST, parquet, read


@pytest.fixture
def dataset(whole: Whole, tmp_path: Path) -> Path:
    return shutil.copytree(whole.dataset, tmp_path / "dataset")


def with_terms(dataset: Path, licence: str | None, language: str = "en") -> None:
    """Give all kept clips this licence and language."""
    import pyarrow as pa

    path = dataset / "manifest.parquet"
    table = read(path)
    for name, value in (("licence", licence), ("language", language)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array([value] * len(table), pa.string()))
    path.write_bytes(parquet(table))


def front_matter(readme: Path) -> dict[str, object]:
    """The keys with one value each: quoted texts are JSON's, the others are words."""
    head = readme.read_text().split("---\n")[1]
    lines = [line.split(": ", 1) for line in head.splitlines() if ": " in line and not line.startswith(" ")]
    return {key: json.loads(value) if value.startswith('"') else value for key, value in lines}


def test_mlcroissant_reads_the_description_and_the_records_behind_it(dataset: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries
        import mlcroissant

        _, description = write_card(dataset)
        found = mlcroissant.Dataset(jsonld=description)
        assert found.metadata.ctx.issues.errors == set()
        records = list(islice(found.records("clips"), 100))
    rows = read(dataset / "manifest.parquet").to_pylist()
    assert [r["clips/clip_id"].decode() for r in records] == [row["clip_id"] for row in rows]
    assert [r["clips/n_frames"] for r in records] == [row["n_frames"] for row in rows]


def test_every_plain_column_of_the_manifest_is_described_with_its_unit(dataset: Path) -> None:
    _, description = write_card(dataset)
    fields = {f["name"]: f for f in json.loads(description.read_text())["recordSet"][0]["field"]}
    plain = {column.name for column in MANIFEST if not column.type.startswith(("map", "list"))}
    assert plain <= set(fields)
    assert fields["mp4_bytes"]["description"].endswith("[B]")
    assert fields["lip_sync.offset_ms"]["description"] == "positive: picture later than sound [ms]"


def test_digests_are_those_of_the_files(dataset: Path) -> None:
    import hashlib

    _, description = write_card(dataset)
    files = json.loads(description.read_text())["distribution"]
    assert any(about["@id"].startswith("shards/") for about in files)
    for about in files:
        data = (dataset / about["contentUrl"]).read_bytes()
        assert about["sha256"] == hashlib.sha256(data).hexdigest()
        assert about["contentSize"] == f"{len(data)} B"


def test_models_that_are_not_free_for_every_use_are_named(dataset: Path) -> None:
    import pyarrow as pa

    assert "Not free for every use" not in write_card(dataset)[0].read_text()
    path = dataset / "measurements" / "identity" / "measurements.parquet"
    table = read(path)
    told = "w600k_r50.onnx/0123456789abcdef (licence InsightFace models (NON-COMMERCIAL use only))"
    at = table.schema.get_field_index("fingerprint")
    table = table.set_column(at, table.schema.field(at), pa.array([told] * len(table), pa.string()))
    path.write_bytes(parquet(table))
    text = write_card(dataset)[0].read_text()
    assert "**identity: InsightFace models (NON-COMMERCIAL use only)**." in text
    assert "| mediapipe | Apache-2.0 (commercial use allowed) |" in text


@pytest.mark.parametrize(("score", "says"), [("identity", "were not measured"), ("attributes", "sensitive data")])
def test_the_card_says_whether_age_and_gender_were_guessed(score: str, says: str) -> None:
    limits = _limits(SimpleNamespace(attributes=[], models=[SimpleNamespace(score=score)]))  # type: ignore[arg-type]
    assert says in next(line for line in limits.splitlines() if line.startswith("- Age"))


def test_one_known_licence_stands_in_the_front_matter(dataset: Path) -> None:
    with_terms(dataset, "CC BY 4.0", "de")
    readme, _ = write_card(dataset, 'Nine: "talks"\n# of')
    head = front_matter(readme)
    assert head["license"] == "cc-by-4.0" and head["pretty_name"] == 'Nine: "talks"\n# of'
    assert '  - "de"\n' in readme.read_text()
    assert "no licence is on record" not in readme.read_text()


def test_a_licence_that_is_missing_is_said_to_be(dataset: Path) -> None:
    with_terms(dataset, None)
    readme, _ = write_card(dataset)
    assert front_matter(readme)["license"] == "unknown"
    assert "(100.0%) no licence is on record" in readme.read_text()


def test_several_licences_are_all_named_and_told_from_none() -> None:
    given = [Terms(licence=name, consent=None, n_sources=1, n_clips=1, kept_s=1.0) for name in LICENCES]
    lines = _licence_lines(SimpleNamespace(terms=given))  # type: ignore[arg-type]
    assert lines == [
        "license:", "  - cc-by-4.0", "  - other", "  - unknown", "  - cc0-1.0",
        "license_name: tv-archive-2019-v2-and-house-rules",
    ]  # fmt: skip
    assert _licence_lines(SimpleNamespace(terms=[])) == ["license: unknown"]  # type: ignore[arg-type]


LICENCES = ("CC BY 4.0", "TV archive (2019), v2", None, "cc-by-4.0", "House rules!", "CC0")


def test_parts_stand_in_the_front_matter_as_split_wrote_them(dataset: Path) -> None:
    readme, _ = write_card(dataset)
    assert 'split: train\n        path: "shards/*.tar"' in readme.read_text()
    split(dataset, SplitOptions(ratios=(0.0, 1.0, 0.0)))
    text = write_card(dataset)[0].read_text()
    assert "  - config_name: parts\n    data_files:\n      - split: validation\n" in text
    assert '        path: "splits/val.parquet"\n---\n' in text
    assert "split: train" not in text and "Shards hold clips of all parts" in text


def test_names_from_the_footage_cannot_become_markup_or_front_matter(dataset: Path) -> None:
    with_terms(dataset, "x | y\n---\nlicense: mit <script>alert(1)</script> [a](b)", "en\n---")
    readme, _ = write_card(dataset)
    text = readme.read_text()
    assert "<script" not in text and "[a](b)" not in text.replace(r"\[a]", "")
    assert front_matter(readme)["license"] == "other"
    assert text.count("\n---\n") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [("CC0", "cc0-1.0"), (" cc by  4.0", "cc-by-4.0"), ("MIT", "mit"), ("mine", None), (None, None)],
)
def test_licences_are_known_by_the_names_people_write(given: str | None, expected: str | None) -> None:
    assert hub_licence(given) == expected


def test_a_readme_of_another_hand_is_left_alone(dataset: Path) -> None:
    (dataset / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="was not written by"):
        write_card(dataset)
    assert (dataset / "README.md").read_text() == "mine"


def test_a_card_is_written_over_and_stays_the_same(dataset: Path) -> None:
    first = [path.read_bytes() for path in write_card(dataset)]
    assert [path.read_bytes() for path in write_card(dataset)] == first


def test_lineage_leads_from_every_member_to_the_source_and_the_code(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = read(dataset / "manifest.parquet").to_pylist()[0]
    assert main(["card", str(dataset), "--lineage", row["clip_id"]]) == 0
    found = json.loads(capsys.readouterr().out)
    source = f"sha256:{row['source_id']}"
    (activity,) = found["activity"]
    assert [used["prov:entity"] for used in found["used"].values()] == [source]
    made = {made["prov:entity"] for made in found["wasGeneratedBy"].values()}
    assert {f"sha256:{row[f'{m}_sha256']}" for m in ("mp4", "flac", "landmarks.npz", "json")} < made
    (derived,) = found["wasDerivedFrom"].values()
    assert derived == {"prov:generatedEntity": f"vh:clip/{row['clip_id']}", "prov:usedEntity": source}
    versions = tomllib.loads((dataset / "run.toml").read_text())["versions"]
    assert found["agent"]["vh:code"]["vh:vividhead"] == versions["vividhead"]
    named = {entity for kind in ("used", "wasGeneratedBy") for link in found[kind].values() for entity in link.values()}
    assert named <= set(found["entity"]) | {activity}


def test_lineage_of_a_clip_that_is_not_there_says_so(dataset: Path) -> None:
    with pytest.raises(UsageError, match="no kept clip"):
        lineage(Tables(dataset), "0" * 20)
