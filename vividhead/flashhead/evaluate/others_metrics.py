"""What papers report, where the networks' weights are given: LSE-C and LSE-D, FID, FVD.

    talk ─ faces ─▶ SyncNet ─▶ LSE-C, LSE-D, offset       own sound and others'
    talks' pictures ─┬─▶ Inception ─▶ FID
    clips' pictures ─┴─▶ I3D, 16 pictures each ─▶ FVD     clips that are not trained on, at the talks' size

Axes: T frames at 25 fps, H W picture, C channel (RGB), N windows or samples, D dimensions, S samples at 16 kHz.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vividhead.backends.syncnet import SHIFT_FRAMES, LipReader, SyncNet, fit, sound_points_ND
from vividhead.backends.weights_file import Net, loaded
from vividhead.errors import UsageError
from vividhead.flashhead.evaluate.networks import i3d, inception
from vividhead.flashhead.evaluate.networks.frechet import frechet_distance, least_samples
from vividhead.flashhead.evaluate.networks.i3d import I3d
from vividhead.flashhead.evaluate.networks.inception import Inception
from vividhead.flashhead.evaluate.records import LipSyncError, Reading, measured, unmeasurable
from vividhead.weights import model

FILES = {
    "LSE-C and LSE-D": ("syncnet_v2.model", "syncnet_v2.safetensors"),
    "FID": ("pt_inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05.safetensors"),
    "FVD": ("rgb_imagenet.pt", "i3d_pretrained_400.pt", "i3d_rgb.safetensors"),
}
"""Names that a metric's weights may have: the publishers' own, or the same tensors as safetensors."""
STRETCH_FRAMES = i3d.FRAMES
LEAST_WINDOWS = 2 * SHIFT_FRAMES + 1
"""Of SyncNet, in which all five faces are seen."""

Pictures = NDArray[np.uint8]
Stretches = Iterable[Pictures]
"""Pictures (T, H, W, C) that follow one another, 16 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Those whose weights are given; for the others `lacking` says what is missing."""

    syncnet: SyncNet | None
    inception: Inception | None
    i3d: I3d | None
    lacking: dict[str, Reading]

    def lip_reader(self) -> LipReader | None:
        """For one talk."""
        return None if self.syncnet is None else LipReader(self.syncnet)

    def lip_sync_error(self, lips_ND: NDArray[np.float32] | None, audio_S: NDArray[np.float32]) -> LipSyncError:
        """A talk's lips held against a sound."""
        if self.syncnet is None or lips_ND is None:
            none = self.lacking["LSE-C and LSE-D"]
        else:
            seen = int(np.isfinite(lips_ND[:, 0]).sum())
            if seen >= LEAST_WINDOWS:
                found = fit(lips_ND, sound_points_ND(self.syncnet, audio_S))
                offset = measured(found.offset_frames, "frames")
                return LipSyncError(lse_c=measured(found.lse_c), lse_d=measured(found.lse_d), offset_frames=offset)
            detail = f"a face on five frames in a row {seen} times, {LEAST_WINDOWS} are needed"
            none = unmeasurable("face_lost", detail)
        return LipSyncError(lse_c=none, lse_d=none, offset_frames=unmeasurable(none.code, none.detail, "frames"))

    def distances(self, made: Sequence[int], made_stretches: Callable[[], Stretches],
                  real: Sequence[int], real_stretches: Callable[[], Stretches]) -> tuple[Reading, Reading]:  # fmt: skip
        """FID and FVD; `made` and `real` are the frames of each film, whose stretches are read only if they suffice.

        At least as many real pictures are taken as were made, if there are.
        """
        fid, fvd = self.lacking.get("FID"), self.lacking.get("FVD")
        fid = fid or _too_few("pictures", inception.WIDTH, sum(made), sum(real))
        whole = [sum(n // STRETCH_FRAMES for n in side) for side in (made, real)]
        fvd = fvd or _too_few(f"stretches of {STRETCH_FRAMES} pictures", i3d.CLASSES, *whole)
        if fid is not None and fvd is not None:
            return fid, fvd
        takes_pictures = None if fid else self.inception
        takes_stretches = None if fvd else self.i3d
        made_pictures, made_films = _features(made_stretches(), takes_pictures, takes_stretches)
        enough = islice(real_stretches(), sum(-(-n // STRETCH_FRAMES) for n in made) + len(real))
        real_pictures, real_films = _features(enough, takes_pictures, takes_stretches)
        return (
            fid or measured(frechet_distance(made_pictures, real_pictures)),
            fvd or measured(frechet_distance(made_films, real_films)),
        )


def networks_in(folder: Path | None, device: str) -> Networks:
    """The networks whose files lie in the folder. Raises VividHeadError for a file that is not what it is named."""
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--metric-weights {folder}: there is no such folder")
    lacking: dict[str, Reading] = {}

    def read(metric: str, make: Callable[[], Net]) -> Net | None:
        path = _file_of(metric, folder)
        if path is None:
            where = f"lies in {folder}" if folder else "is given; name a folder with --metric-weights"
            lacking[metric] = unmeasurable("no_weights", f"no {' or '.join(FILES[metric])} {where}")
            return None
        return loaded(make, path, device)

    return Networks(
        syncnet=read("LSE-C and LSE-D", SyncNet), inception=read("FID", Inception), i3d=read("FVD", I3d),
        lacking=lacking,
    )  # fmt: skip


def _file_of(metric: str, folder: Path | None) -> Path | None:
    """In the folder, or where `vividhead weights fetch syncnet --to` the folder puts it."""
    if folder is None:
        return None
    places = [folder / name for name in FILES[metric]]
    places += [folder / model("syncnet").folder / name for name in FILES[metric]]
    return next((path for path in places if path.is_file()), None)


def _too_few(what: str, dimensions: int, made: int, real: int) -> Reading | None:
    least = least_samples(dimensions)
    if min(made, real) >= least:
        return None
    detail = f"{made} {what} of the talks and {real} of the clips, {least} of each are needed: "
    ask = "longer talks (--minutes) or more (--portraits)" if made < least else "more footage, or more of it held out"
    return unmeasurable("too_few_samples", detail + ask)


def _features(
    stretches: Stretches, pictures: nn.Module | None, films: nn.Module | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each picture, and of each whole stretch; empty where no network is given."""
    of_pictures, of_films = [torch.zeros(0)], [torch.zeros(0)]
    for shown_THWC in stretches:
        shown_TCHW = torch.from_numpy(shown_THWC).permute(0, 3, 1, 2)
        if pictures is not None:
            of_pictures.append(_through(pictures, shown_TCHW))
        if films is not None and len(shown_TCHW) == STRETCH_FRAMES:
            of_films.append(_through(films, shown_TCHW.transpose(0, 1)[None]))
    return tuple(torch.cat(parts[1:] or parts).numpy() for parts in (of_pictures, of_films))  # type: ignore[return-value]


def _through(network: nn.Module, shown: Tensor) -> Tensor:
    device = next(network.parameters()).device
    with torch.inference_mode():
        found: Tensor = network(shown.to(device, torch.float32) / 255)
    return found.cpu()


def in_stretches(pictures: Iterable[Pictures]) -> Iterator[Pictures]:
    """A film's pictures (H, W, C), 16 at a time; the last stretch may be shorter."""
    left = iter(pictures)
    while held := list(islice(left, STRETCH_FRAMES)):
        yield np.stack(held)
