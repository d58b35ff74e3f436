"""What `explain` found, in lines for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from vividhead.settings import plain

Story = Mapping[str, Any]


def told(story: Story) -> str:
    """The story of a clip, a source or a time."""
    return "\n".join({"clip": _clip, "source": _source, "time": _time}[story["kind"]](story))


def _span(story: Story) -> str:
    return f"{story['start_s_in_source']:.2f}–{story['end_s_in_source']:.2f} s"


def _clip(story: Story) -> Iterable[str]:
    source = story["source"]
    yield f"clip {story['clip_id']}   {source['uri']}   {_span(story)}   ({story['duration_s']:.2f} s)"
    place = f"face track {story['track']}, shot {story['shot']}, crop {story['crop_xyxy_px']} px"
    yield f"segment {story['segment_id']}, {place}"
    given = {n: source[n] for n in ("licence", "consent", "language") if source.get(n)} | (
        source.get("attributes") or {}
    )
    if given:
        yield "source list: " + ", ".join(f"{name} {value}" for name, value in given.items())
    yield ""
    yield f"{became(story)}   by {story['filters']['name']} ({story['filters']['digest']})"
    if story["shard"]:
        shard = story["shard"]
        yield f"in {shard['shard']}, mp4 at byte {shard['mp4_offset']}, sha256 {shard['mp4_sha256']}"
    yield ""
    for score in story["scores"]:
        yield from _score(score)
    wanted = list(_changes(story["would_have_to_change"])) if not story["revoked"] else []
    if wanted:
        yield ""
        yield "to be kept, all of this would have to change:"
        yield from wanted
    for other in story["other_filters"]:
        yield ""
        said = "keep it" if other["kept"] else f"refuse it: {' '.join(other['reasons'])}"
        yield f"the filters {other['digest']}, also tried, {said}"


def became(story: Story) -> str:
    """One word for what became of a clip."""
    if story.get("revoked"):
        return f"revoked: receipt {story['revoked']}, revoked/{story['revoked']}.json; nothing brings it back"
    if story.get("failure"):
        failure = story["failure"]
        return (
            f"failed: {failure['code']} {failure['detail']}" if isinstance(failure, Mapping) else f"failed: {failure}"
        )
    return {True: "kept", False: "rejected", None: "not judged yet"}[story["kept"]]


def _score(score: Story) -> Iterable[str]:
    state = score["status"] or "not taken"
    why = f": {score['code']} {score['detail']}".rstrip() if score["code"] or score["detail"] else ""
    if state != "measured":
        yield f"  {score['score']}  {state}{why}" + (
            " (a cheaper hard rule had refused the clip)" if state == "skipped" else ""
        )
        return
    for field in score["fields"]:
        unit = f" {field['unit']}" if field["unit"] not in ("", "1") else ""
        value = (
            f"{field['value']:.6g}{unit}"
            if field["value"] is not None
            else f"unknown ({field['unknown_because'] or '?'})"
        )
        yield f"  {field['field']:<38}{value:<26} {_verdict(field):<30} {field['meaning']}"


def _verdict(field: Story) -> str:
    rule = field["rule"]
    if rule is None:
        return "no rule"
    low, high = ("" if rule[end] is None else plain(rule[end]) for end in ("min", "max"))
    demand = f"{low} … {high}".strip()
    return f"passes {demand}" if field["verdict"] == "passes" else f"BREAKS {demand} ({field['verdict']})"


def _changes(changes: Iterable[Story]) -> Iterable[str]:
    for change in changes:
        if change["change"] == "measure":
            yield f"  measure what was skipped: {', '.join(change['scores'])}"
        elif change["change"] == "measure_again":
            yield f"  {change['rule']}  measuring it failed ({change['because']}): mend that and measure again"
        elif change["change"] == "unmeasured_to":
            yield f'  {change["rule"]}  is unknown ({change["because"] or "no reason given"}): unmeasured = "accept"'
        else:
            end = change["change"].removesuffix("_to")
            yield f"  {change['rule']}  {end} from {plain(change['from'])} to {plain(change['to'])}"


def _facts(source: Story) -> Iterable[str]:
    yield f"{source['uri']}   {source['duration_s']:.2f} s   {source['outcome']}"
    yield f"sha256 {source['source_id']}"
    if source["code"]:
        yield f"{source['code']}: {source['detail']}" + (
            f", kept as {source['duplicate_of']}" if source["duplicate_of"] else ""
        )


def _source(story: Story) -> Iterable[str]:
    yield from _facts(story["source"])
    clips = {clip["clip_id"]: clip for clip in story["clips"]}
    for part in story["timeline"]:
        span = f"  {part['start_s']:>9.2f}–{part['end_s']:.2f} s"
        if "clip_id" in part:
            clip = clips[part["clip_id"]]
            yield f"{span:<26}clip {part['clip_id']}  {became(clip)}  {' '.join(clip['reasons'])}".rstrip()
        else:
            yield f"{span:<26}{part['code']}  {part.get('detail') or ''}".rstrip()


def _time(story: Story) -> Iterable[str]:
    yield f"{story['time_s']:.2f} s of"
    yield from _facts(story["source"])
    yield ""
    for seen in story["seen"]:
        yield f"  {seen['stage']:<16}{seen['says']}"
    for clip in story["clips"]:
        yield f"  {'clip':<16}{clip['clip_id']}  {_span(clip)}  {became(clip)}  {' '.join(clip['reasons'])}".rstrip()
        yield from (f"  {line}" for line in _changes(clip["would_have_to_change"]))
