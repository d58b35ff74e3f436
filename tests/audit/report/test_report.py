"""The report: numbers that are the account's, pages that open offline whatever the footage is called."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import Whole

from tests.browser import chromium, complaints
from vividhead.audit.account import account
from vividhead.audit.page import duration
from vividhead.audit.report import report
from vividhead.audit.report.pace import pace_of
from vividhead.cli import main
from vividhead.errors import ConfigError
from vividhead.manifest import parquet, read
from vividhead.testing.large_dataset import make_large_dataset
from vividhead.view import open_dataset

HOSTILE = "</title><script>document.title='owned'</script><img src=http://evil.example/x>\"'.mp4"


class Page(HTMLParser):
    """Tables by caption, tags, addresses and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._into: str | None = None
        self._caption = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "caption":
            self._caption, self._into = "", "caption"
        elif tag == "tr" and self._caption:
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th") and self._caption in self.tables:
            self.tables[self._caption][-1].append("")
            self._into = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("caption", "td", "th"):
            self._into = None
        elif tag == "table":
            self._caption = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._into == "caption":
            self._caption += data
        elif self._into == "cell":
            self.tables[self._caption][-1][-1] += data


@pytest.fixture(scope="module")
def made(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(whole.dataset, tmp_path_factory.mktemp("report") / "report.html", hourly_cost=2.0)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up tables, a source of a hostile name among them."""
    import pyarrow as pa

    path = make_large_dataset(tmp_path_factory.mktemp("large"), 3000)
    for table, column in (("sources", "uri"), ("sources", "language"), ("manifest", "uri")):
        rows = read(path / f"{table}.parquet")
        at = rows.schema.get_field_index(column)
        values = [HOSTILE, *rows[column].to_pylist()[1:]]
        (path / f"{table}.parquet").write_bytes(
            parquet(rows.set_column(at, rows.schema.field(at), pa.array(values, pa.string())))
        )
    return path


def test_reasons_are_those_of_the_account(made: Path, whole: Whole) -> None:
    shown = {(row[1].replace(" ", "_"), row[0]): row[2] for row in Page(made).tables["Seconds by reason"][1:]}
    why = account(open_dataset(whole.dataset)).why()
    assert shown == {(b, c): duration(s) for b, codes in why.items() for c, s in codes.items() if s}


def test_every_chart_has_a_table_with_all_its_clips(made: Path, whole: Whole) -> None:
    page = Page(made)
    clips = open_dataset(whole.dataset).clips()
    fields = [c for c in clips.columns if "." in c and not c.endswith(".status")]
    assert len(fields) > 20
    for field in fields:
        rows = page.tables[f"Clips by {field}"][1:]
        known = clips[clips[field].notna()]
        assert sum(int(row[1]) for row in rows) == known["kept"].sum()
        assert sum(int(row[2]) for row in rows) == (~known["kept"]).sum()
    drawn = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(drawn) >= len(fields) and all(attributes["aria-label"] for attributes in drawn)


def test_limits_of_the_filters_are_drawn_and_explained(made: Path, whole: Whole) -> None:
    from vividhead.audit.clips import own_policy
    from vividhead.audit.tables import Tables

    page = Page(made)
    policy = own_policy(Tables(whole.dataset))
    lines = [attributes for tag, attributes in page.tags if tag == "line" and attributes.get("class") == "limit"]
    assert len(lines) == sum((rule.min is not None) + (rule.max is not None) for rule in policy.rules)
    assert all(rule.why in page.text for rule in policy.rules)


def test_stills_of_kept_and_rejected_clips_are_in_the_page(made: Path, whole: Whole) -> None:
    page = Page(made)
    shown = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"]
    clips = open_dataset(whole.dataset).clips()
    for kept in (True, False):
        assert any(clip_id in alt for alt in shown for clip_id in clips.loc[clips["kept"] == kept, "clip_id"])


def test_the_page_asks_nobody_for_anything(made: Path) -> None:
    for tag, attributes in Page(made).tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base")
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("#", "data:image/jpeg;base64,")), (tag, value)


def test_the_cost_of_a_kept_hour_is_the_machines_hours_times_their_price(made: Path, whole: Whole) -> None:
    found = account(open_dataset(whole.dataset))
    pace = pace_of(whole.dataset, found.footage_s)
    assert pace.work_s is not None and dict(pace.units)["measure"] > 0
    cells = {row[0]: row[1] for row in Page(made).tables["Of the whole run, on all its machines together"][1:]}
    price = pace.work_s / 3600 * 2.0 / (found.seconds()["kept"] / 3600)
    assert float(cells["cost per kept hour, at 2 an hour"].replace(",", "")) == pytest.approx(price, abs=0.01)


def test_the_pace_of_a_copy_is_unknown(whole: Whole, tmp_path: Path) -> None:
    copy = shutil.copytree(whole.dataset, tmp_path / "copy")
    for path in (copy / "ledger").rglob("*"):
        import os

        os.utime(path, (1e9, 1e9))
    assert pace_of(copy, 100.0).work_s is None
    assert "the ledger's file times are those of a copy" in Page(report(copy, tmp_path / "r.html")).text


def test_other_filters_are_shown_without_touching_the_dataset(whole: Whole, tmp_path: Path) -> None:
    from faults.trees import tree

    policy = tmp_path / "none.toml"
    policy.write_text('framing.face_height_px_in_source = { min = 3000, why = "a test" }\n')
    page = Page(report(whole.dataset, tmp_path / "r.html", filters=str(policy)))
    codes = {row[0] for row in page.tables["Seconds by reason"][1:]}
    assert "framing.face_height_px_in_source:low" in codes and "kept" not in codes
    assert "other filters than the dataset was made with" in page.text
    assert tree(whole.dataset) == whole.tree


def test_filters_that_are_none_are_refused(whole: Whole, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        report(whole.dataset, tmp_path / "r.html", filters="no-such-filters")


def test_hostile_names_stay_text(large: Path, tmp_path: Path) -> None:
    out = report(large, tmp_path / "r.html")
    page = Page(out)
    assert HOSTILE in page.text
    assert not any(tag == "script" for tag, _ in page.tags)
    assert not any((attributes.get("src") or "").startswith("http") for _, attributes in page.tags)


def test_skew_of_a_group_is_its_share_after_over_its_share_before(large: Path, tmp_path: Path) -> None:
    rows = Page(report(large, tmp_path / "r.html")).tables["Yield by language"][1:]
    clips = open_dataset(large).clips()
    english = clips["language"] == "en"
    assert english.any()
    before = clips.loc[english, "duration_s"].sum() / clips["duration_s"].sum()
    kept = clips[clips["kept"]]
    after = kept.loc[kept["language"] == "en", "duration_s"].sum() / kept["duration_s"].sum()
    (row,) = [row for row in rows if row[0] == "en"]
    assert row[7] == f"×{after / before:.2f}"


def test_the_verb_says_where_the_page_is(whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(whole.dataset), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out) and out.stat().st_size > 10_000


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_a_browser_shows_it_without_complaint_and_never_wider_than_the_window(
    made: Path, width: int, dark: bool
) -> None:
    with chromium(width=width, dark=dark) as page:
        page.get(made.as_uri())
        assert complaints(page) == []
        assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        assert page.execute_script("return [...document.images].every(i => i.naturalWidth === 192)")
