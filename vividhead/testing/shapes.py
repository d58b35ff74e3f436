"""Mouth, lid and brow shapes as displacements of MediaPipe's mesh on one portrait.

A shape is given at a few control points (lip contours, chin, lids); the rest of the mesh follows by solving
the mesh graph's Laplace equation. No edge of the graph crosses the mouth, so that the lips part cleanly.

Axes: N mesh points, S shapes; 2 is x, y in pixels.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve
from scipy.spatial import Delaunay

from vividhead.testing.mouth import MOUTH_SHAPES

SKIN_POINTS = 468
"""Mesh points without the ten of the irises."""
# MediaPipe's lip contours from one mouth corner to the other
INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
EYE_CORNERS = (33, 133, 263, 362)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 46, 53, 52, 65, 55, 285, 295, 282, 283, 276)
FOREHEAD = (10, 338, 297, 332, 284, 251, 389, 356, 109, 67, 103, 54, 21, 162, 127, 151, 9, 8)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 129, 358, 94, 19)
# from the chin to either ear, and the part of the chin's way that each point takes
JAW_LINE = {
    152: 1.0, 148: 0.98, 176: 0.93, 149: 0.84, 150: 0.7, 136: 0.54, 172: 0.36, 58: 0.2, 132: 0.07, 93: 0,
    234: 0, 377: 0.98, 400: 0.93, 378: 0.84, 379: 0.7, 365: 0.54, 397: 0.36, 288: 0.2, 361: 0.07, 323: 0,
    454: 0,
}  # fmt: skip

SHAPES = (*MOUTH_SHAPES, "blink", "brow")
# Lengths below are in units of the distance between the outer corners of the eyes.
LIP_DROP = 0.24
CHIN_DROP = 0.20
CORNER_DROP = 0.05
SMILE_WIDTH_KEPT = 0.88
"""The portrait smiles; at rest its mouth is this much narrower and shut."""

Displacement = NDArray[np.float64]


class FaceShapes:
    """The portrait's face at rest and the displacements of `SHAPES` at full strength."""

    def __init__(self, mesh_N2: NDArray[np.float64]) -> None:
        """Take the mesh's 468 skin points in pixels of the (possibly mirrored) portrait."""
        self._mesh_N2 = mesh_N2
        across = mesh_N2[263] - mesh_N2[33]
        self.unit_px = float(np.hypot(*across))
        self.right = across / self.unit_px
        """Unit vector from the mesh's eye 33 to its eye 263; points left in a mirrored portrait."""
        down = np.array([-self.right[1], self.right[0]])
        self.down = down if down @ (mesh_N2[152] - mesh_N2[8]) > 0 else -down
        self._triangles_F3 = face_triangles(mesh_N2)
        self._centre = (mesh_N2[78] + mesh_N2[308]) / 2
        self._half_width = float((mesh_N2[308] - mesh_N2[78]) @ self.right) / 2
        self.rest_N2 = mesh_N2 + self._shut()
        self.strength_SN2 = np.stack([getattr(self, f"_{name}")() for name in SHAPES])

    def shaped(self, weights_S: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mesh (N, 2) with each shape at its weight, 0 … 1."""
        return np.asarray(self.rest_N2 + np.tensordot(weights_S, self.strength_SN2, axes=1))

    def opening(self, weights_TS: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of the inner lips' middles, in units of the eye corners' distance, (T,)."""
        gap_S2 = self.strength_SN2[:, 14] - self.strength_SN2[:, 13]
        gap_T2 = self.rest_N2[14] - self.rest_N2[13] + weights_TS @ gap_S2
        return np.asarray((gap_T2 @ self.down) / self.unit_px)

    def _along(self, point: int) -> float:
        """Where a point lies between the mouth's corners, -1 … 1."""
        return float((self._mesh_N2[point] - self._centre) @ self.right) / self._half_width

    def _move(self, right: float, down: float) -> Displacement:
        return np.asarray((right * self.right + down * self.down) * self.unit_px)

    def _arch(self, point: int) -> float:
        """1 in the middle of the mouth, 0 at its corners."""
        return max(0.0, 1 - self._along(point) ** 2)

    def _still(self, *groups: Iterable[int]) -> dict[int, Displacement]:
        return {point: np.zeros(2) for group in groups for point in group}

    def _mouth_only(self, controls: Mapping[int, Displacement]) -> Displacement:
        still = self._still(FOREHEAD, NOSE, EYE_CORNERS, UPPER_LIDS, LOWER_LIDS, BROWS, JAW_LINE)
        return self._spread_over_mesh({**still, **controls})

    def _shut(self) -> Displacement:
        """From the smile with bared teeth to lips at rest."""
        half_mouth = self._half_width / self.unit_px
        controls = {}
        for upper, lower in zip(INNER_UPPER, INNER_LOWER, strict=True):
            gap = self._mesh_N2[lower] - self._mesh_N2[upper]
            controls[upper], controls[lower] = 0.45 * gap, -0.55 * gap
        gap = self._mesh_N2[14] - self._mesh_N2[13]
        for point in OUTER_UPPER:
            controls[point] = 0.15 * gap * self._arch(point)
        for point in OUTER_LOWER:
            controls[point] = -0.35 * gap * self._arch(point)
        for point in controls:
            inwards = -(1 - SMILE_WIDTH_KEPT) * self._along(point) * half_mouth
            controls[point] = controls[point] + self._move(inwards, 0.035 * self._along(point) ** 2)
        return self._mouth_only(controls)

    def _jaw(self) -> Displacement:
        controls = {point: self._move(0, CHIN_DROP * part) for point, part in JAW_LINE.items()}
        for point in OUTER_UPPER + INNER_UPPER:
            controls[point] = self._move(0, -0.012 * self._arch(point))
        for point in OUTER_LOWER + INNER_LOWER:
            deep = CORNER_DROP + (LIP_DROP - CORNER_DROP) * self._arch(point) ** 0.8
            controls[point] = self._move(-0.03 * self._along(point) ** 3, deep)
        for corner in (78, 308, 61, 291):
            controls[corner] = self._move(-0.03 * self._along(corner), CORNER_DROP)
        return self._mouth_only(controls)

    def _spread(self) -> Displacement:
        return self._mouth_only({
            point: self._move(0.065 * self._along(point), -0.02 * self._along(point) ** 2)
            for point in OUTER_UPPER + INNER_UPPER + OUTER_LOWER + INNER_LOWER
        })  # fmt: skip

    def _round(self) -> Displacement:
        controls = {}
        for point in OUTER_UPPER + INNER_UPPER:
            controls[point] = self._move(-0.11 * self._along(point), -0.025 * self._arch(point))
        for point in OUTER_LOWER + INNER_LOWER:
            controls[point] = self._move(-0.11 * self._along(point), 0.035 * self._arch(point))
        return self._mouth_only(controls)

    def _press(self) -> Displacement:
        controls = self._still(INNER_UPPER, INNER_LOWER)
        controls |= {point: self._move(0, 0.022 * self._arch(point)) for point in OUTER_UPPER}
        controls |= {point: self._move(0, -0.03 * self._arch(point)) for point in OUTER_LOWER}
        return self._mouth_only(controls)

    def _tuck(self) -> Displacement:
        raised = OUTER_UPPER + INNER_UPPER
        controls = {point: self._move(0, -0.025 * self._arch(point)) for point in raised}
        controls |= {point: self._move(0, -0.02 * self._arch(point)) for point in INNER_LOWER[1:-1]}
        controls |= {point: self._move(0, -0.03 * self._arch(point)) for point in OUTER_LOWER[1:-1]}
        return self._mouth_only(controls)

    def _blink(self) -> Displacement:
        controls = self._still(EYE_CORNERS, BROWS, NOSE, FOREHEAD, JAW_LINE, OUTER_UPPER)
        for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
            gap = self._mesh_N2[lower] - self._mesh_N2[upper]
            controls[upper], controls[lower] = 0.92 * gap, -0.08 * gap
        return self._spread_over_mesh(controls)

    def _brow(self) -> Displacement:
        controls = self._still(EYE_CORNERS, NOSE, JAW_LINE, UPPER_LIDS, LOWER_LIDS, FOREHEAD[:-1], OUTER_UPPER)
        controls |= {point: self._move(0, -0.035) for point in BROWS}
        return self._spread_over_mesh(controls)

    def _spread_over_mesh(self, controls: Mapping[int, Displacement]) -> Displacement:
        """All points' displacements: harmonic between the control points."""
        edges_E2 = np.concatenate([self._triangles_F3[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        lengths_E = np.linalg.norm(np.diff(self._mesh_N2[edges_E2], axis=1)[:, 0], axis=1)
        stiffness = coo_matrix((1 / lengths_E, (edges_E2[:, 0], edges_E2[:, 1])), (SKIN_POINTS, SKIN_POINTS))
        both_ways = (stiffness + stiffness.T).tocsr()
        laplace = (diags(np.asarray(both_ways.sum(1)).ravel()) - both_ways).tocsc()
        fixed = np.array(sorted(controls))
        free = np.setdiff1d(np.arange(SKIN_POINTS), fixed)
        moved_N2 = np.zeros((SKIN_POINTS, 2))
        moved_N2[fixed] = [controls[point] for point in fixed]
        moved_N2[free] = spsolve(laplace[free][:, free], -(laplace[free][:, fixed] @ moved_N2[fixed]))
        return moved_N2


def face_triangles(points_N2: NDArray[np.float64]) -> NDArray[np.int64]:
    """Delaunay triangles (F, 3) of mesh points, and any further points after them; the mouth is a hole."""
    triangles_F3 = Delaunay(points_N2).simplices.astype(np.int64)
    in_mouth_F = np.isin(triangles_F3, INNER_UPPER + INNER_LOWER).all(axis=1)
    return np.asarray(triangles_F3[~in_mouth_F])
