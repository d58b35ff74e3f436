"""The layer table of docs/architecture: who may import whom, read from the syntax trees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = {
    0: "errors",
    0.5: "records shipped plain live_line",
    1: "media weights faces vad settings",
    1.5: "backends",
    2: "score",
    2.2: "pipeline",
    2.5: "ingest scan track clips clip_media lip_audio person_over_time",
    3: "scores",
    4: "policy manifest shards licences",
    5: "ledger cascade pack",
    5.1: "revoked at_work labels through sheets",
    5.2: "measure dataset",
    5.3: "units",
    5.35: "segment_state",
    5.4: "chain",
    5.6: "stages contain fit_lip_sync",
    6: "run_local shard_set",
    6.2: "run_ray publish progress standing",
    6.3: "metrics",
    6.4: "main_job view reproduce",
    6.6: "loader",
    6.8: "schemas",
    7: "audit flashhead",
    7.1: "testing",
    7.15: "serve",
    7.2: "bench plan scale",
    7.3: "bench_mix",
    7.5: "__init__",
    7.6: "calibrate",
    8: "demo",
    8.2: "cli contract",
    8.4: "__main__",
}
"""Modules and packages of vividhead; an arrow only points down. Fractions order a layer within itself."""

UPWARD = {("score", "scores"): "finds scores by file name, without knowing any"}
"""Single arrows that are right although they point up, and why."""

OWNERS = {
    "ray": ("run_ray", "flashhead.train.on_ray"),
    "av": ("media", "testing.containers"),  # the latter makes the broken files that the former must survive
    "ffmpeg": ("media",),
    "imageio_ffmpeg": ("media",),
    "PIL": ("media",),
    "mediapipe": ("faces",),
    "dlib": ("scores.identity",),
    "face_recognition_models": ("scores.identity",),
    "diffusers": ("flashhead.model.codecs",),
    "transformers": ("flashhead.model.audio_encoders",),
    "safetensors": ("backends", "flashhead", "weights"),
    "fastapi": ("audit.inspect", "serve"),
    "uvicorn": ("audit.inspect", "serve", "cli.serve"),
    "livekit": ("flashhead.adapters.livekit",),
    "pipecat": ("flashhead.adapters.pipecat",),
    "websockets": ("flashhead.client", "flashhead.adapters.live_head", "cli.serve"),
    "aiortc": ("serve.rtc", "serve.rtc_channel", "serve.playout"),
    "aioice": ("serve.rtc",),
    "whisper": ("backends.whisper_asr",),
    "c2pa": ("flashhead.signing", "flashhead.claims"),
    "cryptography": ("flashhead.signing",),
    "duckdb": ("audit", "loader.select"),
}
"""Library → the modules that may import it."""

HEAVY = frozenset("torch ray av mediapipe cv2 pandas scenedetect onnxruntime scipy pyarrow dlib".split())
LIGHT = ("cli", "policy", "pipeline")
"""Modules that load in an instant: `vividhead --help` and a mistake in a file are answered at once."""


@dataclass(frozen=True)
class Arrow:
    """`importer` imports `target` (dotted names); `at_import` unless it waits inside a function."""

    importer: str
    target: str
    at_import: bool

    def __str__(self) -> str:
        return f"{self.importer} → {self.target}"


def arrows_of(importer: str, source: str) -> Iterator[Arrow]:
    """Every import of one module."""
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(source), True)]
    while pending:
        node, at_import = pending.pop()
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        at_import = at_import and not inside and not typing_only
        pending += [(child, at_import) for child in ast.iter_child_nodes(node)]
        yield from (Arrow(importer, target, at_import) for target in targets_of(node))


def targets_of(node: ast.AST) -> list[str]:
    """Dotted names that this statement or call imports; of `from a import b`, a.b."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=str(module), names=names, level=0):
            return [f"{module}.{name.name}" for name in names]
        case ast.ImportFrom(level=level) if level:
            return [f"{'.' * level}{node.module or ''}"]
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def modules() -> dict[str, str]:
    """Dotted name within vividhead → source text; the package's own face is `__init__`."""
    package = ROOT / "vividhead"
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


MODULES = modules()
ARROWS = [arrow for name, source in MODULES.items() for arrow in arrows_of(name, source)]
ROW_OF = {name: row for row, names in LAYERS.items() for name in names.split()}


