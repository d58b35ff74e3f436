"""The page in a headless Chromium with a microphone that beeps: it talks, lips and sound together, and is silenced."""

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.browser import chromium, complaints, picture
from tests.serve.server import Served, eventually, serving, words

FAKE_MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
SPY = """const Honest = WebSocket; window.sockets = [];
window.WebSocket = class extends Honest { constructor(...given) { super(...given); window.sockets.push(this); } };"""


@pytest.fixture(scope="module")
def talking() -> Iterator[Served]:
    torch.manual_seed(0)
    with serving(capacity=16, say_text=lambda text: (words(len(text)), 16000)) as server:
        yield server


@pytest.fixture(scope="module")
def browser(talking: Served) -> Iterator[Any]:
    with chromium(width=1200, height=800, flags=FAKE_MICROPHONE) as page:
        page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPY})
        yield page


@pytest.fixture
def page(talking: Served, browser: Any) -> Iterator[Any]:
    """A stream has been begun."""
    browser.get(f"http://127.0.0.1:{talking.server.port}/")
    eventually(lambda: bool(browser.find_elements("css selector", "#faces input")))
    browser.find_element("id", "begin").click()
    eventually(lambda: browser.find_element("id", "speak").is_enabled())
    yield browser
    assert complaints(browser) == []


