"""Judging, and reading policies with all their mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vividhead.score
from vividhead.errors import ConfigError
from vividhead.policy import Policy, Rule, broken_hard, judge, load_policy
from vividhead.records import Measurement, Status
from vividhead.score import Field

Load = Callable[..., Policy]


class Focus:
    fields = {
        "laplacian": Field("luma²", "higher is sharper", 0),
        "ratio": Field("1", "share of sharp frames", 0, 1),
    }


class Sync:
    fields = {"offset_ms": Field("ms", "sound after picture", -600, 600)}


class Size:
    fields = {"height_px": Field("px", "height of the face", 0)}


FAKES = {"focus": Focus, "size": Size, "sync": Sync}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Read the text of a policy on three made-up scores, all of them measured unless said otherwise."""
    monkeypatch.setattr(vividhead.score, "score_names", lambda: sorted(FAKES))
    monkeypatch.setattr(vividhead.score, "score_class", FAKES.__getitem__)

    def read(text: str, measured: tuple[str, ...] = tuple(FAKES)) -> Policy:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_policy(str(path), measured)

    return read


def row(score: str, status: Status = "measured", code: str = "", detail: str = "", **values: float) -> Measurement:
    about = {"clip_id": "c", "score": score, "version": 1, "fingerprint": ""}
    return Measurement(**about, status=status, code=code, detail=detail, values=values)


def policy(*rules: Rule) -> Policy:
    return Policy(name="p", rules=rules)


def rule(id: str, **keys: object) -> Rule:
    score, field = id.split(".")
    return Rule(score=score, field=field, why="because", **keys)  # type: ignore[arg-type]


def codes(rules: Policy, *rows: Measurement) -> list[str]:
    return [reason.code for reason in judge(rules, "c", {r.score: r for r in rows}).reasons]


def test_a_policy_file_becomes_rules_in_its_order(load: Load) -> None:
    found = load("""
        description = "two lines"
        sync.offset_ms = { min = -40, max = 40.5, unmeasured = "accept", why = "a frame" }
        focus.ratio = { max = 1, hard = true, why = "all" }
    """)
    assert found.name == "mine"
    assert found.description == "two lines"
    assert found.rules == (
        Rule(score="sync", field="offset_ms", min=-40.0, max=40.5, unmeasured="accept", why="a frame"),
        Rule(score="focus", field="ratio", max=1.0, hard=True, why="all"),
    )
    assert "two lines" in found.text


def test_a_rule_may_also_stand_in_a_section(load: Load) -> None:
    dotted = load('size.height_px = { min = 9, why = "w" }')
    section = load('[size]\nheight_px = { min = 9, why = "w" }')
    assert dotted.rules == section.rules


