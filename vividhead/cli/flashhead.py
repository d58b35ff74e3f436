"""Verbs of FlashHead: generate, train, evaluate."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.cli.terminal import say, show
from vividhead.errors import UsageError
from vividhead.live_line import LiveLine

if TYPE_CHECKING:
    from vividhead.cli.terminal import Verbs
    from vividhead.flashhead.model.flashhead import FlashHead
    from vividhead.flashhead.signing import Signer


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
    verb.add_argument("--compile", action="store_true", help="torch.compile: minutes at first, then faster")


def _teacher_option(verb: argparse.ArgumentParser) -> None:
    teacher = "twenty guided steps for each chunk: for a model of stage 1, which is not distilled yet"
    verb.add_argument("--teacher", action="store_true", help=teacher)


def chosen_model(asked: argparse.Namespace) -> "FlashHead":
    """The model that the options name."""
    if bool(asked.checkpoint) == asked.random_weights:
        raise UsageError(
            "name a trained model with --checkpoint DIR, or try the shapes with --random-weights: one of both"
        )
    from vividhead.flashhead.config import load_config
    from vividhead.flashhead.model.flashhead import compiled, load_flashhead, random_flashhead

    if asked.checkpoint:
        model = load_flashhead(asked.checkpoint, asked.model, asked.device)
    else:
        say("vividhead: RANDOM WEIGHTS: nobody trained this model; its pictures are noise that moves")
        model = random_flashhead(load_config(asked.model or "nano"), device=asked.device)
    return compiled(model) if asked.compile else model


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
    _teacher_option(verb)
    _signing_options(verb)
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    model_options(verb)
    verb.set_defaults(verb=_generate)


def _signing_options(verb: argparse.ArgumentParser) -> None:
    how = verb.add_mutually_exclusive_group()
    with_own = "sign the file with this certificate and key, PEM (default: one that this machine makes for itself)"
    how.add_argument("--sign-with", nargs=2, type=Path, metavar=("CERT", "KEY"), help=with_own)
    how.add_argument("--no-sign", action="store_true", help="do not sign how the file was made")


def _chosen_signer(asked: argparse.Namespace) -> "Signer | None":
    if asked.no_sign:
        return None
    from vividhead.flashhead.signing import home, is_installed, own_signer, signer_of

    if not is_installed():
        if asked.sign_with:
            raise UsageError("--sign-with needs c2pa: pip install 'vividhead[provenance]'")
        say("vividhead: the file will not be signed: that needs pip install 'vividhead[provenance]'")
        return None
    made_before = home().exists()
    signer = signer_of(*asked.sign_with) if asked.sign_with else own_signer()
    if not asked.sign_with and not made_before:
        say(f"vividhead: made a certificate in {home()}; it proves that a file is unchanged, not whose it is")
    signer.check()
    return signer


def _generate(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.generate.talk import talk
    from vividhead.flashhead.generate.talk_file import place_for

    # A mistyped path is told now, not after minutes in which a model is read.
    for option, path in (("--portrait", asked.portrait), ("--audio", asked.audio)):
        if not path.exists():
            raise UsageError(f"{option} {path}: there is no such file")
    if not (folder := place_for(asked.out).absolute().parent).is_dir():
        raise UsageError(f"--out {asked.out}: there is no folder {folder}; make it first")
    signer = _chosen_signer(asked)
    model = chosen_model(asked)
    try:
        with LiveLine(sys.stderr, silent=asked.quiet) as line:

            def told(done: int, total: int | None, fps: float) -> None:
                left = f" of {total}, {(total - done) / fps:.0f} s left" if total and fps else ""
                line(f"{done} pictures{left}, {fps:.1f} FPS")

            made = talk(
                model, asked.portrait, asked.audio, asked.out, asked.seed, told, teacher=asked.teacher, signer=signer
            )
    except KeyboardInterrupt:
        say("vividhead: interrupted; no file was written")
        return 130
    show(f"{asked.out}: {made.n_frames} pictures, {made.duration_s:.2f} s, made at {made.fps:.1f} FPS")
    return 0


def add_train(verbs: "Verbs") -> None:
    """Add `vividhead train`."""
    verb = verbs.add_parser(
        "train", help="a dataset's shards in, a FlashHead out; run again to resume",
        description="Stage 1 learns to generate, stage 2 distils it to a few steps. Ctrl-C saves; run again to go on.",
    )  # fmt: skip
    verb.add_argument("dataset", help="a dataset folder, its address, or a folder that holds dataset/")
    verb.add_argument("--config", default="nano", help="nano, lite, pro or a configuration file (default: nano)")
    verb.add_argument("--stage", type=int, choices=(1, 2), required=True, help="1: pre-training, 2: distillation")
    verb.add_argument("--out", type=Path, help="the run's folder (default: flashhead-<config> beside the dataset)")
    begin = "a checkpoint folder, or a file of Wan2.1-T2V's weights (default: fresh; stage 2: stage 1's result)"
    verb.add_argument("--from", dest="begin_from", type=Path, metavar="PATH", help=begin)
    verb.add_argument("--weights", type=Path, metavar="DIR", help="where lite's and pro's codec and audio encoder lie")
    verb.add_argument("--device", choices=("cpu", "cuda"), help="where it computes (default: the GPU if there is one)")
    cached = "read cached latents, made by `vividhead latents`: the dataset's, or those in DIR"
    verb.add_argument("--latents", nargs="?", type=Path, const=Path(), metavar="DIR", help=cached)
    verb.add_argument("--shard", action="store_true", help="several ranks: spread the parameters too (FSDP2)")
    here = "here: this process, or those that torchrun starts (default); ray: Ray Train starts them"
    verb.add_argument("--on", choices=("here", "ray"), default="here", help=here)
    verb.add_argument("--workers", type=int, default=1, help="with --on ray: how many ranks (default: 1)")
    gpus = "with --on ray: GPUs of each rank (default: 1 where it computes on cuda, else 0)"
    verb.add_argument("--gpus-per-worker", type=float, metavar="X", help=gpus)
    verb.add_argument("--address", help="with --on ray: a running cluster's, such as auto (default: start one here)")
    verb.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    verb.add_argument("--wandb", metavar="PROJECT", help="log to wandb too")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    verb.set_defaults(verb=_train)


def _train(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.config import load_config

    config = load_config(asked.config)
    from vividhead.flashhead.model.flashhead import usable_device
    from vividhead.flashhead.train.loop import Order, train

    _check_ray_options(asked)
    dataset = dataset_in(asked.dataset)
    order = Order(
        dataset=dataset,
        config=config,
        stage=asked.stage,
        run=asked.out or Path(dataset).parent / f"flashhead-{config.name}",
        begin_from=asked.begin_from,
        weights=asked.weights,
        device=usable_device(asked.device),
        seed=asked.seed,
        shard=asked.shard,
        wandb_project=asked.wandb,
        latents=asked.latents,
    )
    _leave_cores_to(config.data.workers)
    with LiveLine(sys.stderr, silent=asked.quiet) as line:

        def told(step: int, steps: int, rate: float, figures: dict[str, float]) -> None:
            known = "  ".join(f"{name} {figures[name]:.4f}" for name in ("loss", "validation") if name in figures)
            line(f"step {step} of {steps}, {rate:.2f} a second, {(steps - step) / rate / 60:.1f} min left  {known}")

        if asked.on == "ray":
            from vividhead.flashhead.train.on_ray import Ranks, train_on_ray

            gpus = asked.gpus_per_worker if asked.gpus_per_worker is not None else float(order.device == "cuda")
            ended = train_on_ray(order, Ranks(count=asked.workers, gpus_each=gpus, address=asked.address), told)
        else:
            ended = train(order, told)
    if ended.is_done:
        show(f"{ended.checkpoint} holds the model: vividhead generate --checkpoint {ended.checkpoint} …")
    else:
        show(f"stopped at step {ended.step} of {ended.steps}; the same command goes on from its newest checkpoint")
    return 0


def _leave_cores_to(workers: int) -> None:
    """Compute on the cores that decoding leaves: threads that wait for one another waste what they share with it."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - workers))


