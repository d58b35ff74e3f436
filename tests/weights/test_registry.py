"""The registry: complete, within its folders, and honest about what is not known."""

import re
from pathlib import Path

import pytest

from vividhead.errors import UsageError
from vividhead.weights import MODELS, File, Licence, Model, model
from vividhead.weights.report import COMMERCIAL

FILES = [(known, file) for known in MODELS for file in known.files]


@pytest.mark.parametrize("known", MODELS, ids=lambda known: known.name)
def test_every_model_says_what_it_is_for_and_under_which_licence(known: Model) -> None:
    assert known.role
    assert known.used_by
    assert known.licence.name
    assert known.licence.commercial or known.licence.note
    assert model(known.name) is known


@pytest.mark.parametrize(("known", "file"), FILES, ids=lambda thing: thing.name)
def test_every_file_has_a_source_a_size_and_a_digest_or_none(known: Model, file: File) -> None:
    source = file.address or (known.archive.address if known.archive else "")
    assert source.startswith("https://")
    assert file.size_bytes > 0
    assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_only_small_settings_lack_a_published_digest() -> None:
    assert {file.name for _, file in FILES if file.sha256 is None} == {"config.json"}


def test_names_and_folders_are_used_once() -> None:
    assert len({known.name for known in MODELS}) == len({known.folder for known in MODELS}) == len(MODELS)


def test_addresses_of_repositories_name_one_revision() -> None:
    hosted = [file.address for _, file in FILES if "huggingface.co" in file.address or "githubuser" in file.address]
    assert hosted
    assert all(re.search("/[0-9a-f]{40}/", address) for address in hosted)


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/passwd", "a/b", "..", "", "a\\b", "."])
def test_a_file_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a file or folder"):
        File(name=name, address="https://example.org/x", size_bytes=1)


@pytest.mark.parametrize("folder", ["../elsewhere", "/tmp", "a/../../b", ""])
def test_a_folder_that_leaves_the_weights_folder_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="is no name of a file or folder"):
        Model(name="x", role="x", folder=folder, licence=Licence(name="MIT", commercial=True), files=())


@pytest.mark.parametrize("known", MODELS, ids=lambda known: known.name)
def test_the_page_says_what_the_registry_says(known: Model) -> None:
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    use, needed = COMMERCIAL[known.licence.commercial], ", ".join(known.used_by)
    row = (known.name, known.folder, f"{known.size_bytes:,}", known.licence.name, use, needed)
    assert f"| {' | '.join(row)} |" in page
    assert known.licence.note in page
    unknown = [file.name for file in known.files if file.sha256 is None]
    assert bool(unknown) == (known.name in page.split("Without a published digest: ")[1].split("\n\n")[0])
