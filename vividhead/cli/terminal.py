"""What the command line prints, and the type of its verbs."""

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

from vividhead.plain import utf8

if TYPE_CHECKING:
    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse offers no public name for it


def say(text: str) -> None:
    """One or more lines to standard error."""
    print(utf8(text), file=sys.stderr)  # noqa: T201 - the command line is the one place that prints


def show(text: str) -> None:
    """One or more lines to standard output."""
    print(utf8(text))  # noqa: T201 - the command line is the one place that prints
