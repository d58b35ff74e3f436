"""What is wrong with a dataset, one by one: which file, which row, what, and by which check."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_NAMED = 50
"""Findings of one kind in one file that are named; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    check: str
    """schema, unique, key, span, seconds, decision, shard, digest, media or revoked."""
    path: str
    """The file, within the dataset."""
    row: int | None
    """Row of the table, from 0; None where the finding is of the whole file."""
    detail: str
    """What is there, and what should be."""


@dataclass(slots=True)
class Findings:
    """All that a verification found, and what it looked at."""

    where: str
    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    """Check → how many things it looked at."""
    unnamed: Counter[str] = field(default_factory=Counter)
    """Check and file → findings beyond `MOST_NAMED`."""
    _named: Counter[str] = field(default_factory=Counter)

    def looked(self, check: str, count: int) -> None:
        """Note that a check was made."""
        self.checked[check] = self.checked.get(check, 0) + count

    def add(self, check: str, path: str, row: int | None, detail: str) -> None:
        """Note what is wrong."""
        kind = f"{check} {path}"
        self._named[kind] += 1
        if self._named[kind] > MOST_NAMED:
            self.unnamed[kind] += 1
        else:
            self.findings.append(Finding(check=check, path=path, row=row, detail=detail))

    def rows(self, check: str, path: str, mask_N: NDArray[np.bool_], told: Callable[[int], str]) -> None:
        """Note every row that `mask_N` marks; `told` says what is wrong with one."""
        wrong = np.flatnonzero(mask_N)
        for row in wrong[:MOST_NAMED].tolist():
            self.add(check, path, row, told(row))
        if len(wrong) > MOST_NAMED:
            self.unnamed[f"{check} {path}"] += len(wrong) - MOST_NAMED

    @property
    def total(self) -> int:
        """Findings, also those not named."""
        return len(self.findings) + sum(self.unnamed.values())

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "dataset": self.where, "ok": not self.total, "checked": self.checked, "total": self.total,
            "findings": [
                {"check": f.check, "path": f.path, "row": f.row, "detail": f.detail} for f in self.findings
            ],
            "unnamed": dict(self.unnamed),
        }  # fmt: skip

    def told(self) -> str:
        """In lines for people."""
        lines = [f"{f.check:<10}{f.path}{'' if f.row is None else f', row {f.row}'}: {f.detail}" for f in self.findings]
        lines += [f"{kind.replace(' ', '  ', 1)}: {count} more rows" for kind, count in self.unnamed.items()]
        looked = ", ".join(f"{count} {check}" for check, count in self.checked.items())
        return "\n".join([*lines, f"checked: {looked}", f"{self.total} findings" if self.total else "nothing is wrong"])
