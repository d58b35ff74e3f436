"""The verb `bench`: what things cost."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead.cli.flashhead import chosen_model, model_options
from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs

MIX_MINUTES = 10.0
"""Of film that `bench curate --mix` makes."""


def add_bench(verbs: "Verbs") -> None:
    """Add `vividhead bench`."""
    verb = verbs.add_parser(
        "bench", help="what curation and generation cost, against the floor of this machine",
        description="Measure on this machine, each figure against a floor that is measured in the same run.",
    )  # fmt: skip
    what = verb.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    curate = what.add_parser("curate", help="the stages of curation")
    curate.add_argument("footage", help="a folder, file, glob or source list")
    curate.add_argument("--filters", default="talking-head", help="a shipped policy or a path")
    curate.add_argument("--minutes", type=float, help="loop each file to this length first; of a mix, its length (10)")
    curate.add_argument(
        "--mix", action="store_true", help="make a film out of the footage of which 8 %% is kept, and measure that"
    )
    curate.add_argument("--json", action="store_true", help="figures for scripts")
    curate.set_defaults(verb=_bench_curate)
    runners = what.add_parser("runners", help="the whole job on Ray against the local runner")
    runners.add_argument("footage", help="a folder, file, glob or source list; ten minutes of footage or more")
    runners.add_argument("--workers", type=int, default=2, help="units at a time (default: 2)")
    runners.add_argument("--minutes", type=float, help="loop each file to this length first")
    runners.set_defaults(verb=_bench_runners)
    scale = what.add_parser("scale", help="the whole job at size with made-up stages: driver, ledger, tables, packer")
    scale.add_argument("--hours", type=float, default=100.0, help="of footage (default: 100)")
    scale.add_argument("--on", choices=("ray", "local"), default="local", help="the runner (default: local)")
    scale.add_argument("--workers", type=int, default=2, help="units at a time (default: 2)")
    scale.add_argument("--folder", type=Path, help="where the scratch folder is made: about 5 MB an hour, 50 files")
    scale.add_argument("--json", action="store_true", help="figures for scripts")
    scale.add_argument("--keep", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    scale.set_defaults(verb=_bench_scale)
    generate = what.add_parser("generate", help="the streaming generator: FPS, latency, phases, streams")
    model_options(generate)
    generate.add_argument("--chunks", type=int, default=20, help="chunks timed in each part (default: 20)")
    generate.add_argument("--json", action="store_true", help="figures for scripts")
    generate.add_argument("--keep", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    generate.set_defaults(verb=_bench_generate)
    _add_train(what)
    serve = what.add_parser("serve", help="a server and clients that listen: underruns, latency, memory")
    model_options(serve)
    serve.add_argument("--portrait", type=Path, metavar="FILE", help="the face (default: the demo's, if installed)")
    serve.add_argument("--clients", type=int, default=1, help="listeners at once (default: 1)")
    serve.add_argument("--seconds", type=float, default=60.0, help="how long they listen (default: 60)")
    serve.add_argument("--json", action="store_true", help="figures for scripts")
    serve.add_argument("--keep", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    serve.set_defaults(verb=_bench_serve)
    mark = what.add_parser("watermark", help="how often it is found after encoding and scaling, and where it is not")
    mark.add_argument("footage", type=Path, help="a folder with films of all kinds")
    mark.add_argument("--json", action="store_true", help="figures for scripts")
    mark.add_argument("--keep", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    mark.set_defaults(verb=_bench_watermark)
    audit = what.add_parser("audit", help="the auditors' verbs on a large dataset made of tables alone")
    audit.add_argument("--clips", type=int, default=3_000_000, help="candidate clips (default: 3000000)")
    audit.add_argument("--dataset", type=Path, help="a dataset of your own instead; decisions of `strict` are written")
    audit.add_argument("--json", action="store_true", help="figures for scripts")
    audit.set_defaults(verb=_bench_audit)
    loader = what.add_parser("loader", help="training windows read from a dataset")
    loader.add_argument("dataset", help="a dataset folder, or its address")
    loader.add_argument("--chunks", type=int, default=1, help="chunks in a window: 1 for stage 1 (default), 5 for 2")
    loader.add_argument("--side-px", type=int, default=512, help="side of the pictures (default: 512)")
    loader.add_argument("--batch-size", type=int, default=4, help="windows in a batch (default: 4)")
    loader.add_argument("--workers", type=int, default=0, help="processes that decode (default: 0, none beside this)")
    cached = "read the cache in DIR, made by `vividhead latents`, instead of decoding pictures"
    loader.add_argument("--latents", type=Path, metavar="DIR", help=cached)
    loader.add_argument("--seconds", type=float, default=20.0, help="how long to read (default: 20)")
    loader.add_argument("--json", action="store_true", help="figures for scripts")
    loader.set_defaults(verb=_bench_loader)


def _add_train(what: "Verbs") -> None:
    train = what.add_parser("train", help="steps of training: samples/s, MFU, memory, with and without cached latents")
    train.add_argument("--config", default="nano", help="nano, lite, pro or a configuration file (default: nano)")
    train.add_argument(
        "--stage", type=int, choices=(1, 2), default=1, help="1: pre-training (default), 2: distillation"
    )
    train.add_argument("--random-weights", action="store_true", help="codec and audio encoder with random weights")
    train.add_argument("--weights", type=Path, metavar="DIR", help="where lite's and pro's codec and audio encoder lie")
    train.add_argument("--latents", action="store_true", help="latents are ready, as from a cache: nothing is encoded")
    train.add_argument("--updates", type=int, default=10, help="steps that are timed (default: 10)")
    train.add_argument("--batch", type=int, help="windows at a time (default: the configuration's)")
    train.add_argument("--compile", action="store_true", help="compile each block")
    train.add_argument("--recompute", action="store_true", help="keep no activations inside blocks")
    train.add_argument("--device", choices=("cpu", "cuda"), help="where it computes (default: the GPU if there is one)")
    train.add_argument("--json", action="store_true", help="figures for scripts")
    train.add_argument("--keep", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    train.set_defaults(verb=_bench_train)


def _bench_train(asked: argparse.Namespace) -> int:
    for name, value in (("updates", asked.updates), ("batch", asked.batch)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: 1 or more")
    from dataclasses import replace

    from vividhead.flashhead.config import load_config

    config = load_config(asked.config)
    if config.codec.kind != "linear" and bool(asked.weights) == asked.random_weights:
        raise UsageError("name codec and audio encoder with --weights DIR, or --random-weights: one of both")
    from vividhead.flashhead.model.flashhead import usable_device
    from vividhead.flashhead.train.bench import Trial, bench_train, table

    if asked.batch is not None:
        config = replace(
            config, stage1=replace(config.stage1, batch=asked.batch), stage2=replace(config.stage2, batch=asked.batch)
        )
    loop = replace(config.loop, compile_blocks=asked.compile, recompute_blocks=asked.recompute)
    trial = Trial(
        config=replace(config, loop=loop), stage=asked.stage, steps=asked.updates, latents=asked.latents,
        weights=asked.weights, device=usable_device(asked.device),
    )  # fmt: skip
    figures = bench_train(trial, lambda line: say(f"measuring: {line}"))
    _given_out(figures, table, asked)
    return 0


def _given_out(figures: dict[str, Any], table: Callable[[dict[str, Any]], str], asked: argparse.Namespace) -> None:
    """Keep them where that is asked for, and show them."""
    from vividhead.ledger import write_atomically

    if asked.keep:
        write_atomically(asked.keep, (json.dumps(figures, indent=1) + "\n").encode())
    show(json.dumps(figures, indent=1) if asked.json else table(figures))


def _bench_curate(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_curate, table

    _check_minutes(asked.minutes)
    if asked.mix:
        from vividhead import bench_mix

        mixed = bench_mix.bench_mix(asked.footage, asked.filters, asked.minutes or MIX_MINUTES, say)
        show(json.dumps(mixed, indent=1) if asked.json else bench_mix.table(mixed))
        return 0
    figures = bench_curate(asked.footage, asked.filters, asked.minutes)
    show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and minutes <= 0:
        raise UsageError(f"--minutes {minutes:g}: more than 0 is needed, or leave it out")


def _bench_runners(asked: argparse.Namespace) -> int:
    from vividhead.bench import bench_runners

    _check_minutes(asked.minutes)
    show(json.dumps(bench_runners(asked.footage, asked.workers, asked.minutes), indent=1))
    return 0


def _bench_scale(asked: argparse.Namespace) -> int:
    if asked.hours <= 0 or asked.workers < 1:
        raise UsageError("more than 0 --hours, and 1 or more --workers")
    from vividhead.scale.bench import bench_scale, table

    _given_out(
        bench_scale(asked.hours, asked.on, asked.workers, asked.folder, lambda line: say(f"measuring: {line}")),
        table,
        asked,
    )
    return 0


def _bench_generate(asked: argparse.Namespace) -> int:
    if asked.chunks < 1:
        raise UsageError(f"--chunks {asked.chunks}: 1 or more")
    from vividhead.flashhead.generate.bench import bench_generate, table

    _given_out(bench_generate(chosen_model(asked), asked.chunks, lambda line: say(f"measuring: {line}")), table, asked)
    return 0


def _bench_serve(asked: argparse.Namespace) -> int:
    if asked.clients < 1 or asked.seconds <= 0:
        raise UsageError("--clients 1 or more, for more than 0 --seconds")
    from vividhead.serve.bench import bench_serve, table

    named = {"--checkpoint": asked.checkpoint, "--model": asked.model, "--device": asked.device}
    options = [str(part) for name, value in named.items() if value for part in (name, value)]
    options += [f"--{name}" for name in ("random-weights", "compile") if getattr(asked, name.replace("-", "_"))]
    options += ["--portrait", str(asked.portrait)] if asked.portrait else []
    options += ["--streams-per-address", str(asked.clients)]  # all of them are of this machine's
    figures = bench_serve(options, asked.clients, asked.seconds, lambda line: say(f"measuring: {line}"))
    _given_out(figures, table, asked)
    return 0


def _bench_watermark(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.watermark_bench import bench_watermark, table

    _given_out(bench_watermark(asked.footage, lambda line: say(f"measured: {line}")), table, asked)
    return 0


def _bench_audit(asked: argparse.Namespace) -> int:
    if asked.clips < 1:
        raise UsageError(f"--clips {asked.clips}: 1 or more")
    from vividhead.audit.bench import bench_audit, table

    figures = bench_audit(asked.clips, asked.dataset, lambda line: say(f"measuring: {line}"))
    show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0


def _bench_loader(asked: argparse.Namespace) -> int:
    from vividhead.loader.bench import bench_loader, table
    from vividhead.loader.plan import WindowPlan

    for name, least in (("batch_size", 1), ("workers", 0), ("seconds", 0.1)):
        if getattr(asked, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(asked, name):g}: {least:g} or more")
    plan, cached, side_px = WindowPlan(chunks=asked.chunks), None, asked.side_px
    if asked.latents is not None:
        from vividhead.flashhead.latents.loader import LatentDataset

        cached = LatentDataset(asked.dataset, plan, cache=asked.latents, endless=True)
        side_px = cached.identity.plan.side_px
    figures = bench_loader(
        asked.dataset, plan, side_px=side_px, batch_size=asked.batch_size, workers=asked.workers,
        seconds=asked.seconds, cached=cached,
    )  # fmt: skip
    show(json.dumps(figures, indent=1) if asked.json else table(figures))
    return 0
