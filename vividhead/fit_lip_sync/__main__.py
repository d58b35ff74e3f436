"""The command: read footage, fit, print the held-out figures, write the map."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from vividhead.errors import VividHeadError
from vividhead.fit_lip_sync.held_out import fit
from vividhead.fit_lip_sync.talks import LABELS, read_talks


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, fit, print the held-out figures, write the map."""
    parser = argparse.ArgumentParser("python -m vividhead.fit_lip_sync", description="Fit the lip-sync map.")
    parser.add_argument("folders", nargs="+", type=Path, help=f"footage with a {LABELS}, to fit on")
    parser.add_argument("--check", nargs="+", type=Path, default=[], help="more, for figures and confidence")
    parser.add_argument("--out", required=True, type=Path, help="where to write the map (.npz)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        talks = [t for folder in given.folders for t in read_talks(folder, fitted=True)]
        talks += [t for folder in given.check for t in read_talks(folder, fitted=False)]
        map_, report = fit(talks)
        map_.save(given.out)
    except VividHeadError as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.exit_code
    sys.stdout.write("\n".join([*report, f"wrote {given.out}", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