def own(target: str) -> str | None:
    """The module of vividhead that a dotted target lies in, or None where it is another's."""
    parts = target.split(".")
    if parts[0] != "vividhead":
        return None
    within = parts[1:]
    while within and ".".join(within) not in MODULES:
        within = within[:-1]  # a name inside a module
    return ".".join(within) or "__init__"


def first(name: str) -> str:
    return name.split(".")[0]


def points_down(importer: str, target: str) -> bool:
    """Whether the table allows `importer` to know `target` (dotted names within vividhead)."""
    above, below = first(importer), first(target)
    return above == below or (above, target) in UPWARD or ROW_OF[above] > ROW_OF[below]


def inner_arrows() -> list[tuple[str, str]]:
    pairs = ((arrow.importer, own(arrow.target)) for arrow in ARROWS)
    return sorted({(a, b) for a, b in pairs if b is not None and a != b})


def test_every_module_has_a_row_in_the_table() -> None:
    assert sorted({first(name) for name in MODULES} - set(ROW_OF)) == []


def test_arrows_only_point_down() -> None:
    wrong = [f"{a} → {b}" for a, b in inner_arrows() if not points_down(a, b)]
    assert wrong == []


def test_the_table_refuses_what_it_should() -> None:
    assert points_down("policy", "score")
    assert points_down("media.decode", "media.probe")
    assert points_down("scan", "pipeline")
    assert not points_down("score", "policy")
    assert not points_down("scan", "track")
    assert not points_down("score", "scores.identity")


def test_scores_never_import_each_other() -> None:
    wrong = [
        f"{a} → {b}"
        for a, b in inner_arrows()
        if first(a) == first(b) == "scores" and not b.split(".")[-1].startswith("_")
    ]
    assert wrong == []


def test_flashhead_models_know_neither_streams_nor_training_and_streams_no_training() -> None:
    order = ("model", "generate", "evaluate", "train")
    inner = [(a, b) for a, b in inner_arrows() if _in_room(a, order) and _in_room(b, order)]
    assert inner
    assert [(a, b) for a, b in inner if order.index(b.split(".")[1]) > order.index(a.split(".")[1])] == []
    assert [(a, b) for a, b in inner if (a.split(".")[1], b.split(".")[1]) == ("train", "evaluate")] == []


def _in_room(module: str, rooms: tuple[str, ...]) -> bool:
    parts = module.split(".")
    return len(parts) > 2 and parts[0] == "flashhead" and parts[1] in rooms


def test_no_module_needs_itself() -> None:
    graph: dict[str, set[str]] = {}
    for importer, target in inner_arrows():
        graph.setdefault(importer, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(" → ".join(fault.args[1]))


@pytest.mark.parametrize("library", OWNERS)
def test_only_its_owner_imports_a_library(library: str) -> None:
    users = {arrow.importer for arrow in ARROWS if first(arrow.target) == library}
    owners = OWNERS[library]
    assert [user for user in sorted(users) if not any(f"{user}.".startswith(f"{o}.") for o in owners)] == []


def test_imports_are_absolute() -> None:
    assert [str(arrow) for arrow in ARROWS if arrow.target.startswith(".")] == []


@pytest.mark.parametrize("name", [name for name in LIGHT if name in MODULES])
def test_light_modules_load_nothing_heavy(name: str) -> None:
    at_top = {first(arrow.target) for arrow in ARROWS if arrow.importer == name and arrow.at_import}
    assert at_top & HEAVY == set()
    probe = f"import sys, vividhead.{name}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    command = [sys.executable, "-c", probe]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) & (HEAVY | {"numpy"}) == set()


def test_imports_are_found_wherever_they_hide() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from vividhead.score import Field
try:
    import torch.nn
except ImportError:
    from importlib import import_module
def late():
    import ray
    import_module("av")
class Thing:
    import cv2
"""
    found = {str(arrow): arrow.at_import for arrow in arrows_of("here", source)}
    assert found == {
        "here → typing.TYPE_CHECKING": True,
        "here → vividhead.score.Field": False,
        "here → torch.nn": True,
        "here → importlib.import_module": True,
        "here → ray": False,
        "here → av": False,
        "here → cv2": True,
    }


@pytest.mark.parametrize("folder", ["pipelines", "filters", "manifests"])
def test_data_folders_hold_no_code(folder: str) -> None:
    assert [str(path) for path in (ROOT / folder).rglob("*.py")] == []
