"""Who may ask the inspector, and from where."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.inspect.server import Inspector, inspecting
from vividhead.audit.inspect.guard import Access, is_loopback

TOKEN = "a-token-of-the-test"  # noqa: S105 - it guards a server of this test


@pytest.fixture(scope="module")
def guarded(tables_only: Path) -> Iterator[Inspector]:
    with inspecting(tables_only, Access(None, TOKEN)) as server:
        yield server


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost@evil.example"]
)
def test_a_name_that_is_not_ours_is_refused(large: Inspector, host: str) -> None:
    answer = large.ask("/api/clips", Host=host)
    assert answer.status == 421 and b"clip_id" not in answer.body


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8765", "[::1]", "LOCALHOST"])
def test_our_own_names_are_taken(large: Inspector, host: str) -> None:
    assert large.ask("/api/dataset", Host=host).status == 200


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/clips", "/nothing", "/api/clips/x/video"])
def test_every_answer_forbids_what_the_page_does_not_need(large: Inspector, path: str) -> None:
    headers = large.ask(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/static/../app.py", "/app.py",
     "/api/clips/..%2f..%2frun.toml/video",
     "/api/clips/%2e%2e/video", "//etc/passwd", "/api/clips/" + "x" * 5000],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(large: Inspector, path: str) -> None:
    answer = large.ask(path)
    assert answer.status in (400, 404, 414, 422) and b"root:" not in answer.body


def test_other_sites_cannot_write(large: Inspector) -> None:
    body = {"a": [], "b": []}
    assert large.ask("/api/compare", body, Origin="https://evil.example").status == 403
    assert large.ask("/api/compare", body, Origin="null").status == 403
    assert large.ask("/api/compare", body, Content_Type="text/plain").status == 415
    own = f"http://127.0.0.1:{large.port}"
    assert large.ask("/api/compare", body, Origin=own).status == 200


def test_a_huge_body_is_refused(large: Inspector) -> None:
    assert large.ask("/api/labels", b"[" * 200_000).status == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_there_is_nothing_to_put_or_delete(large: Inspector, method: str) -> None:
    assert large.ask("/api/labels", {}, method=method).status == 405


def test_without_the_token_there_is_no_answer(guarded: Inspector) -> None:
    for path in ("/", "/api/clips", "/app.js"):
        assert guarded.ask(path).status == 401
    assert guarded.ask("/?token=wrong").status == 401
    assert guarded.ask("/api/clips", Authorization="Bearer wrong").status == 401
    assert guarded.ask("/api/clips", Cookie="vividhead_token=ü").status == 401


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(guarded: Inspector) -> None:
    answer = guarded.ask(f"/?token={TOKEN}", Host="anywhere.example")
    assert answer.status == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert guarded.ask("/api/clips", Cookie=cookie.split(";")[0]).status == 200
    assert guarded.ask("/api/clips", Authorization=f"Bearer {TOKEN}").status == 200


def test_the_token_cannot_send_a_visitor_elsewhere(guarded: Inspector) -> None:
    assert guarded.ask(f"//evil.example/?token={TOKEN}").headers["location"] == "/"


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),  # noqa: S104
     ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_only_loopback_does_without_a_token(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone
