"""Read the TOML files of pipelines/ and filters/ so that all mistakes are named at once, with what is right.

A section of a pipeline file is a frozen dataclass whose fields are made by `quantity` and `setting`: default,
unit, legal range and meaning stand in one place; values are checked against it, and so are the comments of
the shipped file.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vividhead.errors import ConfigError, DatasetError
from vividhead.shipped import shipped

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = Literal["pipelines", "filters", "pipelines/flashhead"]
T = TypeVar("T")
N = TypeVar("N", int, float)
Section = TypeVar("Section", bound="DataclassInstance")
_TOML_SUFFIX = ".toml"


class Mistakes:
    """What is wrong in one file, collected until the whole file has been looked at."""

    def __init__(self) -> None:
        """Begin with none."""
        self.lines: list[str] = []
        self.about: set[str] = set()
        """Names of what is wrong, such as `clips.min_s`."""

    def add(self, where: str, what: str) -> None:
        """Note one mistake: the name of what is wrong, and the rest of the sentence."""
        self.lines.append(f"{where} {what}")
        self.about.add(where)

    def raise_any(self, file: str) -> None:
        """Raise a ConfigError with all of them, if there are any."""
        if self.lines:
            raise ConfigError(file, self.lines)


@dataclass(frozen=True, slots=True)
class Option:
    """What one setting may be. `unit` is empty for plain counts, ratios, names and switches."""

    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    pattern: str = ""
    """A regular expression that a text must match as a whole."""
    multiple_of: int = 1

    @property
    def legal(self) -> str:
        """Unit and legal values, as in `s, 0.04 … 3600`; empty where any value of the type will do."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.pattern:
            return f"matching {self.pattern}"
        if math.isinf(self.low):
            return ""
        parts = [self.unit] if self.unit else []
        parts.append(f"{plain(self.low)} … {plain(self.high)}")
        if self.multiple_of > 1:
            parts.append(f"a multiple of {self.multiple_of}")
        return ", ".join(parts)


def quantity(default: N, unit: str, low: float, high: float, meaning: str, multiple_of: int = 1) -> N:
    """Declare a dataclass field that holds a number from `low` to `high`, both included."""
    return _declared(default, Option(meaning, unit, low, high, multiple_of=multiple_of))


def setting(default: T, meaning: str, choices: tuple[str, ...] = (), pattern: str = "") -> T:
    """Declare a dataclass field that holds a text, a switch or a list of names."""
    if isinstance(default, bool):
        choices = ("true", "false")
    return _declared(default, Option(meaning, choices=choices, pattern=pattern))


def _declared(default: T, about: Option) -> T:
    made: Any = field(default=default, metadata={"option": about})
    return made  # type: ignore[no-any-return]  # a Field stands in for its default, as with dataclasses.field


def options(section: "DataclassInstance | type[DataclassInstance]") -> dict[str, Option]:
    """Name → what it may be, of every option of a section in order; its sub-sections are left out."""
    return {f.name: f.metadata["option"] for f in fields(section) if "option" in f.metadata}


def plain(number: float) -> str:
    """A number as a person would write it: 3 for 3.0."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def shown(value: object) -> str:
    """A TOML value as its author would know it again, on one short line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def instead(word: str, words: Collection[str], intro: str) -> str:
    """End a sentence that refuses `word`: what may have been meant, and all that there is."""
    near = difflib.get_close_matches(word.lower(), words, n=1)
    all_words = f"{intro} {', '.join(words) or 'none'}"
    return f"; did you mean {near[0]}? {all_words[0].upper()}{all_words[1:]}" if near else f"; {all_words}"


def is_path(name_or_path: str) -> bool:
    """Whether the text names a file of the user's; a bare name is a shipped one."""
    return "/" in name_or_path or name_or_path.endswith(_TOML_SUFFIX)


def shipped_names(kind: Kind) -> list[str]:
    """Names of the shipped files of this kind."""
    return sorted(path.stem for path in shipped(kind).glob(f"*{_TOML_SUFFIX}"))


def unshipped(kind: Kind, name: str) -> str:
    """What to say of a `name` or path behind which there is no file."""
    known = instead(Path(name).stem, shipped_names(kind), f"shipped {kind} are")
    return f"is not there{known}; a file of your own is named with / or {_TOML_SUFFIX}"


def read_settings(kind: Kind, name_or_path: str) -> tuple[Path, str, dict[str, Any]]:
    """The file meant, its text and its content.

    A bare name is a shipped file, anything with `/` or `.toml` a path; nothing is searched for.
    """
    if is_path(name_or_path):
        path = Path(name_or_path)
    elif name_or_path in shipped_names(kind):
        path = shipped(kind) / f"{name_or_path}{_TOML_SUFFIX}"
    else:
        raise ConfigError(name_or_path, [unshipped(kind, name_or_path)])
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows editors put a mark before the first key
    except UnicodeDecodeError as fault:
        raise ConfigError(name_or_path, [f"is not UTF-8 text (byte {fault.start})"]) from fault
    except (FileNotFoundError, ValueError) as fault:  # ValueError: no path can be so
        raise ConfigError(name_or_path, [unshipped(kind, name_or_path)]) from fault
    except OSError as fault:
        raise ConfigError(name_or_path, [f"cannot be read: {fault.strerror}"]) from fault
    try:
        return path, text, tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # tomllib's own error, or a number or nesting without end
        end = f"the end, line {text.count(chr(10)) + 1}"
        mistake = f"is not TOML: {fault}".replace("end of document", end)
        raise ConfigError(name_or_path, [mistake]) from fault


def number(value: object, where: str, mistakes: Mistakes) -> float | None:
    """A finite number, or None and a mistake."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        mistakes.add(where, f"must be a number, not {shown(value)}")
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number beyond 1e308
        found = math.inf
    if not math.isfinite(found):
        mistakes.add(where, f"must be a finite number, not {shown(value)}")
        return None
    return found + 0.0  # -0.0 becomes 0.0: one value, one digest


def filled(default: Section, table: object, name: str, mistakes: Mistakes) -> Section:
    """`default` with the values of `table` put in; `name` is the section's, empty for the whole file."""
    if not isinstance(table, Mapping):
        mistakes.add(name, f"must be a section, written [{name}], not {shown(table)}")
        return default
    known = options(default)
    sections = [f.name for f in fields(default) if is_dataclass(getattr(default, f.name))]
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{name}.{key}" if name else key
        if key in sections:
            values[key] = filled(getattr(default, key), value, where, mistakes)
        elif key in known:
            values[key] = _checked(value, getattr(default, key), known[key], where, mistakes)
        else:
            there = [*known, *(f"[{section}]" for section in sections)]
            intro = f"[{name}] has" if name else "there are"
            mistakes.add(where, "is no option" + instead(key, there, intro))
    return replace(default, **values)


def _checked(value: object, default: object, about: Option, where: str, mistakes: Mistakes) -> object:
    """The value in the default's type, or the default and a mistake."""
    already = len(mistakes.lines)
    checked: object
    if isinstance(default, bool):
        checked = value
        if not isinstance(value, bool):
            mistakes.add(where, f"must be true or false, not {shown(value)}")
    elif isinstance(default, str):
        checked = _text(value, about, where, mistakes)
    elif isinstance(default, tuple):
        checked = _names(value, where, mistakes)
    else:
        checked = _bounded(value, isinstance(default, int), about, where, mistakes)
    return default if len(mistakes.lines) > already else checked


def _bounded(value: object, whole: bool, about: Option, where: str, mistakes: Mistakes) -> float | None:
    found = number(value, where, mistakes)
    if found is None:
        return None
    if whole and not isinstance(value, int):
        mistakes.add(where, f"must be a whole number, not {shown(value)}")
    elif not about.low <= found <= about.high or (whole and found % about.multiple_of):
        mistakes.add(where, f"cannot be {plain(found)}: {about.legal}")
    return int(found) if whole else found


def _text(value: object, about: Option, where: str, mistakes: Mistakes) -> object:
    if not isinstance(value, str):
        mistakes.add(where, f"must be a text in quotes, not {shown(value)}")
    elif about.choices and value not in about.choices:
        mistakes.add(where, f"cannot be {value!r}" + instead(value, about.choices, "there are"))
    elif about.pattern and not re.fullmatch(about.pattern, value):
        mistakes.add(where, f"cannot be {value!r}: a text {about.legal}")
    return value


def _names(value: object, where: str, mistakes: Mistakes) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        mistakes.add(where, f'must be a list of names in quotes, as in ["one", "two"], not {shown(value)}')
        return ()
    for twice in sorted({item for item in value if value.count(item) > 1}):
        mistakes.add(where, f"names {twice!r} more than once")
    return tuple(value)


def written(folder: str, name: str, text: str) -> str:
    """Path of a settings file with this name and text. Raises DatasetError for a name that leaves the folder: a
    dataset may come from anywhere, and reading it must not write elsewhere."""
    path = Path(folder) / f"{name}.toml"
    if path.parent != Path(folder) or "\0" in name:
        raise DatasetError(f"run.toml names its settings {name!r}: a name must be a file's, without a folder")
    path.write_text(text, encoding="utf-8")
    return str(path)
