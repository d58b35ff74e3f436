"""A cut-out person whose head moves and mouth speaks, drawn into a picture.

Axes: V vertices (468 mesh points, then the hair's outline, then neck, collar and frame), N mesh points,
H W C picture; the last 2 is x, y in pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.testing.mouth import Performance
from vividhead.testing.portrait import CutOut
from vividhead.testing.shapes import (
    INNER_LOWER,
    INNER_UPPER,
    SHAPES,
    SKIN_POINTS,
    FaceShapes,
    face_triangles,
)
from vividhead.testing.warp import FIXED_POINT_BITS, MeshWarp, fixed_point

Picture = NDArray[np.uint8]

MOUTH_RGB = (52, 20, 20)
TONGUE_RGB = (120, 52, 50)
LIT_MOUTH_OPENING = 0.06
"""Inner lips this far apart (in eye corners' distances) let all light in."""
_INNER_CONTOUR = [*INNER_UPPER, *INNER_LOWER[-2:0:-1]]

# Places in units of the eye corners' distance, right and down from the middle between the eyes.
_HAIR_CENTRE, _HAIR_RADII = (0.04, -0.37), (1.5, 1.38)
_HAIR_DEPTH, _PIVOT_DEPTH, _PIVOT = 0.4, 0.4, (0.0, 1.6)
# How much of the head's movement each place follows
_NECK = {(-0.62, 1.42): 0.45, (-0.2, 1.5): 0.45, (0.2, 1.5): 0.45, (0.62, 1.42): 0.45}
_COLLAR = {(x / 4, 1.85): 0.08 for x in range(-6, 7, 2)}
_FRAME_X0_Y0_X1_Y1 = (-1.9, -2.0, 1.9, 2.1)


class Puppet:
    """One cut-out at a fixed place of a picture, ready to be posed and drawn."""

    def __init__(self, cut: CutOut, left_px: int, top_px: int) -> None:
        """Put the upper left corner of `cut` at (`left_px`, `top_px`) of the picture it will be drawn in."""
        self._cut = cut
        self._corner = np.array([left_px, top_px], np.float64)
        mesh_N2 = cut.mesh_N3[:SKIN_POINTS, :2].astype(np.float64)
        self.shapes = FaceShapes(mesh_N2)
        self._eyes = (mesh_N2[33] + mesh_N2[263]) / 2
        self._source_rgba = np.dstack([cut.picture_HWC, cut.matte_HW])
        self._cavity_HWC = self._cavity(mesh_N2)
        self._lay_vertices(mesh_N2)
        self._warp = MeshWarp(self._source_V2, face_triangles(self._source_V2))

    def vertices(self, of: Performance, at: int) -> NDArray[np.float64]:
        """All vertices in picture pixels (V, 2) at frame `at`; the first 468 are the mesh's."""
        weights_S = np.array([of.shapes_T[name][at] for name in SHAPES])
        shaped_V2 = self._source_V2.copy()
        shaped_V2[:SKIN_POINTS] = self.shapes.shaped(weights_S)
        still_V2 = shaped_V2 + self._corner
        moved_V2 = self._posed(shaped_V2, self._depth_V, of, at)
        return np.asarray(still_V2 + self._head_weight_V[:, None] * (moved_V2 - still_V2))

    def draw_still(self, picture_HWC: Picture) -> None:
        """Blend the whole person, as photographed, into `picture_HWC`."""
        left, top = (int(place) for place in self._corner)
        height, width = self._cut.matte_HW.shape
        x0, x1 = max(left, 0), min(left + width, picture_HWC.shape[1])
        y0, y1 = max(top, 0), min(top + height, picture_HWC.shape[0])
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        _mix(picture_HWC[y0:y1, x0:x1], self._cut.picture_HWC[part], self._cut.matte_HW[part])

    def draw(self, picture_HWC: Picture, behind_HWC: Picture, of: Performance, at: int) -> None:
        """Redraw head and neck as at frame `at`, over the picture of what is `behind` the person."""
        x0, y0, x1, y1 = self._moving_box(picture_HWC.shape)
        vertices_V2 = self.vertices(of, at) - (x0, y0)
        mouth_to_source = self._mouth_to_source(of, at, (x0, y0))
        map_x, map_y = self._warp.maps(vertices_V2, mouth_to_source, (y1 - y0, x1 - x0))
        person_rgba = cv2.remap(self._source_rgba, map_x, map_y, cv2.INTER_LINEAR)
        person_HWC = np.asarray(cv2.cvtColor(person_rgba, cv2.COLOR_RGBA2RGB), np.uint8)
        matte_HW = np.asarray(cv2.extractChannel(person_rgba, 3), np.uint8)
        light = self._mouth_light(vertices_V2, of.shapes_T["round"][at])
        self._draw_mouth(person_HWC, matte_HW, vertices_V2[_INNER_CONTOUR], mouth_to_source, light)
        region_HWC = behind_HWC[y0:y1, x0:x1].copy()
        _mix(region_HWC, person_HWC, matte_HW)
        picture_HWC[y0:y1, x0:x1] = region_HWC

    def _at(self, right: float, down: float) -> NDArray[np.float64]:
        unit = self.shapes.unit_px
        return np.asarray(self._eyes + (right * self.shapes.right + down * self.shapes.down) * unit)

    def _lay_vertices(self, mesh_N2: NDArray[np.float64]) -> None:
        round_hair = np.radians(np.arange(165, 376, 15))  # over the top from ear to ear
        across = _HAIR_CENTRE[0] + _HAIR_RADII[0] * np.cos(round_hair)
        along = _HAIR_CENTRE[1] + _HAIR_RADII[1] * np.sin(round_hair)
        hair = list(zip(across.tolist(), along.tolist(), strict=True))
        loose = {**_NECK, **_COLLAR}
        x0, y0, x1, y1 = _FRAME_X0_Y0_X1_Y1
        steps = np.linspace(0, 1, 7).tolist()
        frame = [(x0 + (x1 - x0) * s, y) for s in steps for y in (y0, y1)]
        frame += [(x, y0 + (y1 - y0) * s) for s in steps[1:-1] for x in (x0, x1)]
        places = [self._at(*place) for place in (*hair, *loose, *frame)]
        self._source_V2 = np.concatenate([mesh_N2, places])
        moving = np.ones(SKIN_POINTS + len(hair))
        self._head_weight_V = np.concatenate([moving, [*loose.values()], np.zeros(len(frame))])
        depth = np.full(len(places), _HAIR_DEPTH * self.shapes.unit_px)
        self._depth_V = np.concatenate([self._cut.mesh_N3[:SKIN_POINTS, 2], depth])

    def _cavity(self, mesh_N2: NDArray[np.float64]) -> Picture:
        """Teeth of the portrait's smile before a dark mouth, in the cut-out's pixels."""
        height, width = self._cut.matte_HW.shape
        unit = self.shapes.unit_px
        cavity_HWC = np.empty((height, width, 3), np.uint8)
        cavity_HWC[:] = MOUTH_RGB
        centre = np.round((mesh_N2[78] + mesh_N2[308]) / 2 + 0.27 * unit * self.shapes.down).astype(int)
        axes = round(0.2 * unit), round(0.14 * unit)
        cv2.ellipse(cavity_HWC, centre.tolist(), axes, 0, 0, 360, TONGUE_RGB, -1)
        cv2.GaussianBlur(cavity_HWC, (0, 0), 0.035 * unit, dst=cavity_HWC)
        teeth_HW = np.zeros((height, width), np.uint8)
        cv2.fillPoly(teeth_HW, [np.round(mesh_N2[_INNER_CONTOUR]).astype(np.int32)], (255,))
        cv2.GaussianBlur(teeth_HW, (0, 0), 0.012 * unit, dst=teeth_HW)
        _mix(cavity_HWC, (self._cut.picture_HWC * 0.88).astype(np.uint8), teeth_HW)
        return cavity_HWC

    def _posed(
        self, xy_V2: NDArray[np.float64], depth_V: NDArray[np.float64], of: Performance, at: int
    ) -> NDArray[np.float64]:
        """Where points of the head are after its turn about the neck and its shift, in picture pixels."""
        unit, right, down = self.shapes.unit_px, self.shapes.right, self.shapes.down
        pivot = self._at(*_PIVOT)
        x_V, y_V = (xy_V2 - pivot) @ right, (xy_V2 - pivot) @ down
        z_V = depth_V - _PIVOT_DEPTH * unit
        yaw, pitch, roll = np.radians([of.yaw_deg_T[at], of.pitch_deg_T[at], of.roll_deg_T[at]])
        x_V, z_V = x_V * np.cos(yaw) + z_V * np.sin(yaw), z_V * np.cos(yaw) - x_V * np.sin(yaw)
        y_V = y_V * np.cos(pitch) - z_V * np.sin(pitch)
        x_V, y_V = x_V * np.cos(roll) - y_V * np.sin(roll), x_V * np.sin(roll) + y_V * np.cos(roll)
        turned_V2 = x_V[:, None] * right + y_V[:, None] * down + pivot
        return np.asarray(turned_V2 + of.shift_T2[at] * unit + self._corner)

    def _moving_box(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """The frame's pixels within a picture of `shape`, x0 y0 x1 y1, of even width and height."""
        frame_V2 = self._source_V2[self._head_weight_V == 0] + self._corner
        x0, y0 = (max(int(np.ceil(low)), 0) for low in frame_V2.min(0))
        x1, y1 = (min(int(high), limit) for high, limit in zip(frame_V2.max(0), shape[1::-1], strict=True))
        return x0, y0, x0 + (x1 - x0) // 2 * 2, y0 + (y1 - y0) // 2 * 2

    def _mouth_to_source(self, of: Performance, at: int, origin: tuple[int, int]) -> NDArray[np.float64]:
        """The affine map (2, 3) of the skull, from the picture's region at `origin` to the cut-out."""
        source = self._source_V2[[78, 308, 152]]
        posed = self._posed(source, np.full(3, self._depth_V[13]), of, at) - origin
        return np.asarray(cv2.getAffineTransform(posed.astype(np.float32), source.astype(np.float32)), np.float64)

    def _mouth_light(self, vertices_V2: NDArray[np.float64], rounded: float) -> float:
        """Light on teeth and tongue: none reaches them through shut or pursed lips."""
        opening = float(np.linalg.norm(vertices_V2[14] - vertices_V2[13])) / self.shapes.unit_px
        return float(np.clip(opening / LIT_MOUTH_OPENING, 0.3, 1.0)) * (1 - 0.65 * rounded)

    def _draw_mouth(
        self, person_HWC: Picture, matte_HW: Picture, contour: NDArray[np.float64],
        mouth_to_source: NDArray[np.float64], light: float,
    ) -> None:  # fmt: skip
        """Fill the hole between the lips with teeth (fixed to the skull) and darkness."""
        x0, y0 = (int(low) - 3 for low in contour.min(0))
        x1, y1 = (int(high) + 4 for high in contour.max(0))
        mask_HW = np.zeros((y1 - y0, x1 - x0), np.uint8)
        outline = fixed_point(contour - (x0, y0))
        cv2.fillPoly(mask_HW, [outline], (255,), cv2.LINE_AA, FIXED_POINT_BITS)
        cv2.polylines(mask_HW, [outline], True, (150,), 1, cv2.LINE_AA, FIXED_POINT_BITS)
        to_source = mouth_to_source.copy()
        to_source[:, 2] += to_source[:, :2] @ (x0, y0)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        teeth_HWC = cv2.warpAffine(self._cavity_HWC, to_source, (x1 - x0, y1 - y0), flags=how)
        lit_HWC = cv2.addWeighted(teeth_HWC, light, np.full_like(teeth_HWC, MOUTH_RGB), 1 - light, 0)
        _mix(person_HWC[y0:y1, x0:x1], np.asarray(lit_HWC, np.uint8), mask_HW)
        matte_HW[y0:y1, x0:x1] = 255


def _mix(onto_HWC: Picture, over_HWC: Picture, alpha_HW: Picture) -> None:
    """Blend `over` into `onto` in place."""
    weight_HW = alpha_HW.astype(np.float32) / 255
    over, onto = np.ascontiguousarray(over_HWC), np.ascontiguousarray(onto_HWC)
    onto_HWC[:] = cv2.blendLinear(over, onto, weight_HW, 1 - weight_HW)
