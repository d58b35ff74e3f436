"""One file over HTTP into a part file: resumed where it was cut, stopped when it grows beyond its published size."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from vividhead.errors import StorageError, VividHeadError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, where known, the bytes that there will be."""

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


def download(address: str, part: Path, published_bytes: int | None, resume: bool, progress: Progress) -> None:
    """Bring `address` into `part`, going on from the bytes that are there if `resume` (its digest must be known).

    Raises NotThereError, StorageError, or VividHeadError that says how far it came; the part is kept for the next run.
    """
    if not address.startswith(("https://", "http://")):
        raise VividHeadError(f"{address} is no https or http address")
    if not resume:
        part.unlink(missing_ok=True)
    failures, why = 0, ""
    while failures < TRIES:
        if failures:
            time.sleep(PAUSE_S * 2 ** (failures - 1))
        before = _size(part)
        if published_bytes and before == published_bytes:
            return
        try:
            expected = _attempt(address, part, published_bytes, progress)
        except (http.client.HTTPException, OSError) as fault:  # of the network; those of the disk are StorageError
            why = _reason(fault, address)
            if isinstance(fault, urllib.error.HTTPError) and fault.code == 416:
                part.unlink(missing_ok=True)  # it holds more than the file there
        else:
            if _size(part) == expected:
                return
            why = f"the connection was cut after {_size(part):,} of {expected:,} bytes"
        failures = 0 if _size(part) > before else failures + 1
    raise VividHeadError(f"{address}: {why}; run the same command again to go on from {_size(part):,} bytes")


def _attempt(address: str, part: Path, published_bytes: int | None, progress: Progress) -> int:
    """Append what one request brings; returns the bytes that the whole file should have."""
    have = _size(part)
    headers = {"User-Agent": "vividhead", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - `download` has checked the scheme
    with urllib.request.build_opener(_NoDowngrade).open(request, timeout=_TIMEOUT_S) as answer:
        if have and (answer.status != 206 or not (answer.headers["Content-Range"] or "").startswith(f"bytes {have}-")):
            have = 0  # the server sends the file from its beginning
        length = answer.headers["Content-Length"]
        announced = have + int(length) if length and length.isdecimal() else None
        total = published_bytes or announced
        whole = announced in (None, total) and _pour(answer, part, have, total, progress)
    if not whole:
        part.unlink(missing_ok=True)
        has = f"{announced:,}" if announced not in (None, total) else "more"
        raise VividHeadError(f"{address} has {has} bytes, the published file {total:,}: another file, nothing was kept")
    return _size(part) if total is None else total


def _pour(answer: http.client.HTTPResponse, part: Path, have: int, total: int | None, progress: Progress) -> bool:
    """Write an answer's body after the first `have` bytes; False as soon as it grows beyond `total`."""
    with _writable(part, "ab" if have else "wb") as file:
        while chunk := answer.read(_CHUNK_BYTES):
            have += len(chunk)
            if total is not None and have > total:
                return False
            try:
                file.write(chunk)
                file.flush()
            except OSError as fault:
                raise StorageError(f"cannot write {part}: {fault.strerror}") from fault
            progress(have, total)
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
        raise NotThereError(
            f"{address}: not found (HTTP {fault.code}); --from names another folder or address"
        ) from fault
    if fault.code not in _RETRIED and fault.code != 416:
        raise VividHeadError(f"{address}: refused (HTTP {fault.code} {fault.reason})") from fault
    return f"HTTP {fault.code} {fault.reason}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