def figures(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.execute_script("return window.vividhead.figures()")
    return found


def say(page: Any, text: str) -> None:
    page.find_element("id", "text").send_keys(text)
    page.find_element("id", "say").click()


def test_the_face_is_shown_at_rest_and_its_lips_go_with_its_words(page: Any, tmp_path: Path) -> None:
    eventually(lambda: figures(page)["shownFrame"] is not None)
    assert figures(page)["spoken"] == 0

    def holds() -> bool:  # said again where a machine at its limits shows few of the pictures
        now = figures(page)
        if not now["playing"]:
            say(page, "x" * 4)
            eventually(lambda: figures(page)["playing"] > 0)
        return now["spoken"] > 50 and now["skewMs"] <= 40

    eventually(holds)
    drawn = page.execute_script(
        "const c = document.getElementById('head'); return [...c.getContext('2d').getImageData(0, 0, 16, 16).data]"
    )
    assert np.std(np.reshape(drawn, (-1, 4))[:, :3]) > 5
    assert page.find_element("id", "skew").text != "–"
    picture(page, tmp_path / "speaking.png", 1200, 800)
    assert (tmp_path / "speaking.png").stat().st_size > 10000


def test_pictures_come_as_vp8_where_the_browser_decodes_it_and_as_jpeg_where_asked(
    page: Any, talking: Served, browser: Any
) -> None:
    eventually(lambda: figures(page)["shownFrame"] is not None)
    now = figures(page)
    assert now["codec"] == "vp8" and now["undecoded"] == 0
    browser.get(f"http://127.0.0.1:{talking.server.port}/?video=jpeg")
    eventually(lambda: bool(browser.find_elements("css selector", "#faces input")))
    browser.find_element("id", "begin").click()
    eventually(lambda: figures(page).get("shownFrame") is not None)
    assert figures(page)["codec"] == "jpeg" and figures(page)["undecoded"] == 0


def test_interrupted_it_is_silent_at_once_and_speaks_again_when_asked(page: Any) -> None:
    say(page, "x" * 30)
    eventually(lambda: figures(page)["playing"] > 0)
    script = "document.getElementById('interrupt').click(); return window.vividhead.figures()"
    after = page.execute_script(script)
    assert after["playing"] == 0 and after["bufferS"] == 0
    received = figures(page)["received"]
    eventually(lambda: figures(page)["shownFrame"] > after["shownFrame"] + 30)  # at rest again
    assert figures(page)["received"] == received and figures(page)["playing"] == 0
    say(page, "xx")
    eventually(lambda: figures(page)["received"] >= received + 45)


def test_a_broken_connection_is_resumed_without_being_asked(page: Any, talking: Served) -> None:
    eventually(lambda: figures(page)["shownFrame"] is not None)
    keys = set(talking.lobby._sessions)
    page.execute_script("window.sockets.at(-1).close()")
    eventually(lambda: figures(page)["resuming"] == 1 and page.execute_script("return window.sockets.length") == 2)
    say(page, "xxx")
    eventually(lambda: figures(page)["received"] > 40)
    assert set(talking.lobby._sessions) == keys


def test_what_was_interrupted_as_the_connection_broke_is_not_said_after_it(page: Any, talking: Served) -> None:
    say(page, "x" * 30)
    eventually(lambda: figures(page)["playing"] > 0)
    (session,) = (s for s in talking.lobby._sessions.values() if s.attached)
    page.execute_script("window.sockets.at(-1).close(); document.getElementById('interrupt').click()")
    received = figures(page)["received"]
    say(page, "xx")  # while there is no connection: it is said when there is one
    eventually(lambda: figures(page)["received"] >= received + 45)
    eventually(lambda: not session.is_busy)
    shown = figures(page)["shownFrame"]
    eventually(lambda: figures(page)["shownFrame"] > shown + 60)
    assert figures(page)["received"] <= received + 51 and session.epoch == 1


def test_a_page_that_is_not_drawn_speaks_on(page: Any) -> None:
    page.execute_script(
        "Object.defineProperty(document, 'hidden', { get: () => true }); window.requestAnimationFrame = () => 0"
    )
    say(page, "x" * 9)
    eventually(lambda: figures(page)["received"] >= 220)


def test_the_microphone_is_spoken(page: Any) -> None:
    button = page.find_element("id", "microphone")
    button.click()
    eventually(lambda: button.get_attribute("aria-pressed") == "true")
    eventually(lambda: figures(page)["received"] > 30)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_a_recording_is_spoken(page: Any, tmp_path: Path) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(22050)
        out.writeframes((np.repeat(words(2, 22050), 2) * 32767).astype("<i2").tobytes())
    (tmp_path / "said.wav").write_bytes(file.getvalue())
    page.find_element("id", "audio").send_keys(str(tmp_path / "said.wav"))
    eventually(lambda: figures(page)["received"] in (50, 51))


def test_a_picture_that_is_none_is_refused_with_its_reason(talking: Served, browser: Any, tmp_path: Path) -> None:
    browser.get(f"http://127.0.0.1:{talking.server.port}/")
    eventually(lambda: bool(browser.find_elements("css selector", "#faces input")))
    (tmp_path / "none.png").write_bytes(b"not a picture")
    (tmp_path / "other.png").write_bytes(b"neither")
    browser.find_element("id", "portrait").send_keys(str(tmp_path / "none.png"))
    eventually(lambda: len(browser.find_elements("css selector", "#faces input")) == 2)
    browser.find_element("id", "begin").click()
    eventually(lambda: "not a PNG" in browser.find_element("id", "state").text)
    assert browser.find_element("id", "begin").is_enabled()
    browser.find_element("id", "portrait").send_keys(str(tmp_path / "other.png"))
    eventually(lambda: browser.execute_script("return document.querySelectorAll('#faces input').length") == 2)
    assert browser.find_element("css selector", "#faces label:last-child input").is_selected()


def test_nobody_else_is_asked_for_anything_and_everything_has_a_name(page: Any, talking: Served) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    own = (f"http://127.0.0.1:{talking.server.port}/", f"blob:http://127.0.0.1:{talking.server.port}/", "data:")
    assert asked and [name for name in asked if not name.startswith(own)] == []
    unnamed = page.execute_script(
        """return [...document.querySelectorAll('button, input, canvas, img')].filter((e) =>
        !(e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.labels?.[0]?.querySelector('img')?.alt
          || e.getAttribute('aria-label') || e.alt)).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
