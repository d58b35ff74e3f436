"""Settings out of run.toml are read without trusting the dataset that they came with."""

from pathlib import Path

import pytest

from audit.standing_dataset import FILTERS, SCORES
from vividhead.audit.clips import own_pipeline, own_policy
from vividhead.audit.tables import Tables
from vividhead.dataset import run_toml
from vividhead.errors import DatasetError
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.settings import written
from vividhead.standing import stored_pipeline


@pytest.mark.parametrize("table", ["pipeline", "filters"])
@pytest.mark.parametrize("form", ["{}/owned", "../owned", "x/owned", "a\0b"])
def test_a_name_in_run_toml_that_leaves_the_folder_writes_nothing(tmp_path: Path, table: str, form: str) -> None:
    name = form.format(tmp_path)
    pipeline = load_pipeline("talking-head")
    policy = load_policy(written(str(tmp_path), "mine", FILTERS), SCORES)
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    text = run_toml("footage", pipeline, policy)
    own = {"pipeline": pipeline.name, "filters": policy.name}[table]
    hostile = text.replace(f'name = "{own}"', f"name = {toml(name)}")
    assert hostile != text
    (dataset / "run.toml").write_text(hostile)
    uses = [own_policy] if table == "filters" else [own_pipeline, lambda tables: stored_pipeline(dataset)]
    for use in uses:
        with pytest.raises(DatasetError, match="must be a file's, without a folder"):
            use(Tables(dataset))
    assert list(tmp_path.rglob("owned*")) == []


def toml(text: str) -> str:
    return '"' + text.replace("\0", "\\u0000") + '"'
