"""Batches of other shapes out of square windows: the largest crop of a bucket's aspect around the face, its last chunk.

    square       |. . . . . . . .|          pictures    0 ................ 16 ................ 32
    bucket           |. face .|             of 17                          |=================|
    bucket       |. . .face. . . .|         sound       …===================================| to the same moment

Chunks of fewer pictures end where the window ends, so its sound, up to that moment, is theirs as well.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vividhead.flashhead.buckets import Bucket
from vividhead.flashhead.train.windows import FACE_OVAL
from vividhead.loader import Batch


def cropped(batch: Batch, bucket: Bucket) -> Batch:
    """Windows of one chunk in the bucket's shape, each with its reference cut out alike."""
    side_px = batch.video_BTHWC.shape[2]
    video_BTHWC = batch.video_BTHWC[:, -bucket.frames :]
    mesh_BTPX = None if batch.landmarks_BTPX is None else batch.landmarks_BTPX[:, -bucket.frames :]
    if (bucket.rows_px, bucket.columns_px) == (side_px, side_px):
        return replace(batch, video_BTHWC=video_BTHWC, landmarks_BTPX=mesh_BTPX)
    size_HW = crop_size(bucket, side_px)
    corner_B2 = corners(mesh_BTPX, size_HW, side_px, len(batch))
    return replace(
        batch,
        video_BTHWC=_cut(video_BTHWC, corner_B2, size_HW, bucket),
        reference_BHWC=_cut(batch.reference_BHWC[:, None], corner_B2, size_HW, bucket)[:, 0],
        landmarks_BTPX=None if mesh_BTPX is None else _moved(mesh_BTPX, corner_B2, size_HW, bucket),
    )


def crop_size(bucket: Bucket, side_px: int) -> tuple[int, int]:
    """Height and width of the largest crop of the bucket's aspect."""
    longer_px = max(bucket.rows_px, bucket.columns_px)
    return round(side_px * bucket.rows_px / longer_px), round(side_px * bucket.columns_px / longer_px)


def corners(mesh_BTPX: Tensor | None, size_HW: tuple[int, int], side_px: int, count: int) -> Tensor:
    """Row and column [B, 2] of the crops' upper left corners: about the middle of where the face is in the window.

    Inside the picture, so what of the face is in it stays in a crop that is large enough. Without a face: the middle.
    """
    largest_2 = side_px - torch.tensor(size_HW)
    middle_B2 = torch.full((count, 2), side_px / 2)
    if mesh_BTPX is not None:
        marks_BNX = mesh_BTPX[:, :, list(FACE_OVAL), :2].flatten(1, 2).clamp(0, side_px)
        low, high = marks_BNX.nan_to_num(nan=torch.inf).amin(1), marks_BNX.nan_to_num(nan=-torch.inf).amax(1)
        face_B2 = ((low + high) / 2).flip(1)
        middle_B2 = torch.where(low[:, :1].isfinite(), face_B2, middle_B2)
    corner_B2 = (middle_B2 - torch.tensor(size_HW) / 2).round().long()
    return corner_B2.clamp(min=0).minimum(largest_2)


def _cut(pictures_BTHWC: Tensor, corner_B2: Tensor, size_HW: tuple[int, int], bucket: Bucket) -> Tensor:
    height, width = size_HW
    films = zip(pictures_BTHWC, corner_B2.tolist(), strict=True)
    cut_BTHWC = torch.stack([film_THWC[:, y : y + height, x : x + width] for film_THWC, (y, x) in films])
    if size_HW == (bucket.rows_px, bucket.columns_px):
        return cut_BTHWC
    as_images = cut_BTHWC.flatten(0, 1).permute(0, 3, 1, 2).float()
    scaled = F.interpolate(as_images, (bucket.rows_px, bucket.columns_px), mode="area").round().to(torch.uint8)
    scaled_BTHWC: Tensor = scaled.permute(0, 2, 3, 1).unflatten(0, cut_BTHWC.shape[:2])
    return scaled_BTHWC


def _moved(mesh_BTPX: Tensor, corner_B2: Tensor, size_HW: tuple[int, int], bucket: Bucket) -> Tensor:
    """The mesh in pixels of the cut and scaled pictures."""
    shift_BX = F.pad(corner_B2.flip(1), (0, 1))
    scale_y, scale_x = bucket.rows_px / size_HW[0], bucket.columns_px / size_HW[1]
    return (mesh_BTPX - shift_BX[:, None, None]) * torch.tensor((scale_x, scale_y, scale_x))
