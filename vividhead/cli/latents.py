"""The verb `latents`: codec latents of a dataset's training windows, cached beside it."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError
from vividhead.live_line import LiveLine

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs
    from vividhead.flashhead.latents.maker import Made


def add_latents(verbs: "Verbs") -> None:
    """Add `vividhead latents`."""
    verb = verbs.add_parser(
        "latents", help="cache a dataset's codec latents for training; run again to resume",
        description="Encode every training window of the kept clips once, into shards beside the dataset, so that "
        "training decodes no pictures: vividhead train DATASET --latents …",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder, or a folder that holds dataset/")
    which = "nano, lite, pro or a configuration file: whose codec, and which chunks"
    verb.add_argument("--model", "--config", dest="model", required=True, help=which)
    weights = "where the codec's weights lie (default for nano: fitted to the clips)"
    verb.add_argument("--weights", "--checkpoint", dest="weights", type=Path, metavar="DIR", help=weights)
    verb.add_argument("--random-weights", action="store_true", help="for trials: a codec that nobody trained")
    stride = "frames between windows; a divisor of a chunk's new frames (default: 8, or the next below that is one)"
    verb.add_argument("--stride-frames", type=int, metavar="N", help=stride)
    verb.add_argument("--on", choices=("ray", "local"), default="ray", help="where units run (default: ray)")
    verb.add_argument("--workers", type=int, help="units at a time (default: one for each core; on a GPU: as fit)")
    verb.add_argument("--address", help="of a Ray cluster to join")
    verb.add_argument("--device", choices=("cpu", "cuda"), help="where it encodes (default: the GPU if there is one)")
    share = "of a GPU that each unit reserves; 0.5 lets two share one (default: 1)"
    verb.add_argument("--gpus-per-worker", type=float, default=1.0, metavar="X", help=share)
    verb.add_argument("--retry-failed", action="store_true", help="try clips that failed anew")
    verb.add_argument("--json", action="store_true", help="print what was made as JSON")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    verb.set_defaults(verb=_latents)


def _latents(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.config import load_config

    if asked.weights is not None and asked.random_weights:
        raise UsageError("--weights and --random-weights: leave one of the two out")
    config = load_config(asked.model)
    from vividhead.cli.flashhead import dataset_in
    from vividhead.flashhead.latents.maker import Order, make_latents
    from vividhead.flashhead.model.flashhead import usable_device

    order = Order(
        dataset=dataset_in(asked.dataset), config=config, codec=asked.weights, random_weights=asked.random_weights,
        stride_frames=asked.stride_frames, on=asked.on, workers=asked.workers, address=asked.address,
        device=usable_device(asked.device), gpus_per_worker=asked.gpus_per_worker, retry_failed=asked.retry_failed,
    )  # fmt: skip
    if asked.random_weights:
        say("vividhead: RANDOM WEIGHTS: nobody trained this codec; its latents teach nothing")
    with LiveLine(sys.stderr, silent=asked.quiet) as line:
        made = make_latents(order, line)
    show(json.dumps(made.plain(), indent=1) if asked.json else _summary(made))
    return 0


def _summary(made: "Made") -> str:
    lines = [f"{made.cache}: {made.windows} windows of {made.clips} clips, {made.bytes / 1e6:.1f} MB"]
    lines += [f"  not cached: {line}" for line in made.failed]
    if made.stale:
        lines.append(f"  others of this model lie beside it, delete what is not needed: {', '.join(made.stale)}")
    return "\n".join([*lines, f"vividhead train … --latents {made.cache} reads them"])
