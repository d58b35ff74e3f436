"""A plan beside what a run over the same footage came to."""

from dataclasses import dataclass
from pathlib import Path

from vividhead.audit.account import account
from vividhead.audit.report.pace import pace_of
from vividhead.plan import Plan
from vividhead.plan.forecast import Range
from vividhead.view import open_dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure."""

    what: str
    unit: str
    forecast: Range
    fact: float | None
    """None: it cannot be told from the dataset, and `why` says why."""
    why: str = ""

    @property
    def is_within(self) -> bool | None:
        """Whether the fact lies in the interval."""
        return None if self.fact is None else self.forecast.low <= self.fact <= self.forecast.high


def compared(plan: Plan, dataset: Path) -> tuple[Line, ...]:
    """Footage, yield, bytes and time. Raises DatasetError where there is no dataset."""
    there = open_dataset(dataset)
    found = account(there)
    footage_h = plan.footage.duration_s / 3600
    pace = pace_of(dataset, found.footage_s)
    packed_gb = sum(path.stat().st_size for path in (dataset / "shards").glob("*.tar")) / 1e9
    return (
        Line(
            what="footage", unit="h", forecast=Range(low=footage_h, estimate=footage_h, high=footage_h),
            fact=found.footage_s / 3600,
        ),
        Line(what="kept", unit="h", forecast=plan.forecast.kept_h, fact=found.seconds()["kept"] / 3600),
        Line(what="shards", unit="GB", forecast=plan.forecast.packed_gb, fact=packed_gb),
        Line(
            what="time at work", unit="h", forecast=plan.forecast.wall_h,
            fact=None if pace.work_s is None else pace.work_s / 3600, why=pace.why or "",
        ),
    )  # fmt: skip
