"""The command line: quick to answer, clear when it refuses, and stopped without harm."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

import vividhead.view
from vividhead.cli import main
from vividhead.errors import (
    ConfigError,
    DatasetError,
    MediaError,
    StorageError,
    UsageError,
    VividHeadError,
)
from vividhead.score import score_class, score_names
from vividhead.shipped import shipped

HEAVY = {"torch", "ray", "av", "mediapipe", "cv2", "pandas", "scenedetect", "onnxruntime", "scipy", "pyarrow", "numpy"}

IMPORTED = """
import sys
from vividhead.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(end.code, *{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def vividhead_process(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vividhead.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["curate", "--help"], ["status"]])
def test_help_and_mistakes_are_answered_without_loading_anything_heavy(arguments: list[str]) -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    code, *modules = found.stderr.splitlines()[-1].split()
    assert code == ("2" if arguments == ["status"] else "0")
    assert set(modules) & HEAVY == set()


def test_every_verb_has_a_line_in_the_help_and_a_description_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for verb in ("curate", "demo", "status", "scores", "reproduce", "bench"):
        assert f"\n    {verb}" in text
        with pytest.raises(SystemExit) as end:
            main([verb, "--help"])
        assert end.value.code == 0
        assert len(capsys.readouterr().out.split("\n\n")[1]) > 40
    assert "130 interrupted" in " ".join(text.split())


def test_no_verb_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "verbs:" in capsys.readouterr().out


FAULTS = [
    (VividHeadError("it cannot be done"), 1),
    (UsageError("no such thing"), 2),
    (ConfigError("mine.toml", ["a.b is no option", "c.d is too large"]), 2),
    (DatasetError("that is no dataset"), 3),
    (MediaError("failed.unreadable", "no video"), 4),
    (StorageError("the disk is full"), 5),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=lambda fault: type(fault).__name__)
def test_every_kind_of_error_has_its_exit_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: VividHeadError, code: int
) -> None:
    def refuse(path: str) -> NoReturn:
        raise fault

    monkeypatch.setattr(vividhead.view, "open_dataset", refuse)
    assert main(["status", "dataset"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [f"vividhead: {line}" for line in str(fault).splitlines()]


def test_every_kind_of_error_is_among_those_tested() -> None:
    assert {type(fault) for fault, _ in FAULTS} == {VividHeadError, *VividHeadError.__subclasses__()} - {
        kind for kind in VividHeadError.__subclasses__() if kind.__module__ != "vividhead.errors"
    }


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(vividhead.view, "open_dataset", broken)
    with pytest.raises(ZeroDivisionError):
        main(["status", "dataset"])


def test_interrupted_is_130_with_the_way_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: str) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(vividhead.view, "open_dataset", interrupted)
    assert main(["status", "dataset"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_what_a_user_may_get_wrong_is_told_in_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("no film")
    (tmp_path / "mine.toml").write_text('sharpnes.blurs = { min = 1, why = "?" }\nframing.x = { min = 1, why = "?" }')
    out = tmp_path / "out"
    told = {
        ("status", tmp_path): (3, "is no dataset"),
        ("curate", tmp_path / "nowhere", "--out", out): (2, "neither a folder nor a file"),
        ("curate", tmp_path, "--out", out, "--filters", "talkin-head"): (2, "did you mean talking-head"),
        ("curate", tmp_path, "--out", out, "--filters", tmp_path / "mine.toml"): (2, "did you mean sharpness"),
        ("curate", tmp_path, "--out", out, "--pipeline", "nowhere.toml"): (2, "nowhere.toml: is not there"),
        ("curate", tmp_path, "--out", out, "--on", "local", "--workers", "0"): (2, "at least 1"),
        ("reproduce", tmp_path, "scan/none"): (3, "is no dataset"),
    }
    for arguments, (code, text) in told.items():
        found = vividhead_process(*arguments)
        assert (found.returncode, found.stdout) == (code, ""), found.stderr
        assert text in found.stderr and "Traceback" not in found.stderr
    assert not out.exists(), "no folder is made for a command that is refused"


def test_scores_lists_every_field_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scores"]) == 0
    text = capsys.readouterr().out
    for name in score_names():
        for field, about in score_class(name).fields.items():
            assert f"    {name}.{field}  [{about.unit or 'none'}]  {about.meaning}" in text


@pytest.mark.parametrize("arguments", [["scores"], ["status", str(shipped("manifests") / "example")]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "vividhead.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


SLOW_UNITS = """
import time
from pathlib import Path
from vividhead import stages

def run_unit(unit, job, beat):
    here = Path(__file__).parent
    with (here / "attempts").open("a") as log:
        log.write(Path(unit.listed.uri).name + "\\n")
    if "second" in unit.listed.uri and not (here / "go-on").exists():
        (here / "waiting").touch()
        time.sleep(60)
    stages.run_unit(unit, job, beat)
"""
DRIVER = """
import functools, sys
from vividhead import main_job
from vividhead.cli import main
main_job.curate = functools.partial(main_job.curate, entry="slow_units:run_unit")
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_ends_with_130_and_the_next_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    footage, code = tmp_path / "footage", tmp_path / "code"
    for folder in (footage, code):
        folder.mkdir()
    for name in ("first", "second", "third"):
        (footage / f"{name}.mp4").write_text(f"no film, but the {name}")
    (code / "slow_units.py").write_text(SLOW_UNITS)
    (code / "driver.py").write_text(DRIVER)
    command = [
        sys.executable, code / "driver.py", "curate", footage, "--out", tmp_path / "out", "--on", "local",
        "--workers", "1", "--quiet",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (code / "waiting").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(how)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130
    assert told == "vividhead: interrupted; what is done is kept, run the same command again to go on\n"
    (code / "go-on").touch()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "sources 3" in again.stdout and "failed.unreadable" in again.stdout
    attempts = (code / "attempts").read_text().split()
    assert attempts == ["first.mp4", "second.mp4", "second.mp4", "third.mp4"]
