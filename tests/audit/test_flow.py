"""The account's sums by intervals: the same as painting every frame, on whatever tables."""

from pathlib import Path

import pytest
from conftest import Whole
from hand_made import PIPELINE, Written, make_clip, make_source, policy, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vividhead.audit.account import account
from vividhead.audit.flow import Flow, flow_of
from vividhead.audit.sql import opened
from vividhead.audit.tables import Tables
from vividhead.dataset import run_toml
from vividhead.publish import publish
from vividhead.records import Stretch
from vividhead.view import open_dataset

CODES = ("no_speech", "no_face", "too_short", "failed.corrupt")


def flow(path: Path) -> Flow:
    with opened(Tables(path)) as session:
        return flow_of(session)


def assert_as_account(path: Path) -> None:
    found, painted = flow(path), account(open_dataset(path))
    assert {b: pytest.approx(s) for b, s in painted.seconds().items()} == {b: found.bucket_s(b) for b in found.seconds}
    flat = {(b, c): s for b, codes in painted.why().items() for c, s in codes.items() if abs(s) > 1e-9}
    ours = {(b, c): s for b, codes in found.seconds.items() for c, s in codes.items() if abs(s) > 1e-9}
    assert ours == pytest.approx(flat)
    assert found.footage_s == pytest.approx(painted.footage_s)
    kept = {s.uri: s.seconds["kept"] for s in painted.sources}
    assert dict(zip(found.uris, found.kept_s_N.tolist(), strict=True)) == pytest.approx(kept)


def test_the_flow_of_a_real_run_is_its_account(whole: Whole) -> None:
    assert_as_account(whole.dataset)


spans = st.tuples(st.integers(0, 480), st.integers(1, 200)).map(lambda s: (s[0], min(500, s[0] + s[1])))


@settings(max_examples=40)
@given(
    clips=st.lists(st.tuples(spans, st.booleans(), st.booleans()), max_size=6),
    stretches=st.lists(st.tuples(spans, st.sampled_from(CODES)), max_size=5),
    spare_s=st.sampled_from([0.0, 0.01, -0.01]),
)
def test_overlapping_claims_go_to_the_strongest_as_in_the_account(
    tmp_path_factory: pytest.TempPathFactory, clips: list[tuple[tuple[int, int], bool, bool]],
    stretches: list[tuple[tuple[int, int], str]], spare_s: float,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("flow")
    written = Written(path, make_source(duration_s=20.0 + spare_s))
    written.scan((0, 500), stretches=tuple(Stretch(start_frame=a, end_frame=b, code=c) for (a, b), c in stretches))
    made = [make_clip(written.segment, a, b, track=at) for at, ((a, b), _, _) in enumerate(clips)]
    rows = [
        row
        for clip, (_, is_large, is_sharp) in zip(made, clips, strict=True)
        for row in rows_of(clip, face_px=300 if is_large else 100, blurs=100 if is_sharp else None)
    ]
    written.measure(made, rows)
    chain = written.chain()
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    publish(path, chain, finished=False)
    (path / "run.toml").write_text(run_toml("footage", PIPELINE, policy()))
    assert_as_account(path)
