"""Which kept clips of a dataset are taken for good: people's labels come before scores."""

from pathlib import Path

import pyarrow as pa
import pytest

from vividhead.calibrate import goods
from vividhead.labels import Verdict, add_label
from vividhead.policy import Policy, Rule

POLICY = Policy(name="by hand", rules=(Rule(score="sharpness", field="blurs_per_face_p10", min=55, why="a test"),))


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Letters of the clips of a dataset of two sources, in the order in which they would be taken."""
    rows = [
        {"clip_id": f"clip-{name}", "source_id": source, "n_frames": 100, "sharpness.blurs_per_face_p10": sharp}
        for name, source, sharp in [("a", "one", 90.0), ("b", "one", 120.0), ("c", "two", 100.0), ("d", "two", 60.0)]
    ]
    table = pa.Table.from_pylist([{**row, "language": None, "licence": None} for row in rows])
    monkeypatch.setattr(goods, "Folder", lambda where: type("Told", (), {"manifest": lambda self: table})())
    (tmp_path / "run.toml").write_text("")
    return [str(tmp_path)]


def taken(where: list[str]) -> str:
    return "".join(c.name[-1] for c in goods.candidates(where[0], 24, POLICY))


def label(where: list[str], name: str, verdict: Verdict) -> None:
    add_label(Path(where[0]), f"clip-{name}", verdict, "", "somebody", "0" * 16)


def test_without_labels_the_best_of_each_source_comes_first(chosen: list[str]) -> None:
    assert taken(chosen) == "bcad"


def test_a_clip_labelled_bad_is_not_taken_and_one_labelled_good_comes_first(chosen: list[str]) -> None:
    label(chosen, "b", "bad")
    label(chosen, "d", "good")
    assert taken(chosen) == "dca"


def test_the_newest_label_counts(chosen: list[str]) -> None:
    label(chosen, "b", "bad")
    label(chosen, "b", "good")
    assert taken(chosen) == "bcad"
    label(chosen, "b", "bad")
    assert taken(chosen) == "cad"
