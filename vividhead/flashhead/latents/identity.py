"""What made a cache, and so what its latents are worth: codec, plan, shards. The digest is in the folder's name."""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vividhead.errors import DatasetError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.latents.plan import LatentPlan
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.plain import from_plain, to_plain

if TYPE_CHECKING:
    import pyarrow

CODE_VERSION = 1
"""Raise it when this code may give other numbers for the same input."""
FOLDER = "latents"
FILE = "cache.json"
TABLE = "latents.parquet"
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """All that the numbers of a cache depend on."""

    code_version: int
    codec_kind: str
    codec_sha256: str
    """Of the codec's values, wherever they were read from: see `codec_digest`."""
    device: str
    """cpu or cuda: they round differently."""
    plan: LatentPlan
    shards: dict[str, str]
    """Shard of the dataset → its sha256."""

    @property
    def digest(self) -> str:
        """16 hex digits over all of it."""
        text = json.dumps(to_plain(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def text(self) -> str:
        """What cache.json holds."""
        return json.dumps(to_plain(self), sort_keys=True, indent=1) + "\n"


def codec_digest(codec: VideoCodec) -> str:
    """Sha256 of a codec's values by name, type and shape; the same for a file, its copy and the codec fitted anew."""
    digest = hashlib.sha256(codec.kind.encode())
    values = {**dict(codec.named_parameters()), **dict(codec.named_buffers())}
    for name, value in sorted(values.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def shards_of(manifest: "pyarrow.Table") -> dict[str, str]:
    """Shards of a dataset and their sha256, as its manifest has them."""
    return dict(sorted(zip(manifest["shard"].to_pylist(), manifest["shard_sha256"].to_pylist(), strict=True)))


def folder_of(dataset: Path, model: str, identity: Identity) -> Path:
    """Where a cache lies."""
    return dataset / FOLDER / f"{model}-{identity.digest}"


def read_identity(cache: Path) -> Identity:
    """What made the cache in a folder; DatasetError where there is none."""
    path = cache / FILE
    try:
        return from_plain(Identity, json.loads(path.read_text(encoding="utf-8")))
    except OSError as fault:
        raise DatasetError(
            f"{cache} holds no cached latents ({fault.strerror}); `vividhead latents` makes some"
        ) from fault
    except (ValueError, TypeError) as fault:
        raise DatasetError(
            f"{path} is damaged or of another version: {fault}; delete the folder and make it anew"
        ) from fault


def found_cache(dataset: Path, config: FlashHeadConfig) -> Path:
    """The one finished cache of a configuration beside a dataset; VividHeadError where there is none or a choice."""
    made = sorted(path.parent for path in (dataset / FOLDER).glob(f"{config.name}-*/{TABLE}"))
    if not made:
        begun = sorted(path.parent for path in (dataset / FOLDER).glob(f"{config.name}-*/{FILE}"))
        what = f"those in {begun[0]} are not finished: run the same" if begun else "none are cached: run"
        raise DatasetError(f"no latents of {config.name} beside {dataset}: {what} {command(str(dataset), config)}")
    if len(made) > 1:
        fresh = [path for path in made if not _is_stale(path, dataset)]
        if len(fresh) != 1:
            raise VividHeadError(
                f"{len(made)} caches lie in {dataset / FOLDER}: {', '.join(p.name for p in made)}; name one, or delete "
                "those that are not needed any more"
            )
        made = fresh
    return made[0]


def _is_stale(cache: Path, dataset: Path) -> bool:
    from vividhead import manifest

    return read_identity(cache).shards != shards_of(manifest.read(dataset / "manifest.parquet"))


def command(dataset: str, config: FlashHeadConfig) -> str:
    """How a cache is made."""
    return f"vividhead latents {dataset} --model {config.name}"


def check_fresh(identity: Identity, now: dict[str, str], cache: Path, remedy: str) -> None:
    """DatasetError naming what differs where a cache was made of other shards than the dataset has now."""
    gone, new = identity.shards.keys() - now.keys(), now.keys() - identity.shards.keys()
    changed = {name for name in identity.shards.keys() & now.keys() if identity.shards[name] != now[name]}
    parts = [
        f"{', '.join(sorted(names)[:SHOWN])}{' and more' if len(names) > SHOWN else ''} {what}"
        for names, what in ((changed, "changed"), (gone, "gone"), (new, "new"))
        if names
    ]
    if parts:
        raise DatasetError(
            f"{cache} is stale: the dataset's shards are not those it was made of ({'; '.join(parts)}; clips were "
            f"added, dropped or revoked). Make it anew with: {remedy}"
        )


def check_plan(identity: Identity, config: FlashHeadConfig, cache: Path, remedy: str) -> None:
    """DatasetError where a cache's chunks are not those of a configuration, or its code another."""
    wanted = replace(LatentPlan.of(config), grid_frames=identity.plan.grid_frames)
    parts = [
        f"{f.name} {getattr(identity.plan, f.name)}, not {getattr(wanted, f.name)}"
        for f in fields(wanted)
        if getattr(identity.plan, f.name) != getattr(wanted, f.name)
    ]
    if identity.codec_kind != config.codec.kind:
        parts.append(f"codec.kind {identity.codec_kind}, not {config.codec.kind}")
    if identity.code_version != CODE_VERSION:
        parts.append(f"code version {identity.code_version}, not {CODE_VERSION}")
    if parts:
        raise DatasetError(f"{cache} does not fit {config.name}: {'; '.join(parts)}. Make one with: {remedy}")


def check_codec(identity: Identity, codec: VideoCodec, cache: Path, remedy: str) -> None:
    """DatasetError where latents are another codec's: what a model makes of them could not be decoded."""
    if (found := codec_digest(codec)) != identity.codec_sha256:
        raise DatasetError(
            f"{cache} was made by another {identity.codec_kind} codec (sha256 {identity.codec_sha256[:12]}…) than this "
            f"run's ({found[:12]}…). Make latents of this one with: {remedy}"
        )