WRONG = {
    'focsu.ratio = { min = 0, why = "w" }': "focsu is no score; did you mean focus? There are focus, size",
    'zzz.ratio = { min = 0, why = "w" }': "zzz is no score; there are focus, size, sync",
    'focus.lapl = { min = 0, why = "w" }': "is no field; did you mean laplacian? Its fields are",
    'focus.ratio = { mim = 0, max = 1, why = "w" }': "focus.ratio has no key 'mim'; did you mean min?",
    'focus.ratio = { min = 0.5, max = 0.4, why = "w" }': "focus.ratio min 0.5 is above max 0.4",
    'focus.ratio = { why = "w" }': "focus.ratio limits nothing: give min, max or both",
    'focus.ratio = { min = "0", why = "w" }': "focus.ratio min must be a number, not '0'",
    'focus.ratio = { min = true, why = "w" }': "focus.ratio min must be a number, not true",
    'focus.ratio = { min = nan, why = "w" }': "focus.ratio min must be a finite number, not nan",
    'sync.offset_ms = { max = inf, why = "w" }': "sync.offset_ms max must be a finite number, not inf",
    f'size.height_px = {{ max = {"9" * 400}, why = "w" }}': "size.height_px max must be a finite number",
    'focus.ratio = { min = 40, why = "w" }': "min 40 is outside what the field can be: 0 … 1",
    'size.height_px = { max = -1, why = "w" }': "is outside what the field can be: 0 … inf px",
    "focus.ratio = { min = 0.5 }": "focus.ratio lacks its why",
    'focus.ratio = { min = 0.5, why = " " }': "focus.ratio lacks its why",
    "focus.ratio = { min = 0.5, why = 3 }": "focus.ratio lacks its why",
    'focus.ratio = { min = 0.5, hard = "yes", why = "w" }': "hard must be true or false, not 'yes'",
    'focus.ratio = { min = 0.5, unmeasured = "keep", why = "w" }': "must be 'reject' or 'accept', not 'keep'",
    'focus.ratio = { min = 0.5, unmeasured = [], why = "w" }': "must be 'reject' or 'accept', not []",
    "focus.ratio = 0.5": 'focus.ratio must be { min = …, max = …, why = "…" }, not 0.5',
    "focus = 0.5": "focus must be followed by a field, as in focus.<field> = { … }",
    "description = 5": "description must be a text in quotes, not 5",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_named(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert len(caught.value.mistakes) == 1
    assert WRONG[text] in caught.value.mistakes[0]
    assert str(caught.value).endswith(f"mine.toml: {caught.value.mistakes[0]}")


def test_all_mistakes_of_a_file_are_named_at_once(load: Load) -> None:
    separate = [line for line in WRONG if line.startswith(("focsu.", "zzz.", "focus.l", "sync.", "description"))]
    both = 'size.height_px = { min = 9, max = 2, hard = 1, colour = "red" }'
    with pytest.raises(ConfigError) as caught:
        load("\n".join([*separate, both]))
    assert len(caught.value.mistakes) == len(separate) + 4


def test_a_rule_on_a_score_that_is_not_measured_is_a_mistake(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"size is not measured by .*: .* measured are focus, sync"):
        load('size.height_px = { min = 9, why = "w" }', measured=("focus", "sync"))


def test_broken_toml_is_named_with_its_line(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml: is not TOML: .*\(at the end, line 2\)"):
        load("\nfocus.ratio = { min = 0.5, ")
    with pytest.raises(ConfigError, match=r"mine\.toml: is not TOML: .*\(at line 2, column"):
        load('focus.ratio = { min = 0, why = "w" }\nfocus.ratio = { min = 1, why = "w" }\n')


def test_what_cannot_be_read_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"description = '\xe9'")
    with pytest.raises(ConfigError, match=r"latin\.toml: is not UTF-8 text \(byte 15\)"):
        load_policy(str(tmp_path / "latin.toml"), [])
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_policy(f"{tmp_path}/", [])


@pytest.mark.parametrize("missing", ["talking-haed", "nowhere/talking-haed.toml"])
def test_a_missing_policy_lists_the_shipped_ones(missing: str) -> None:
    with pytest.raises(ConfigError, match=r"is not there.* are strict, talking-head;"):
        load_policy(missing, [])


def test_a_misspelt_name_is_guessed() -> None:
    with pytest.raises(ConfigError, match=r"did you mean talking-head\? Shipped filters are"):
        load_policy("talking-haed", [])


def test_the_digest_ignores_what_decides_nothing(load: Load) -> None:
    plain = load('focus.ratio = { min = 0.0, max = 1.0, why = "w" }')
    dressed = load("""# a comment
        description = "other"
        focus.ratio = { max = 1, min = -0.0, unmeasured = "reject", why = "another reason" }  # and why
    """)
    assert plain.digest == dressed.digest
    assert len(plain.digest) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"min": 0.26}, {"min": None}, {"max": 0.76}, {"max": None},
        {"hard": True}, {"unmeasured": "accept"}, {"score": "x"}, {"field": "x"},
    ],
)  # fmt: skip
def test_the_digest_changes_with_all_that_decides(change: Mapping[str, object]) -> None:
    before = rule("focus.ratio", min=0.25, max=0.75)
    after = replace(before, **change)  # type: ignore[arg-type]
    assert policy(before).digest != policy(after).digest
    assert policy(before, after).digest != policy(after, before).digest


