"""How far scores can be trusted: good clips spoilt by known amounts, read by every score on curation's own path.

    goods ─▶ perturbations ─▶ subject ─▶ run ─▶ figures ─▶ text, page     clips, damage, readings, what follows

`vividhead calibrate` is the command; docs/calibration.md holds its table for the shipped filters.
"""

from vividhead.calibrate.calibration import PAGE, REPORT, TABLE, Options, calibrate

__all__ = ["PAGE", "REPORT", "TABLE", "Options", "calibrate"]
