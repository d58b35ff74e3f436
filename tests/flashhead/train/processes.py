"""Other processes for tests: ranks that train together, and one to kill."""

import faulthandler
import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import torch

PATIENCE_S = 180
T = TypeVar("T")


def started(work: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that runs `work`, forked from one that has imported what takes long."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "torch.distributed.tensor", "vividhead.flashhead.train.saving"])
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def on_ranks(work: Callable[[Path], T], folder: Path, world: int = 2) -> list[T]:
    """What `work(folder)` returns on each of so many ranks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [started(_rank, work, folder, rank, world, port) for rank in range(world)]
    for process in processes:
        process.join(PATIENCE_S)
    texts = [path.read_text() for path in sorted(folder.glob("fault-*")) + sorted(folder.glob("stacks-*"))]
    codes = [p.exitcode for p in processes]
    assert codes == [0] * world, "\n".join([f"exit codes {codes}", *texts])
    return [pickle.loads((folder / f"result-{rank}").read_bytes()) for rank in range(world)]  # noqa: S301 - our own


def _rank(work: Callable[[Path], object], folder: Path, rank: int, world: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with (folder / f"stacks-{rank}").open("w") as stacks:  # of a rank that crashed, or that waited for ever
        faulthandler.enable(stacks)
        faulthandler.dump_traceback_later(PATIENCE_S * 0.9, file=stacks)
        try:
            (folder / f"result-{rank}").write_bytes(pickle.dumps(work(folder)))
        except BaseException:
            (folder / f"fault-{rank}").write_text(f"rank {rank}: {traceback.format_exc()}")
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