def test_both_ends_are_included() -> None:
    limits = policy(rule("sync.offset_ms", min=-40.0, max=40.0))
    assert codes(limits, row("sync", offset_ms=-40)) == []
    assert codes(limits, row("sync", offset_ms=40)) == []
    assert codes(limits, row("sync", offset_ms=-40.001)) == ["sync.offset_ms:low"]
    assert codes(limits, row("sync", offset_ms=40.001)) == ["sync.offset_ms:high"]


def test_a_reason_holds_value_and_limit_beside_the_code() -> None:
    decision = judge(policy(rule("sync.offset_ms", max=40.0)), "c", {"sync": row("sync", offset_ms=80)})
    (reason,) = decision.reasons
    assert not decision.kept
    assert (reason.field, reason.value, reason.limit, reason.detail) == ("sync.offset_ms", 80, 40.0, "")


def test_all_broken_rules_are_listed_in_the_policys_order() -> None:
    rules = policy(rule("sync.offset_ms", max=0.0), rule("focus.ratio", min=0.5), rule("size.height_px", min=9.0))
    found = codes(rules, row("size", height_px=3), row("focus", ratio=0.5), row("sync", offset_ms=1))
    assert found == ["sync.offset_ms:high", "size.height_px:low"]


def test_an_unknown_value_is_refused_with_its_code_unless_accepted() -> None:
    whole = row("sync", "unmeasurable", "no_speech", "0.1 s of speech")
    part = replace(row("sync"), values={"offset_ms": None}, unknown={"offset_ms": "low_confidence"})
    for unknown, code in ((whole, "no_speech"), (part, "low_confidence")):
        (reason,) = judge(policy(rule("sync.offset_ms", max=40.0)), "c", {"sync": unknown}).reasons
        assert (reason.code, reason.detail) == ("sync.offset_ms:unmeasurable", code)
        assert (reason.value, reason.limit) == (None, None)
        assert codes(policy(rule("sync.offset_ms", max=40.0, unmeasured="accept")), unknown) == []


def test_a_failed_score_is_refused_even_where_the_unknown_is_accepted() -> None:
    lenient = policy(rule("sync.offset_ms", max=40.0, unmeasured="accept"))
    (reason,) = judge(lenient, "c", {"sync": row("sync", "failed", "ValueError", "bad shape")}).reasons
    assert (reason.code, reason.detail) == ("sync.offset_ms:failed", "ValueError: bad shape")
    assert codes(lenient, row("sync", offset_ms=float("nan"))) == ["sync.offset_ms:failed"]


def test_a_score_without_a_row_counts_as_skipped() -> None:
    lenient = policy(rule("sync.offset_ms", max=40.0, unmeasured="accept"))
    assert codes(lenient) == ["sync.offset_ms:skipped"]
    assert codes(lenient, row("sync", "skipped")) == ["sync.offset_ms:skipped"]


def test_only_hard_rules_on_what_was_measured_stop_the_measuring() -> None:
    hard, soft = rule("focus.ratio", min=0.5, hard=True), rule("size.height_px", min=9.0)
    rules = policy(hard, soft)
    assert not broken_hard(rules, {})
    assert not broken_hard(rules, {"focus": row("focus", "skipped")})
    assert not broken_hard(rules, {"size": row("size", height_px=3), "focus": row("focus", ratio=0.5)})
    assert broken_hard(rules, {"focus": row("focus", ratio=0.4)})
    assert broken_hard(rules, {"focus": row("focus", "failed", "ValueError")})
    unknown = {"focus": row("focus", "unmeasurable", "no_face")}
    assert broken_hard(rules, unknown)
    assert not broken_hard(policy(replace(hard, unmeasured="accept"), soft), unknown)


numbers = st.integers(-3, 3).map(float)
limits = st.tuples(st.none() | numbers, st.none() | numbers).filter(lambda ends: ends != (None, None))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    low, high = draw(limits)
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    score, field = draw(st.sampled_from("ab")), draw(st.sampled_from("xy"))
    unmeasured = draw(st.sampled_from(["reject", "accept"]))
    return rule(f"{score}.{field}", min=low, max=high, hard=draw(st.booleans()), unmeasured=unmeasured)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Measurement]:
    statuses: st.SearchStrategy[Status] = st.sampled_from(("measured", "measured", "unmeasurable", "failed", "skipped"))
    found = {}
    for score in draw(st.permutations("ab")):
        status = draw(statuses)
        values = {field: draw(st.none() | numbers) for field in "xy"} if status == "measured" else {}
        unknown = {field: "dark" for field, value in values.items() if value is None}
        found[score] = replace(row(score, status), values=values, unknown=unknown)
    return found


