"""One file over HTTP into a part file: resumed where it was cut, refused when it has another size than published."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from vividhead.errors import StorageError, VividHeadError

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes that there will be."""

TRIES = 5
"""Attempts in a row that may bring nothing before we give up."""
PAUSE_S = 1.0
"""Before the second attempt; doubles with each further one."""
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotThereError(VividHeadError):
    """The address holds no such file (404, 410)."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise VividHeadError(f"{req.full_url} leads to {newurl}, which is not https; nothing was taken from there")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(address: str, part: Path, size_bytes: int, resume: bool, progress: Progress) -> None:
    """Bring `address` into `part`, going on from the bytes that are there if `resume` (its digest must be known).

    Raises NotThereError, StorageError, or VividHeadError that says how far it came; the part is kept for the next run.
    """
    if not address.startswith(("https://", "http://")):
        raise VividHeadError(f"{address} is no https or http address")
    if not resume or _size(part) > size_bytes:
        part.unlink(missing_ok=True)
    failures, why = 0, ""
    began = furthest = _size(part)
    while _size(part) < size_bytes:
        if failures == TRIES:
            raise _given_up(address, why, part)
        if failures:
            time.sleep(PAUSE_S * 2 ** (failures - 1))
        try:
            _attempt(address, part, size_bytes, progress)
            why = f"the connection was cut after {_size(part):,} of {size_bytes:,} bytes"
        except (http.client.HTTPException, OSError) as fault:  # of the network; those of the disk are StorageError
            why = _reason(fault, address)
            unreached = isinstance(fault, urllib.error.URLError) and not isinstance(fault, urllib.error.HTTPError)
            if unreached and furthest == began:  # not a passing cut: a wrong address, or no network
                raise _given_up(address, why, part) from fault
        failures = 0 if _size(part) > furthest else failures + 1
        furthest = max(furthest, _size(part))


def _attempt(address: str, part: Path, size_bytes: int, progress: Progress) -> None:
    """Append what one request brings; it may be cut short. Raises VividHeadError for a file of another size."""
    have = _size(part)
    headers = {"User-Agent": "vividhead", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - `download` has checked the scheme
    with urllib.request.build_opener(_NoDowngrade).open(request, timeout=_TIMEOUT_S) as answer:
        if have and (answer.status != 206 or not (answer.headers["Content-Range"] or "").startswith(f"bytes {have}-")):
            have = 0  # the server sends the file from its beginning
        length = answer.headers["Content-Length"]
        announced = have + int(length) if length and length.isdecimal() else size_bytes
        whole = announced == size_bytes and _pour(answer, part, have, size_bytes, progress)
    if not whole:
        part.unlink(missing_ok=True)
        has = f"{announced:,}" if announced != size_bytes else "more"
        raise VividHeadError(f"{address} has {has} bytes, the published file {size_bytes:,}: nothing was kept of it")


def _pour(answer: http.client.HTTPResponse, part: Path, have: int, size_bytes: int, progress: Progress) -> bool:
    """Write an answer's body after the first `have` bytes; False as soon as it grows beyond the file's size."""
    with _writable(part, "ab" if have else "wb") as file:
        while chunk := answer.read(_CHUNK_BYTES):
            have += len(chunk)
            if have > size_bytes:
                return False
            try:
                file.write(chunk)
                file.flush()
            except OSError as fault:
                raise StorageError(f"cannot write {part}: {fault.strerror}") from fault
            progress(have, size_bytes)
    return True


def _writable(part: Path, mode: str) -> IO[bytes]:
    try:
        return part.open(mode)
    except OSError as fault:
        raise StorageError(f"cannot write {part}: {fault.strerror}") from fault


def _reason(fault: Exception, address: str) -> str:
    """What to say of a failed attempt; raises where a further one would be no use."""
    if not isinstance(fault, urllib.error.HTTPError):
        return f"no connection ({getattr(fault, 'reason', None) or fault or type(fault).__name__})"
    if fault.code in (404, 410):
        raise NotThereError(f"{address}: not found (HTTP {fault.code}); --from names another source") from fault
    if fault.code not in _RETRIED:
        raise VividHeadError(f"{address}: refused (HTTP {fault.code} {fault.reason})") from fault
    return f"HTTP {fault.code} {fault.reason}"


def _given_up(address: str, why: str, part: Path) -> VividHeadError:
    have = _size(part)
    return VividHeadError(
        f"{address}: {why}; run the same command again" + (f" to go on after {have:,} bytes" if have else "")
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
