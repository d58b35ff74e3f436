"""Verbs of FlashHead: generate."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import LiveLine, say, show
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs
    from vividhead.flashhead.model.flashhead import FlashHead


def model_options(verb: argparse.ArgumentParser) -> None:
    """Which model, with which weights, where."""
    verb.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="a folder with Model_Nano/, Model_Lite/ or Model_Pro/"
    )
    which = "nano, lite, pro or a configuration file (default: what the checkpoint holds; nano without one)"
    verb.add_argument("--model", help=which)
    untrained = "for trials: the model's shapes with weights that nobody trained"
    verb.add_argument("--random-weights", action="store_true", help=untrained)
    verb.add_argument("--device", choices=("cpu", "cuda"), help="where it computes (default: the GPU if there is one)")


def chosen_model(asked: argparse.Namespace) -> "FlashHead":
    """The model that the options name."""
    if bool(asked.checkpoint) == asked.random_weights:
        raise UsageError(
            "name a trained model with --checkpoint DIR, or try the shapes with --random-weights: one of both"
        )
    from vividhead.flashhead.config import load_config
    from vividhead.flashhead.model.flashhead import load_flashhead, random_flashhead

    if asked.checkpoint:
        return load_flashhead(asked.checkpoint, asked.model, asked.device)
    say("vividhead: RANDOM WEIGHTS: nobody trained this model; its pictures are noise that moves")
    return random_flashhead(load_config(asked.model or "nano"), device=asked.device)


def add_generate(verbs: "Verbs") -> None:
    """Add `vividhead generate`."""
    verb = verbs.add_parser(
        "generate", help="a portrait and speech in, a talking-head video out",
        description="Make a video in which the face of a portrait speaks a recording. The file says it is synthetic.",
    )  # fmt: skip
    verb.add_argument("--portrait", type=Path, required=True, help="a picture of one face")
    verb.add_argument("--audio", type=Path, required=True, help="any recording or video that ffmpeg reads")
    verb.add_argument("--out", type=Path, required=True, help="the mp4 to write")
    verb.add_argument(
        "--seed", type=int, default=0, help="same seed, same video on the same kind of device (default: 0)"
    )
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    model_options(verb)
    verb.set_defaults(verb=_generate)


def _generate(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.generate.talk import talk

    line = LiveLine(sys.stderr, silent=asked.quiet)

    def told(done: int, total: int | None, fps: float) -> None:
        left = f" of {total}, {(total - done) / fps:.0f} s left" if total and fps else ""
        line(f"{done} pictures{left}, {fps:.1f} FPS")

    made = talk(chosen_model(asked), asked.portrait, asked.audio, asked.out, asked.seed, told)
    line.close()
    show(f"{asked.out}: {made.n_frames} pictures, {made.duration_s:.2f} s, made at {made.fps:.1f} FPS")
    return 0