policies = st.lists(rules(), min_size=1, max_size=4).map(lambda found: policy(*found))


@given(policies, rows(), st.data())
def test_tightening_a_rule_never_keeps_more(
    loose: Policy, measured: dict[str, Measurement], data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(loose.rules) - 1))
    old = loose.rules[which]
    change = data.draw(
        st.sampled_from(
            [
                {"min": (-4.0 if old.min is None else old.min) + data.draw(st.integers(0, 3))},
                {"max": (4.0 if old.max is None else old.max) - data.draw(st.integers(0, 3))},
                {"unmeasured": "reject"},
            ]
        )
    )
    tight = policy(*(replace(r, **change) if k == which else r for k, r in enumerate(loose.rules)))  # type: ignore[arg-type]
    assert judge(loose, "c", measured).kept or not judge(tight, "c", measured).kept
    assert broken_hard(tight, measured) or not broken_hard(loose, measured)


@given(policies, rows())
def test_judging_is_independent_of_the_order_of_measurements(rules: Policy, measured: dict[str, Measurement]) -> None:
    backwards = dict(reversed(measured.items()))
    assert judge(rules, "c", measured) == judge(rules, "c", backwards)
    assert broken_hard(rules, measured) == broken_hard(rules, backwards)


@given(policies, rows())
def test_a_clip_is_kept_exactly_when_no_rule_is_broken(rules: Policy, measured: dict[str, Measurement]) -> None:
    decision = judge(rules, "c", measured)
    alone = [judge(policy(single), "c", measured) for single in rules.rules]
    assert decision.kept == (not decision.reasons) == all(single.kept for single in alone)
    assert decision.reasons == tuple(reason for single in alone for reason in single.reasons)


@given(policies, rows())
def test_a_clip_stopped_early_is_never_kept_whatever_would_follow(
    rules: Policy, measured: dict[str, Measurement]
) -> None:
    first = dict(list(measured.items())[:1])
    if broken_hard(rules, first):
        assert broken_hard(rules, measured)
        assert not judge(rules, "c", measured).kept


@given(st.integers(0, 3), limits, limits)
def test_any_other_limit_gives_another_digest(
    which: int, one: tuple[float | None, ...], two: tuple[float | None, ...]
) -> None:
    bystanders = [rule("a.x", min=float(k)) for k in range(3)]
    first, second = (
        policy(*bystanders[:which], rule("b.y", min=low, max=high), *bystanders[which:]) for low, high in (one, two)
    )
    assert (first.digest == second.digest) == (one == two)


scalars = st.sampled_from(["1", "-0.5", "nan", "inf", "true", '"reject"', '""', "[]", "[1]", "{}", "1979-05-27", "'é'"])
keys = st.sampled_from(["min", "max", "hard", "unmeasured", "why", "x", '""'])
lines = st.dictionaries(keys, scalars).map(lambda d: "{" + ", ".join(f"{k} = {v}" for k, v in d.items()) + "}")


@given(st.dictionaries(st.sampled_from(["focus.ratio", "sync.offset_ms", "size.x", '"".y', "zoom.z"]), lines | scalars))
def test_no_file_breaks_the_reader(content: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in content.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vividhead.score, "score_names", lambda: sorted(FAKES))
        patch.setattr(vividhead.score, "score_class", FAKES.__getitem__)
        patch.setattr(Path, "read_bytes", lambda path: text.encode())
        try:
            found = load_policy("any.toml", list(FAKES))
        except ConfigError as fault:
            assert fault.mistakes
        else:
            assert len(found.rules) == len(content)


def test_a_file_without_a_rule_is_refused_as_it_would_keep_everything(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "all of it"\n')
    with pytest.raises(ConfigError, match="rules are missing"):
        load_policy(str(path), ["framing"])
