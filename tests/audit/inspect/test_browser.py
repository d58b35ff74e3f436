"""The inspector's page in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit.inspect.conftest import HOSTILE
from tests.audit.inspect.server import Inspector
from tests.browser import chromium, complaints
from vividhead.labels import read_labels
from vividhead.manifest import read


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as page:
        yield page


def wait(page: Any, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 30).until(lambda p: p.execute_script(f"return {script}"))


def opened(page: Any, server: Inspector, words: str = "") -> None:
    page.get("about:blank")
    page.get(f"http://127.0.0.1:{server.port}/#{words}")
    wait(page, "document.querySelectorAll('#rows tr').length > 0")


def text(page: Any, selector: str) -> str:
    return str(page.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def test_a_deep_link_opens_its_clip_with_video_landmarks_and_curves(
    browser: Any, inspector: Inspector, inspected: Path
) -> None:
    row = read(inspected / "manifest.parquet").to_pylist()[0]
    opened(browser, inspector, f"clip={row['clip_id']}")
    wait(browser, "document.getElementById('video').readyState >= 2")
    wait(browser, "document.querySelectorAll('#curves svg').length === 2")
    wait(browser, "state.points !== null")
    assert row["clip_id"] in text(browser, "#clip-about")
    assert browser.execute_script("return document.getElementById('video').videoWidth") == 512
    browser.execute_script("document.getElementById('video').currentTime = 1")
    drawn = (
        "[...document.getElementById('overlay').getContext('2d').getImageData(0, 0, 300, 300).data].some(v => v > 0)"
    )
    wait(browser, drawn)
    assert complaints(browser) == []


def test_a_rejected_clip_plays_out_of_its_source(browser: Any, inspector: Inspector) -> None:
    opened(browser, inspector, "state=rejected")
    browser.execute_script("document.querySelector('#rows tr button').click()")
    wait(browser, "document.getElementById('video').readyState >= 2 && document.getElementById('video').duration > 2")
    assert text(browser, "#clip-title").startswith("Rejected")
    assert text(browser, "#reasons li")
    assert complaints(browser) == []


def test_keys_move_and_label_and_the_label_is_stored(browser: Any, inspector: Inspector, inspected: Path) -> None:
    from selenium.webdriver.common.by import By

    opened(browser, inspector, "state=kept")
    browser.execute_script("document.querySelector('#rows tr').click()")
    wait(browser, "state.clip !== null")
    first = browser.execute_script("return state.clip.clip_id")
    before = len(read_labels(inspected))
    browser.find_element(By.TAG_NAME, "body").send_keys("b")
    wait(browser, "document.querySelector('#rows .bad') !== null")
    assert [label.clip_id for label in read_labels(inspected)[before:]] == [first]
    assert "bad" in text(browser, "#judged")


def test_counts_follow_a_limit_that_is_changed_in_the_page(browser: Any, large: Inspector) -> None:
    opened(browser, large, "view=compare")
    wait(browser, "document.querySelectorAll('#compared dd').length === 8")
    before = text(browser, "#compared div:nth-child(2)")
    change = """const box = document.querySelector('[aria-label="framing.face_height_px_in_source, B from"]');
        box.value = 400; box.dispatchEvent(new Event('input'));"""
    browser.execute_script(change)
    wait(browser, f"document.querySelector('#compared div:nth-child(2)').textContent !== {before!r}")
    lost = int(text(browser, "#compared div:nth-child(3) dd").split()[0].replace(",", ""))
    assert lost > 0
    assert complaints(browser) == []


def test_a_hostile_file_name_stays_text(browser: Any, large: Inspector) -> None:
    opened(browser, large, "text=%3Cimg%20src%3Dx")
    browser.execute_script("document.querySelector('#rows tr').click()")
    wait(browser, "state.clip !== null && document.getElementById('no-video').textContent.includes('played')")
    assert HOSTILE in text(browser, "#source")
    assert browser.execute_script("return document.querySelectorAll('#clips-view img').length") == 0
    assert browser.title != "owned"


def test_nothing_is_asked_of_other_servers(browser: Any, inspector: Inspector) -> None:
    opened(browser, inspector)
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked and all(name.startswith((f"http://127.0.0.1:{inspector.port}/", "data:")) for name in asked)


@pytest.mark.parametrize("width", [1300, 400])
def test_the_page_is_never_wider_than_the_window(inspector: Inspector, inspected: Path, width: int) -> None:
    clip_id = read(inspected / "manifest.parquet")["clip_id"][0]
    with chromium(width=width, dark=True) as page:
        opened(page, inspector, f"clip={clip_id}")
        wait(page, "document.querySelectorAll('#curves svg').length === 2")
        assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
