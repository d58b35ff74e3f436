"""The card: README.md of a dataset, with the front matter that Hugging Face reads."""

import json
import re
from collections.abc import Iterable, Sequence

from vividhead.audit.card.figures import SKEWED, CardFigures
from vividhead.audit.page import duration, percent
from vividhead.licences import EVERY_RUN, is_free, licences_of
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ

MARK = "<!-- written by `vividhead card`; written over when it is run again -->"
NOT_GUESSED = "Age, gender, skin tone and the like were not measured: how the filters treat such groups is not known."
GUESSED = (
    "Age and gender were guessed from the faces by a network (`attributes`): sensitive data about people who were not "
    "asked, off by years, of two genders alone; leave out `measurements/attributes/` when you pass the set on."
)
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
HUB_LICENCES = {
    "cc0": "cc0-1.0", "cc0 1.0": "cc0-1.0", "cc-by 4.0": "cc-by-4.0", "cc by 4.0": "cc-by-4.0",
    "cc-by-sa 4.0": "cc-by-sa-4.0", "cc by-sa 4.0": "cc-by-sa-4.0", "cc-by 3.0": "cc-by-3.0", "cc by 3.0": "cc-by-3.0",
    "cc-by-nc 4.0": "cc-by-nc-4.0", "cc-by-nc-sa 4.0": "cc-by-nc-sa-4.0", "cc-by-nd 4.0": "cc-by-nd-4.0",
    "apache 2.0": "apache-2.0", "mit": "mit", "pddl": "pddl", "odc-by": "odc-by",
}  # fmt: skip
"""How people write a licence → the hub's identifier."""
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")


def hub_licence(licence: str | None) -> str | None:
    """The hub's identifier of a licence, or None where it is not one it knows."""
    if licence is None:
        return None
    plain = " ".join(licence.lower().split())
    known = set(HUB_LICENCES.values())
    return HUB_LICENCES.get(plain) or (plain if plain in known and _IDENTIFIER.fullmatch(plain) else None)


def front_matter(f: CardFigures) -> str:
    """YAML of JSON's kind: every text is quoted, so that no name in the footage can change its meaning."""
    lines = ["---", f"pretty_name: {_yaml(f.name)}", *_licence_lines(f)]
    languages = [language for language in f.languages if _LANGUAGE.fullmatch(language)]
    if languages:
        lines += ["language:", *(f"  - {_yaml(language)}" for language in languages)]
    whole = "kept" if f.part_files else "train"  # shards hold clips of all parts
    lines += [
        "task_categories:", "  - image-to-video", "tags:", "  - talking-head", "  - webdataset", "  - croissant",
        "size_categories:", f"  - {_yaml(_size(f.n_kept))}", "configs:",
        *_config("clips", [(whole, "shards/*.tar")], is_default=True),
        *_config("manifest", [(whole, "manifest.parquet")]),
        *(_config("parts", [(HUB_PARTS[name], path) for name, path in f.part_files]) if f.part_files else []),
        "---",
    ]  # fmt: skip
    return "\n".join(lines)


HUB_PARTS = {"train": "train", "val": "validation", "test": "test"}
"""Part → the hub's name of it."""


def _config(name: str, parts: Sequence[tuple[str, str]], *, is_default: bool = False) -> list[str]:
    lines = [f"  - config_name: {name}", *(["    default: true"] if is_default else []), "    data_files:"]
    for part, path in parts:
        lines += [f"      - split: {part}", f'        path: "{path}"']
    return lines


def _licence_lines(f: CardFigures) -> list[str]:
    """Every licence in the set, the one of most footage first: `other` is one that the hub does not know, `unknown`
    says that for some footage none was given."""
    found = dict.fromkeys("unknown" if t.licence is None else hub_licence(t.licence) or "other" for t in f.terms)
    ids = list(found) or ["unknown"]
    lines = [f"license: {ids[0]}"] if len(ids) == 1 else ["license:", *(f"  - {one}" for one in ids)]
    if "other" in found:
        named = dict.fromkeys(_slug(t.licence) for t in f.terms if t.licence and hub_licence(t.licence) is None)
        lines.append(f"license_name: {'-and-'.join(named)}")
    return lines


