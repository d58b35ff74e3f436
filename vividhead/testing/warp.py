"""Where each pixel of a picture comes from when the vertices of a triangle mesh have moved.

Axes: V vertices, F triangles, H W picture; the last 2 is x, y in pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

FIXED_POINT_BITS = 4
"""Fractional bits of the coordinates that OpenCV's drawing functions are given."""
_LEAST_AREA_PX2 = 0.05


class MeshWarp:
    """A piecewise affine map from moved vertices back to where they were."""

    def __init__(self, source_V2: NDArray[np.float64], triangles_F3: NDArray[np.int64]) -> None:
        """Take the vertices as they lie in the source picture, and the triangles between them."""
        corners_F32 = source_V2[triangles_F3]
        self._triangles_F3 = triangles_F3
        self._source_edges_F22 = corners_F32[:, 1:] - corners_F32[:, :1]
        self._source_first_F2 = corners_F32[:, 0]
        self._turn_F = np.sign(_cross(self._source_edges_F22))

    def maps(
        self, moved_V2: NDArray[np.float64], outside: NDArray[np.float64], size_hw: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source x and y (H, W) of each pixel, found at half size and enlarged; H and W are even.

        Pixels in no triangle come by the affine map `outside` (2, 3). Folded triangles are not drawn.
        """
        corners_F32 = moved_V2[self._triangles_F3]
        edges_F22 = corners_F32[:, 1:] - corners_F32[:, :1]
        area_F = _cross(edges_F22) * self._turn_F
        # Smallest first: a sliver is drawn at least a pixel wide, and its neighbours then cover it.
        drawn = np.argsort(area_F, kind="stable")[np.count_nonzero(area_F < _LEAST_AREA_PX2) :]
        half_h, half_w = size_hw[0] // 2, size_hw[1] // 2
        labels_HW = np.zeros((half_h, half_w), np.int32)
        fixed_F32 = fixed_point((corners_F32[drawn] - 0.5) / 2)
        for label, corners in enumerate(fixed_F32, 1):
            cv2.fillConvexPoly(labels_HW, corners, (label,), cv2.LINE_8, FIXED_POINT_BITS)
        table_F6 = np.concatenate([outside.reshape(1, 6), self._affine_F6(corners_F32, edges_F22, drawn)])
        at_HW6 = np.take(table_F6.astype(np.float32), labels_HW, axis=0)
        x_W = np.arange(half_w, dtype=np.float32) * 2 + 0.5
        y_H1 = np.arange(half_h, dtype=np.float32)[:, None] * 2 + 0.5
        halves = [at_HW6[..., k] * x_W + at_HW6[..., k + 1] * y_H1 + at_HW6[..., k + 2] for k in (0, 3)]
        map_x, map_y = (
            np.asarray(cv2.resize(h, size_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32) for h in halves
        )
        return map_x, map_y

    def _affine_F6(
        self, corners_F32: NDArray[np.float64], edges_F22: NDArray[np.float64], which: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Rows a … f: source x = a x + b y + c, source y = d x + e y + f, for the triangles `which`."""
        (ax, ay), (bx, by) = np.moveaxis(edges_F22[which], 0, 2)
        inverse_F22 = np.moveaxis(np.array([[by, -bx], [-ay, ax]]) / (ax * by - ay * bx), 2, 0)
        linear_F22 = np.swapaxes(self._source_edges_F22[which], 1, 2) @ inverse_F22
        offset_F21 = self._source_first_F2[which][..., None] - linear_F22 @ corners_F32[which][:, 0, :, None]
        return np.asarray(np.concatenate([linear_F22, offset_F21], 2).reshape(-1, 6))


def fixed_point(places: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates as OpenCV's drawing functions want them with `FIXED_POINT_BITS`."""
    return np.asarray(np.round(places * (1 << FIXED_POINT_BITS)), np.int32)


def _cross(edges_F22: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the signed area of triangles given by two edges each."""
    return np.asarray(edges_F22[:, 0, 0] * edges_F22[:, 1, 1] - edges_F22[:, 0, 1] * edges_F22[:, 1, 0])
