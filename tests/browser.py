"""A headless Chromium for tests of pages. Skipped where Debian's chromium and chromium-driver are not installed."""

import base64
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

QUIET = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --mute-audio""".split()
"""Without the network flags Chromium asks its maker's servers at every start."""


@contextlib.contextmanager
def chromium(*, width: int = 1300, height: int = 900, dark: bool = False, flags: Sequence[str] = ()) -> Iterator[Any]:
    """A selenium driver on an empty profile."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[dev]'")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    with tempfile.TemporaryDirectory(prefix="vividhead-browser-", ignore_cleanup_errors=True) as profile:
        for flag in (*QUIET, *flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        page = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
        try:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            yield page
        finally:
            page.quit()


def picture(page: Any, path: Path, width: int, height: int) -> None:
    """Store the top of the page as PNG."""
    box = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    found = page.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": box}
    )
    path.write_bytes(base64.b64decode(found["data"]))


def complaints(page: Any) -> list[str]:
    """What the browser wrote to its console as an error: scripts that failed, what the content policy refused."""
    return [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