def _slug(licence: str) -> str:
    """A name of the letters that the hub takes in `license_name`."""
    return re.sub("[^a-z0-9.]+", "-", licence.lower())[:60].strip("-.") or "unnamed"


def _yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)


def _size(count: int) -> str:
    return next((name for most, name in SIZES if count < most), "n>10M")


def card(f: CardFigures) -> str:
    """The whole README.md."""
    return "\n\n".join(
        [
            front_matter(f), MARK, f"# {_text(f.name)}", _summary(f), "## What a sample is", _sample(f),
            *(["## Parts", _splits(f)] if f.splits else []),
            "## How it was made", _made(f), "## Where the footage went", _flow(f), "## Licences and consent", _terms(f),
            "## Limits and skews", _limits(f), "## Lineage", _lineage(f),
        ]
    ) + "\n"  # fmt: skip


def _summary(f: CardFigures) -> str:
    return (
        f"{f.n_kept:,} clips of one speaking face each, {duration(f.kept_s)}, out of {duration(f.flow.footage_s)} of "
        f"footage in {len(f.flow.uris):,} files. {_text(f.policy.description)} Every candidate clip, also each of the "
        f"{f.n_clips - f.n_kept:,} that were not kept, is in the tables with all its scores and the rules it broke."
    )


def _sample(f: CardFigures) -> str:
    side = re.search(r"(?m)^\s*side_px\s*=\s*(\d+)", f.run["pipeline"]["text"])
    size = f"{side[1]} × {side[1]} px" if side else "as large as `pack.side_px` in run.toml says"
    return (
        f"`<clip_id>.mp4` – {size}, {GRID_FPS} frames a second, H.264 with AAC for viewing · `.flac` – the sound, "
        f"{SAMPLE_RATE_HZ // 1000} kHz mono, exactly {SAMPLE_RATE_HZ // GRID_FPS} samples a frame · `.landmarks.npz` – "
        "478 mesh points a frame, identity embedding · `.json` – its record and scores. `manifest.parquet` has a row "
        "for each clip with shard, byte offset, size and sha256 of each member.\n\n"
        "Tables join on `clip_id` and `source_id`; `croissant.json` describes the manifest column by column."
    )


def _splits(f: CardFigures) -> str:
    rows = [(name, f"{clips:,}", duration(seconds)) for name, clips, seconds in f.splits]
    return (
        "No source, near-duplicate or face is in two parts (`splits/splits.parquet`, made by `vividhead split`; a "
        "list of each part's clips lies beside it). Shards hold clips of all parts.\n\n"
        + _table(("part", "clips", "time"), rows)
    )


def _made(f: CardFigures) -> str:
    rules = [
        (
            f"`{rule.id}`",
            "–" if rule.min is None else f"{rule.min:g}",
            "–" if rule.max is None else f"{rule.max:g}",
            rule.why,
        )
        for rule in f.policy.rules
    ]
    models = [(m.score, str(m.version), m.fingerprint or "computed", licences_of(m.fingerprint)) for m in f.models]
    bound = [f"**{score}: {licence}**" for score, _, _, licence in dict.fromkeys(models) if not is_free(licence)]
    others = _table(("also took part", "its licence"), _others(f))
    return (
        f"By VividHead {_text(f.run['versions']['vividhead'])}, pipeline `{_code(f.run['pipeline']['name'])}` (digest "
        f"`{f.run['pipeline']['digest']}`), filters `{_code(f.policy.name)}` (digest `{f.policy.digest}`); both "
        "stand in run.toml as they were read, with the versions of all that took part.\n\n"
        + _table(("kept where", "at least", "at most", "because"), rules)
        + "\n\nMeasured by:\n\n"
        + _table(("score", "version", "model", "its licence"), dict.fromkeys(models))
        + (f"\n\n{others}" if _others(f) else "")
        + (f"\n\nNot free for every use are the models of {', '.join(bound)}." if bound else "")
    )


