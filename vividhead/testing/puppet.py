"""A cut-out person whose head moves and mouth speaks, drawn triangle by triangle into a picture.

Axes: V vertices (468 mesh points, then the head's outline, then neck and frame), F triangles, H W C picture.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.testing.mouth import Performance
from vividhead.testing.portrait import CutOut
from vividhead.testing.shapes import INNER_LOWER, INNER_UPPER, SHAPES, SKIN_POINTS, FaceShapes, face_triangles

MOUTH_RGB = (52, 20, 20)
TONGUE_RGB = (120, 52, 50)
_FIXED_POINT_BITS = 4
_INNER_CONTOUR = INNER_UPPER + INNER_LOWER[-2:0:-1]

# Places in units of the eye corners' distance, right and down from the middle between the eyes.
_HAIR_CENTRE, _HAIR_RADII = (0.04, -0.37), (1.5, 1.38)
_HAIR_DEPTH, _PIVOT = 0.4, (0.0, 1.6, 0.4)
_NECK = {(-0.62, 1.42): 0.45, (-0.2, 1.5): 0.45, (0.2, 1.5): 0.45, (0.62, 1.42): 0.45}
_COLLAR = {(x / 4, 1.85): 0.08 for x in range(-6, 7, 2)}
_FRAME = (-1.9, -2.0, 1.9, 2.1)


class Puppet:
    """One cut-out at a fixed place of a picture, ready to be posed and drawn."""

    def __init__(self, cut: CutOut, left_px: int, top_px: int) -> None:
        """Put the upper left corner of `cut` at (`left_px`, `top_px`) of the picture it will be drawn into."""
        self._cut = cut
        self._corner = np.array([left_px, top_px], np.float64)
        mesh_N2 = cut.mesh_N3[:SKIN_POINTS, :2].astype(np.float64)
        self.shapes = FaceShapes(mesh_N2)
        self._eyes = (mesh_N2[33] + mesh_N2[263]) / 2
        self._source_rgba = np.dstack([cut.picture_HWC, cut.matte_HW])
        self._cavity_HWC = self._cavity(mesh_N2)
        self._lay_vertices(mesh_N2)

    def _at(self, right: float, down: float) -> NDArray[np.float64]:
        unit = self.shapes.unit_px
        return np.asarray(self._eyes + (right * self.shapes.right + down * self.shapes.down) * unit)

    def _lay_vertices(self, mesh_N2: NDArray[np.float64]) -> None:
        angles = np.radians(np.arange(165, 376, 15))  # the hair's upper and side outline, not the chin
        hair = [self._at(_HAIR_CENTRE[0] + _HAIR_RADII[0] * np.cos(a), _HAIR_CENTRE[1] + _HAIR_RADII[1] * np.sin(a))
                for a in angles]  # fmt: skip
        loose = {**_NECK, **_COLLAR}
        x0, y0, x1, y1 = _FRAME
        steps = np.linspace(0, 1, 7)
        frame = [(x0 + (x1 - x0) * s, y) for s in steps for y in (y0, y1)]
        frame += [(x, y0 + (y1 - y0) * s) for s in steps[1:-1] for x in (x0, x1)]
        self._source_V2 = np.concatenate(
            [mesh_N2, hair, [self._at(*p) for p in loose], [self._at(*p) for p in frame]]
        )
        held = [*loose.values(), *([0.0] * len(frame))]
        self._head_weight_V = np.concatenate([np.ones(SKIN_POINTS + len(hair)), held])
        depth = _HAIR_DEPTH * self.shapes.unit_px
        self._depth_V = np.concatenate(
            [self._cut.mesh_N3[:SKIN_POINTS, 2], np.full(len(hair) + len(held), depth)]
        )
        self._triangles_F3 = face_triangles(self._source_V2)
        corners_F32 = self._source_V2[self._triangles_F3]
        self._source_edges_F22 = corners_F32[:, 1:] - corners_F32[:, :1]
        self._source_first_F2 = corners_F32[:, 0]
        self._turn_F = np.sign(_cross(self._source_edges_F22))

    def _cavity(self, mesh_N2: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Teeth of the portrait's smile before a dark mouth, in the cut-out's pixels."""
        height, width = self._cut.matte_HW.shape
        cavity_HWC = np.empty((height, width, 3), np.uint8)
        cavity_HWC[:] = MOUTH_RGB
        unit = self.shapes.unit_px
        centre = (mesh_N2[78] + mesh_N2[308]) / 2 + 0.27 * unit * self.shapes.down
        axes = round(0.2 * unit), round(0.14 * unit)
        cv2.ellipse(cavity_HWC, np.round(centre).astype(int).tolist(), axes, 0, 0, 360, TONGUE_RGB, -1)
        cavity_HWC = cv2.GaussianBlur(cavity_HWC, (0, 0), 0.035 * unit)
        teeth_HW = np.zeros((height, width), np.uint8)
        contour = mesh_N2[list(_INNER_CONTOUR)]
        cv2.fillPoly(teeth_HW, [np.round(contour).astype(np.int32)], 255)
        soft_HW1 = cv2.GaussianBlur(teeth_HW, (0, 0), 0.012 * unit)[..., None] / 255.0
        shaded_HWC = self._cut.picture_HWC * 0.88
        return (cavity_HWC * (1 - soft_HW1) + shaded_HWC * soft_HW1).astype(np.uint8)

    def _posed(self, xy_V2: NDArray[np.float64], depth_V: NDArray[np.float64], of: Performance, at: int) -> NDArray[np.float64]:
        """Where points of the head are after its turn about the neck and its shift, in picture pixels."""
        unit, right, down = self.shapes.unit_px, self.shapes.right, self.shapes.down
        pivot = self._at(*_PIVOT[:2])
        x_V, y_V = (xy_V2 - pivot) @ right, (xy_V2 - pivot) @ down
        z_V = depth_V - _PIVOT[2] * unit
        yaw, pitch, roll = np.radians([of.yaw_deg_T[at], of.pitch_deg_T[at], of.roll_deg_T[at]])
        x_V, z_V = x_V * np.cos(yaw) + z_V * np.sin(yaw), z_V * np.cos(yaw) - x_V * np.sin(yaw)
        y_V = y_V * np.cos(pitch) - z_V * np.sin(pitch)
        x_V, y_V = x_V * np.cos(roll) - y_V * np.sin(roll), x_V * np.sin(roll) + y_V * np.cos(roll)
        shift = of.shift_T2[at] * 2 * unit
        moved_V2 = x_V[:, None] * right + y_V[:, None] * down + pivot + shift
        return np.asarray(moved_V2 + self._corner)

    def vertices(self, of: Performance, at: int) -> NDArray[np.float64]:
        """All vertices in picture pixels (V, 2) at frame `at`; the first 468 are the mesh's."""
        weights_S = np.array([of.shapes_T[name][at] for name in SHAPES])
        shaped_V2 = self._source_V2.copy()
        shaped_V2[:SKIN_POINTS] = self.shapes.shaped(weights_S)
        still_V2 = shaped_V2 + self._corner
        return np.asarray(
            still_V2 + self._head_weight_V[:, None] * (self._posed(shaped_V2, self._depth_V, of, at) - still_V2)
        )

    def draw_still(self, picture_HWC: NDArray[np.uint8]) -> None:
        """Blend the whole person, as photographed, into `picture_HWC`."""
        height, width = picture_HWC.shape[:2]
        left, top = self._corner.astype(int)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self._cut.matte_HW.shape[1], width), min(top + self._cut.matte_HW.shape[0], height)
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        _mix(picture_HWC[y0:y1, x0:x1], self._cut.picture_HWC[part], self._cut.matte_HW[part])

    def draw(self, picture_HWC: NDArray[np.uint8], behind_HWC: NDArray[np.uint8], of: Performance, at: int) -> None:
        """Redraw head and neck as at frame `at`, over what is `behind` the person (a picture of the same size)."""
        x0, y0, x1, y1 = self._moving_box(picture_HWC.shape)
        vertices_V2 = self.vertices(of, at) - (x0, y0)
        mouth_to_source = self._mouth_to_source(of, at, (x0, y0))
        maps = self._source_maps(vertices_V2, mouth_to_source, (y1 - y0, x1 - x0))
        person_rgba = cv2.remap(self._source_rgba, *maps, cv2.INTER_LINEAR)
        person_HWC, matte_HW = cv2.cvtColor(person_rgba, cv2.COLOR_RGBA2RGB), cv2.extractChannel(person_rgba, 3)
        self._draw_mouth(person_HWC, matte_HW, vertices_V2[list(_INNER_CONTOUR)], mouth_to_source)
        region_HWC = behind_HWC[y0:y1, x0:x1].copy()
        _mix(region_HWC, person_HWC, matte_HW)
        picture_HWC[y0:y1, x0:x1] = region_HWC

    def _moving_box(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        frame_V2 = self._source_V2[self._head_weight_V == 0] + self._corner
        x0, y0 = np.maximum(np.ceil(frame_V2.min(0)), 0).astype(int)
        x1, y1 = np.minimum(np.floor(frame_V2.max(0)), (shape[1], shape[0])).astype(int)
        return int(x0), int(y0), int(x0 + (x1 - x0) // 2 * 2), int(y0 + (y1 - y0) // 2 * 2)

    def _mouth_to_source(self, of: Performance, at: int, origin: tuple[int, int]) -> NDArray[np.float64]:
        """The affine map (2, 3) from the picture's region at `origin` to the cut-out for what is fixed to the skull."""
        source = self._source_V2[[78, 308, 152]]
        posed = self._posed(source, np.full(3, self._depth_V[13]), of, at) - origin
        return np.asarray(cv2.getAffineTransform(posed.astype(np.float32), source.astype(np.float32)))

    def _source_maps(
        self, vertices_V2: NDArray[np.float64], mouth_to_source: NDArray[np.float64], size_hw: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For each pixel, where it comes from in the cut-out: piecewise affine, found at half size and enlarged."""
        corners_F32 = vertices_V2[self._triangles_F3]
        edges_F22 = corners_F32[:, 1:] - corners_F32[:, :1]
        area_F = _cross(edges_F22) * self._turn_F
        # Smallest first: a sliver is drawn at least a pixel wide, and its neighbours then cover it.
        solid = np.argsort(area_F)[np.count_nonzero(area_F < 0.05) :]
        half_h, half_w = size_hw[0] // 2, size_hw[1] // 2
        labels_HW = np.zeros((half_h, half_w), np.int32)
        fixed_F32 = np.round((corners_F32[solid] - 0.5) / 2 * (1 << _FIXED_POINT_BITS)).astype(np.int32)
        for label, corners in enumerate(fixed_F32, 1):
            cv2.fillConvexPoly(labels_HW, corners, label, cv2.LINE_8, _FIXED_POINT_BITS)
        table_F6 = np.concatenate([mouth_to_source.reshape(1, 6), self._affine_F6(corners_F32, edges_F22, solid)])
        picked_HW6 = np.take(table_F6.astype(np.float32), labels_HW, axis=0)
        x_W = np.arange(half_w, dtype=np.float32) * 2 + 0.5
        y_H1 = np.arange(half_h, dtype=np.float32)[:, None] * 2 + 0.5
        halves = [picked_HW6[..., k] * x_W + picked_HW6[..., k + 1] * y_H1 + picked_HW6[..., k + 2] for k in (0, 3)]
        map_x, map_y = (cv2.resize(h, size_hw[::-1], interpolation=cv2.INTER_LINEAR) for h in halves)
        return map_x, map_y

    def _affine_F6(
        self, corners_F32: NDArray[np.float64], edges_F22: NDArray[np.float64], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Rows (a b c d e f) with source x = a x + b y + c and source y = d x + e y + f, for the triangles `which`."""
        (ax, ay), (bx, by) = np.moveaxis(edges_F22[which], 0, 2)
        inverse_F22 = np.moveaxis(np.array([[by, -bx], [-ay, ax]]) / (ax * by - ay * bx), 2, 0)
        linear_F22 = np.swapaxes(self._source_edges_F22[which], 1, 2) @ inverse_F22
        offset_F21 = self._source_first_F2[which][..., None] - linear_F22 @ corners_F32[which][:, 0, :, None]
        return np.concatenate([linear_F22, offset_F21], 2).reshape(-1, 6)

    def _draw_mouth(
        self, person_HWC: NDArray[np.uint8], matte_HW: NDArray[np.uint8], contour: NDArray[np.float64],
        mouth_to_source: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Fill the hole between the lips with teeth (fixed to the skull) and darkness."""
        x0, y0 = np.floor(contour.min(0)).astype(int) - 3
        x1, y1 = np.ceil(contour.max(0)).astype(int) + 4
        mask_HW = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = np.round((contour - (x0, y0)) * (1 << _FIXED_POINT_BITS)).astype(np.int32)
        cv2.fillPoly(mask_HW, [fixed], 255, cv2.LINE_AA, _FIXED_POINT_BITS)
        cv2.polylines(mask_HW, [fixed], True, 150, 1, cv2.LINE_AA, _FIXED_POINT_BITS)
        to_source = mouth_to_source.copy()
        to_source[:, 2] += to_source[:, :2] @ (x0, y0)
        teeth_HWC = cv2.warpAffine(
            self._cavity_HWC, to_source, (int(x1 - x0), int(y1 - y0)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        _mix(person_HWC[y0:y1, x0:x1], teeth_HWC, mask_HW)
        matte_HW[y0:y1, x0:x1] = 255


def _cross(edges_F22: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the signed area of triangles given by two edges each."""
    return np.asarray(edges_F22[:, 0, 0] * edges_F22[:, 1, 1] - edges_F22[:, 0, 1] * edges_F22[:, 1, 0])


def _mix(onto_HWC: NDArray[np.uint8], over_HWC: NDArray[np.uint8], alpha_HW: NDArray[np.uint8]) -> None:
    """Blend `over` into `onto` in place."""
    weight_HW = alpha_HW.astype(np.float32) / 255
    over_HWC = np.ascontiguousarray(over_HWC)
    onto_HWC[:] = cv2.blendLinear(over_HWC, np.ascontiguousarray(onto_HWC), weight_HW, 1 - weight_HW)