def _check_ray_options(asked: argparse.Namespace) -> None:
    if asked.on == "here" and (asked.workers != 1 or asked.gpus_per_worker is not None or asked.address):
        raise UsageError("--workers, --gpus-per-worker and --address go with --on ray; or start ranks with torchrun")


def add_evaluate(verbs: "Verbs") -> None:
    """Add `vividhead evaluate`."""
    verb = verbs.add_parser(
        "evaluate", help="a checkpoint or a video graded by the scores that curate footage",
        description="Let held-out portraits speak held-out sound, or take a video as it is, and measure lip sync, "
        "identity, sharpness, chunk boundaries and silence, held against other clips' sound.",
    )  # fmt: skip
    verb.add_argument("subject", type=Path, metavar="CHECKPOINT-or-VIDEO", help="a checkpoint folder, or a video file")
    verb.add_argument("--data", required=True, metavar="DATASET", help="a dataset folder, or its address")
    verb.add_argument("--minutes", type=float, default=1.0, help="length of each talk (default: 1)")
    verb.add_argument("--portraits", type=int, default=2, help="held-out portraits that speak (default: 2)")
    verb.add_argument("--out", type=Path, metavar="DIR", help="keep the report, its page and the talks here")
    given = "a folder with weights of SyncNet, Inception or I3D: LSE-C and LSE-D, FID, FVD are measured with them"
    verb.add_argument("--metric-weights", type=Path, metavar="DIR", help=given)
    verb.add_argument("--json", action="store_true", help="print the report as JSON")
    verb.add_argument("--model", help="which model, where the checkpoint folder holds several")
    verb.add_argument("--seed", type=int, default=0, help="of what is generated (default: 0)")
    _teacher_option(verb)
    verb.add_argument("--device", choices=("cpu", "cuda"), help="where it computes (default: the GPU if there is one)")
    verb.add_argument("--quiet", action="store_true", help="no progress on standard error")
    verb.set_defaults(verb=_evaluate)


def _evaluate(asked: argparse.Namespace) -> int:
    from vividhead.flashhead.evaluate.evaluation import Order, as_json, evaluate
    from vividhead.flashhead.evaluate.page import summary_of

    order = Order(
        subject=asked.subject,
        dataset=dataset_in(asked.data),
        minutes=asked.minutes,
        portraits=asked.portraits,
        out=asked.out,
        model=asked.model,
        device=asked.device,
        seed=asked.seed,
        teacher=asked.teacher,
        metric_weights=asked.metric_weights,
    )
    with LiveLine(sys.stderr, silent=asked.quiet) as line:
        report = evaluate(order, line)
    show(as_json(report).rstrip() if asked.json else summary_of(report))
    if asked.out is not None:
        say(f"{asked.out} holds the report, its page and what was generated")
    return 0


def dataset_in(asked: str) -> str:
    """A folder that holds dataset/ means that."""
    inside = Path(asked) / "dataset"
    return str(inside) if (inside / "manifest.parquet").is_file() else asked