def _others(f: CardFigures) -> list[tuple[str, str]]:
    """Models that made the candidates, where run.toml names them: those of older versions do not."""
    named: dict[str, str] = f.run.get("models", {})
    parts = [named[use].partition(": ") for use in EVERY_RUN if use in named]
    return [(name, licence) for name, _, licence in parts]


def _flow(f: CardFigures) -> str:
    flat = [(s, b, c) for b, codes in f.flow.seconds.items() for c, s in codes.items() if s >= 0.05]
    rows = [
        (f"`{_code(code)}`", bucket.replace("_", " "), duration(s), percent(s, f.flow.footage_s))
        for s, bucket, code in sorted(flat, reverse=True)
    ]
    return "A second of footage counts once.\n\n" + _table(("code", "counts as", "time", "of footage"), rows)


def _terms(f: CardFigures) -> str:
    rows = [
        (
            t.licence or "**not given**",
            t.consent or "**not given**",
            f"{t.n_sources:,}",
            f"{t.n_clips:,}",
            duration(t.kept_s),
        )
        for t in f.terms
    ]
    unlicensed = sum(t.kept_s for t in f.terms if t.licence is None)
    unasked = sum(t.kept_s for t in f.terms if t.consent is None)
    notes = []
    if unlicensed:
        notes.append(f"For {duration(unlicensed)} ({percent(unlicensed, f.kept_s)}) no licence is on record.")
    if unasked:
        notes.append(f"For {duration(unasked)} ({percent(unasked, f.kept_s)}) no consent is on record.")
    notes.append(
        "Licence and consent are what the source list said, unchecked. Clips show faces and hold voices of people: "
        "personal, often biometric data. What is withdrawn leaves the dataset by `vividhead revoke`."
    )
    head = ("licence", "consent", "sources", "clips", "time")
    return _table(head, rows) + "\n\n" + " ".join(notes)


def _limits(f: CardFigures) -> str:
    low, high = SKEWED
    skews = [
        f"{_text(a.name)} **{_text(g.value)}**: ×{change:.2f} of its share of the candidates "
        f"({percent(g.kept_s, g.candidate_s)} of them kept)"
        for a in f.attributes
        for g in a.groups
        if (change := a.change(g)) is not None and not low <= change <= high
    ]
    lines = [
        "One speaker in view, cropped to a square around the face; no hands, no full bodies, no turning away.",
        "The sync score is a small linear map, good to about a frame; what it cannot tell it calls unknown.",
        "Scores were measured on the candidates alone: what has no speech or no face was never a candidate.",
        GUESSED if any(m.score == "attributes" for m in f.models) else NOT_GUESSED,
    ]
    out = "\n".join(f"- {line}" for line in lines)
    if skews:
        said = "\n".join(f"- {line}" for line in skews)
        return f"{out}\n\nThe filters change these groups' share of the set to under ×{low} or over ×{high}:\n\n{said}"
    if not f.attributes:
        return f"{out}\n\nThe footage came without attributes, so that a skew could not be seen."
    return f"{out}\n\nNo group of a given attribute changes its share to under ×{low} or over ×{high}."


def _lineage(f: CardFigures) -> str:
    return (
        "`source_id` is the sha256 of the footage's bytes; `clip_id` is made of it, the span in frames, the crop and "
        "the version of the geometry; each member's sha256 stands in the manifest; measurements name the version and "
        "model of each score. `vividhead card DATASET --lineage CLIP_ID` prints a clip's as W3C PROV-JSON."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(text: str) -> str:
    """A text on one line that stays text: no markup but our own emphasis, no cell's end."""
    flat = " ".join(text.split())
    return flat.replace("|", r"\|").replace("<", "&lt;").replace("[", r"\[")


def _code(text: str) -> str:
    return text.replace("`", "'")
