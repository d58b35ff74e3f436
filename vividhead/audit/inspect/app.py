"""The inspector's addresses: three files, and JSON about clips. Everything is read only but labels."""

import contextlib
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from vividhead.audit.inspect.current import Current, View
from vividhead.audit.inspect.guard import Access, Guard
from vividhead.audit.inspect.store import MOST_ROWS, Asked, Limits, Store
from vividhead.audit.tables import Tables
from vividhead.errors import MediaError, UsageError, VividHeadError
from vividhead.labels import MOST_LETTERS, add_label, newest
from vividhead.plain import to_plain
from vividhead.policy import Policy, load_policy
from vividhead.settings import shipped_names

STATIC = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
Number = Annotated[float | None, Field(allow_inf_nan=False)]


class OneRule(BaseModel):
    """A rule as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    id: str
    min: Number = None
    max: Number = None
    unmeasured: Literal["reject", "accept"] = "reject"

    def limits(self) -> Limits:
        """As the store takes it."""
        return Limits(self.id, self.min, self.max, self.unmeasured)


class Comparison(BaseModel):
    """Two sets of rules."""

    model_config = ConfigDict(extra="forbid")
    a: Annotated[list[OneRule], Field(max_length=200)]
    b: Annotated[list[OneRule], Field(max_length=200)]


class Judgement(BaseModel):
    """A label as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    clip_id: Annotated[str, Field(max_length=64)]
    label: Literal["good", "bad"]
    reason: Annotated[str, Field(max_length=MOST_LETTERS)] = ""
    by: Annotated[str, Field(max_length=200)] = ""


def make_app(tables: Tables, access: Access) -> FastAPI:
    """The application over one dataset; raises a VividHeadError where the dataset cannot be read."""
    current = Current(tables)
    folder = tables.folder

    def now() -> Iterator[View]:
        with current.looked() as view:
            yield view

    Now = Annotated[View, Depends(now)]

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        current.close()

    app = FastAPI(title="VividHead inspector", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard, access=access)

    @app.exception_handler(VividHeadError)
    def refuse(_: Request, fault: VividHeadError) -> JSONResponse:
        status = 404 if isinstance(fault, MediaError) else 400 if isinstance(fault, UsageError) else 500
        text = fault.detail if isinstance(fault, MediaError) else str(fault)
        return JSONResponse({"error": text}, status)

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, fault: RequestValidationError) -> JSONResponse:  # without what was sent: it may be no JSON
        return JSONResponse(
            {"error": "; ".join(f"{error['loc'][-1]}: {error['msg']}" for error in fault.errors())}, 422
        )

    def known(view: View, clip_id: str) -> dict[str, Any]:
        clip = view.store.clip(clip_id)
        if clip is None:
            raise HTTPException(404, "there is no such clip")
        return clip

    for path, (name, kind) in STATIC.items():
        app.add_api_route(path, _static(name, kind), methods=["GET"])

    @app.get("/api/dataset")
    def dataset(view: Now) -> dict[str, Any]:
        (counts,) = view.store.rows(
            """SELECT count(*) AS clips, count(*) FILTER (kept AND packed) AS kept,
               coalesce(sum(duration_s), 0) AS seconds FROM clips"""
        )
        return {
            "where": tables.where, "vividhead": version("vividhead"), **counts, "fields": to_plain(_fields(view.store)),
            "codes": view.store.codes(), "own": _plain(view.own),
            "filters": ["(the dataset's own)", *shipped_names("filters")], "can_label": folder is not None,
            "most_rows": MOST_ROWS,
        }  # fmt: skip

    @app.get("/api/filters")
    def filters(view: Now, name: str) -> dict[str, Any]:
        if name not in shipped_names("filters"):
            return _plain(view.own)
        policy = load_policy(name, view.tables.names("measurements"))
        return _plain(replace(policy, rules=tuple(rule for rule in policy.rules if rule.id in view.store.fields)))

    @app.get("/api/clips")
    def clips(
        view: Now, state: str = "all", code: str = "", text: Annotated[str, Query(max_length=500)] = "",
        label: str = "", field: str = "", low: Number = None, high: Number = None,
        sort: str = "clip_id", descending: bool = False,
        offset: Annotated[int, Query(ge=0, le=2**40)] = 0, limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
    ) -> dict[str, Any]:  # fmt: skip
        asked = Asked(
                state=state, code=code, text=text, label=label, field=field, low=low, high=high, sort=sort,
                descending=descending, offset=offset, limit=limit,
            )  # fmt: skip
        return dict(_finite(view.store.page(asked)))

    @app.get("/api/clips/{clip_id}")
    def clip(view: Now, clip_id: str) -> dict[str, Any]:
        found = known(view, clip_id)
        return dict(_finite({"clip": found, "siblings": view.store.of_source(found["source_id"])}))

    @app.get("/api/clips/{clip_id}/video")
    def video(view: Now, clip_id: str, request: Request) -> Response:
        return _part(view.sight.video(known(view, clip_id)), request.headers.get("range"), "video/mp4")

    @app.get("/api/clips/{clip_id}/landmarks")
    def landmarks(view: Now, clip_id: str) -> Response:
        return Response(
            view.sight.landmarks(known(view, clip_id)).astype("<i2").tobytes(), media_type="application/octet-stream"
        )

    @app.get("/api/clips/{clip_id}/curves")
    def curves(view: Now, clip_id: str) -> dict[str, Any]:
        return view.sight.curves(known(view, clip_id))

    @app.post("/api/compare")
    def compare(view: Now, asked: Comparison) -> dict[str, Any]:
        return view.store.compared([rule.limits() for rule in asked.a], [rule.limits() for rule in asked.b])

    @app.get("/api/labels")
    def all_labels(view: Now) -> list[dict[str, Any]]:
        return [to_plain(label) for label in newest(view.labels).values()]

    @app.post("/api/labels")
    def judge(view: Now, asked: Judgement) -> dict[str, Any]:
        known(view, asked.clip_id)
        if folder is None:
            raise UsageError("labels are stored beside the dataset, and this one is in an object store")
        made = add_label(folder, asked.clip_id, asked.label, asked.reason, asked.by, view.tables.digest)
        view.labels.append(made)
        view.store.note([made])
        return dict(to_plain(made))

    return app


def _static(name: str, kind: str) -> Any:
    data = (files("vividhead.audit") / "inspect" / "static" / name).read_bytes()

    def answer() -> Response:
        return Response(data, media_type=kind)

    return answer


def _fields(store: Store) -> Mapping[str, Mapping[str, str]]:
    return {name: {"unit": about.unit, "meaning": about.meaning} for name, about in store.fields.items()}


def _plain(policy: Policy) -> dict[str, Any]:
    rules: Sequence[dict[str, Any]] = [
        {"id": r.id, "min": r.min, "max": r.max, "unmeasured": r.unmeasured, "hard": r.hard, "why": r.why}
        for r in policy.rules
    ]
    return {"name": policy.name, "digest": policy.digest, "rules": rules}


def _finite(value: Any) -> Any:
    """The same without numbers that JSON does not have: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


_DIGITS = re.compile("[0-9]{1,20}")


def _part(data: bytes, asked: str | None, kind: str) -> Response:
    """All of it, or the one range of bytes that a player asks for."""
    headers = {"Accept-Ranges": "bytes"}
    unit, _, span = (asked or "").partition("=")
    first, dash, last = span.partition("-")
    if unit != "bytes" or not dash or "," in span or not _DIGITS.fullmatch(first + last):
        return Response(data, media_type=kind, headers=headers)
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Response(data[start : end + 1], 206, media_type=kind, headers=headers)
