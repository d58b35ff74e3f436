"""Portraits: cropped as curation crops, and refused by curation's limits in words that help."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import Delaunay

from vividhead.clips import ClipCutter
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.generate import portrait as room
from vividhead.flashhead.generate.portrait import PortraitError, check_portrait, prepare_portrait
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.records import Measurement
from vividhead.shipped import shipped
from vividhead.testing import Actor, Look, talking_head
from vividhead.testing.portrait import PHOTO_FACE_PX, coffee_cup, photo

Picture = NDArray[np.uint8]
SIDE_PX = 128


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    """A portrait, 512 px square, its face about 105 px high."""
    return skimage.data.astronaut()


def scene(*actors: Actor) -> Picture:
    return next(iter(talking_head(*actors, duration_s=0.04).frames()))


@pytest.fixture(scope="module")
def two_people() -> Picture:
    """Side by side, one nearer than the other."""
    return scene(
        Actor(speech=None, nose_at=(0.25, 0.56), face_px=150),
        Actor(speech=None, nose_at=(0.75, 0.5), face_px=60, look=Look(mirrored=True)),
    )


def refusal(picture: Picture, side_px: int = SIDE_PX, **options: str) -> str:
    with pytest.raises(PortraitError) as caught:
        check_portrait(picture, side_px, **options)
    assert caught.value.exit_code == 4
    return str(caught.value)


def policy_file(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """The shipped filters with these texts replaced."""
    text = (shipped("filters") / "talking-head.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_portrait_is_cropped_as_a_clip_of_that_face_is(astronaut: Picture) -> None:
    found = check_portrait(astronaut, SIDE_PX)
    cutter = ClipCutter(load_pipeline().clips, 512, 512)
    cutter.add(0, found.face_xyxy_px, lambda: None)
    draft = cutter.close()
    assert draft is not None
    assert found.crop_xyxy_px == draft.crop_xyxy_px
    x0, y0, x1, y1 = found.crop_xyxy_px
    assert found.readings["framing.face_fraction_of_crop"] == pytest.approx(1 / 2.2, abs=0.01)
    got = prepare_portrait(astronaut, SIDE_PX)
    assert (got.dtype, got.shape) == (np.uint8, (SIDE_PX, SIDE_PX, 3))
    plain = cv2.resize(astronaut[y0:y1, x0:x1], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    assert np.abs(got.astype(int) - plain).mean() < 3


def test_the_picture_read_from_a_file_gives_the_same_bytes_each_time(astronaut: Picture, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(astronaut).save(path)
    first = prepare_portrait(path, SIDE_PX)
    assert np.array_equal(prepare_portrait(str(path), SIDE_PX), first)
    assert np.array_equal(prepare_portrait(astronaut, SIDE_PX), first)


def test_a_picture_turned_by_its_exif_is_the_upright_one(astronaut: Picture, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(astronaut).copy()).save(tmp_path / "phone.png", exif=exif)
    assert np.array_equal(prepare_portrait(tmp_path / "phone.png", SIDE_PX), prepare_portrait(astronaut, SIDE_PX))


def test_a_picture_of_odd_size_is_taken(astronaut: Picture) -> None:
    assert prepare_portrait(astronaut[:401, 20:441], SIDE_PX).shape == (SIDE_PX, SIDE_PX, 3)


@pytest.mark.parametrize("at", ["left", "right", "top", "bottom"])
def test_a_face_near_the_edge_moves_the_crop_into_the_picture(at: str, astronaut: Picture) -> None:
    """As in clips: nothing is made up beyond the edge."""
    part = {"left": astronaut[:, 160:], "right": astronaut[:, :292], "top": astronaut[60:], "bottom": astronaut[:184]}
    picture = np.ascontiguousarray(part[at])
    x0, y0, x1, y1 = check_portrait(picture, SIDE_PX).crop_xyxy_px
    assert 0 <= x0 < x1 <= picture.shape[1]
    assert 0 <= y0 < y1 <= picture.shape[0]
    edge = {"left": x0 == 0, "right": x1 == picture.shape[1], "top": y0 == 0, "bottom": y1 == picture.shape[0]}
    assert edge[at]


def test_the_least_face_is_the_policys_brought_to_the_side(astronaut: Picture, tmp_path: Path) -> None:
    """160 px for clips of 512 px: 80 at 256, which the astronaut's 105 px reach."""
    check_portrait(astronaut, 256)
    says = refusal(astronaut, 512)
    assert "framing.face_height_px_in_source:low" in says
    assert "the face is 105 px high, and 160 px are needed for pictures of 512 px" in says
    assert "give a larger" in says
    mine = policy_file(tmp_path, ("face_height_px_in_source = { min = 160", "face_height_px_in_source = { min = 100"))
    check_portrait(astronaut, 512, filters=mine)


def test_the_shipped_policies_let_no_face_be_enlarged_twofold() -> None:
    plan = load_pipeline()
    for name in ("talking-head", "strict"):
        rules = load_policy(name, plan.measure.scores).rules
        least = next(rule.min for rule in rules if rule.id == "framing.face_height_px_in_source")
        assert least is not None
        assert plan.pack.side_px / (least * plan.clips.crop_scale) < 2


def test_a_tiny_face_is_refused(astronaut: Picture) -> None:
    small = cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)
    says = refusal(np.asarray(small, np.uint8))
    assert "px high, and 40 px are needed for pictures of 128 px" in says


def test_a_tiny_picture_is_refused(astronaut: Picture) -> None:
    says = refusal(astronaut[60:150, 170:280])
    assert says == "portrait.too_small: it is 110 × 90 px, and no side may be under 96 px"


@pytest.mark.parametrize("picture", [np.full((300, 400, 3), 128, np.uint8), coffee_cup()], ids=["blank", "coffee"])
def test_a_picture_without_a_face_is_refused(picture: Picture) -> None:
    says = refusal(picture)
    assert says.startswith(f"portrait.no_face: no face is seen in it ({picture.shape[1]} × {picture.shape[0]} px)")
    assert "give a picture of one person" in says


def test_two_faces_are_refused_by_the_policys_rule(two_people: Picture) -> None:
    says = refusal(two_people)
    assert says.startswith("other_faces.seconds_fraction:high: there is more than one face in it, ")
    assert "cut the picture so that one person is left" in says


def test_a_face_behind_is_let_pass_by_a_policy_that_says_so(two_people: Picture, tmp_path: Path) -> None:
    rule = "other_faces.seconds_fraction = { max = 0.1"
    mine = policy_file(tmp_path, (rule, "other_faces.largest_height_ratio = { max = 0.5"))
    left = check_portrait(two_people, SIDE_PX, filters=mine)
    assert left.face_xyxy_px[2] < 320, "the larger face is the one"
    narrow = policy_file(tmp_path, (rule, "other_faces.largest_height_ratio = { max = 0.2"))
    says = refusal(two_people, filters=narrow)
    assert "other_faces.largest_height_ratio:high" in says
    assert "the limit 0.2" in says


def changed(picture: Picture) -> Iterator[tuple[str, Picture, str, str]]:
    """Name, the astronaut spoiled in one way, the rule it breaks, and what the text says."""
    tilt = cv2.getRotationMatrix2D((226, 120), 50, 1)
    tilted = cv2.warpAffine(picture, tilt, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    yield "tilted", tilted, "head_pose.roll_deg_p95:high", "at most 35°: turn the picture upright"
    yield "soft", cv2.GaussianBlur(picture, (0, 0), 3), "sharpness.blurs_per_face_p10:low", "55 are needed"
    yield "dark", (picture * 0.08).astype(np.uint8), "exposure.face_luma_median:low", "give a brighter picture"
    pale = (255 - (255 - picture) * 0.1).astype(np.uint8)
    yield "pale", pale, "exposure.face_luma_median:high", "at most 230: give a darker picture"
    yield "close", picture[60:180, 165:285], "framing.face_fraction_of_crop:high", "more around the head"
    yield "cut", picture[100:], "framing.border_distance_fraction:low", "cut off by the picture's edge"


@pytest.mark.parametrize("which", ["tilted", "soft", "dark", "pale", "close", "cut"])
def test_each_broken_limit_is_named_with_what_to_do(which: str, astronaut: Picture) -> None:
    picture, rule, says = next((p, r, s) for name, p, r, s in changed(astronaut) if name == which)
    text = refusal(np.ascontiguousarray(picture, np.uint8))
    assert rule.split(":")[0] in text
    assert says in text


def turned(yaw_deg: float, zoom: float = 2.5) -> Picture:
    """The astronaut's face as a mask in space, turned aside and drawn from back to front."""
    picture_HWC, _, mesh_N3 = photo()
    centred_N3 = (mesh_N3 - mesh_N3.mean(0)).astype(float)
    cos, sin = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    depth_N = -centred_N3[:, 0] * sin + centred_N3[:, 2] * cos
    at_N2 = np.stack([centred_N3[:, 0] * cos + centred_N3[:, 2] * sin, centred_N3[:, 1]], 1) * zoom + 220
    canvas_HWC = np.full((440, 440, 3), (150, 150, 155), np.uint8)
    triangles_F3 = Delaunay(mesh_N3[:, :2]).simplices
    for corners in triangles_F3[np.argsort(-depth_N[triangles_F3].mean(1))]:
        source, target = mesh_N3[corners, :2], at_N2[corners].astype(np.float32)
        (x0, y0), (x1, y1) = np.floor(target.min(0)).astype(int) - 1, np.ceil(target.max(0)).astype(int) + 2
        move = cv2.getAffineTransform(np.ascontiguousarray(source, np.float32), target)
        move[:, 2] -= (x0, y0)
        patch_HWC = cv2.warpAffine(picture_HWC, move, (int(x1 - x0), int(y1 - y0)))
        inside_HW = np.zeros(patch_HWC.shape[:2], np.uint8)
        cv2.fillConvexPoly(inside_HW, np.round((target - (x0, y0)) * 16).astype(np.int32), (1,), cv2.LINE_8, 4)
        canvas_HWC[y0:y1, x0:x1][inside_HW > 0] = patch_HWC[inside_HW > 0]
    return canvas_HWC


def test_a_head_turned_aside_is_refused(tmp_path: Path) -> None:
    facing, aside = turned(0), turned(-55)
    looser = policy_file(tmp_path, ("yaw_deg_p95 = { max = 45", "yaw_deg_p95 = { max = 28"))
    check_portrait(facing, SIDE_PX, filters=looser)
    found = check_portrait(aside, SIDE_PX)
    assert 30 < found.readings["head_pose.yaw_deg_p95"] < 45, (
        "the mesh reads less than the truth, as masks have no ears"
    )
    says = refusal(aside, filters=looser)
    assert "head_pose.yaw_deg_p95:high: the head is turned aside by 3" in says
    assert "at most 28°: let it face the camera" in says


def test_all_broken_limits_are_told_at_once(astronaut: Picture) -> None:
    says = refusal(np.asarray(cv2.GaussianBlur((astronaut * 0.5).astype(np.uint8), (0, 0), 3)), 512)
    assert "160 px are needed" in says
    assert "out of focus" in says


def test_a_score_that_fails_is_no_fault_of_the_picture(astronaut: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(name: str, media: object) -> Measurement:
        return Measurement(
            clip_id="still",
            score=name,
            version=1,
            fingerprint="",
            status="failed",
            code="ZeroDivisionError",
            detail="x",
        )

    monkeypatch.setattr(room, "measure", failing)
    with pytest.raises(VividHeadError, match="framing could not be measured: ZeroDivisionError: x") as caught:
        check_portrait(astronaut, SIDE_PX)
    assert not isinstance(caught.value, PortraitError)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file has no bytes"),
        (b"no picture at all", "not a PNG, JPEG, WEBP picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00", "cannot be the portrait: "),
    ],
)
def test_a_corrupt_file_is_refused_by_name(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(data)
    with pytest.raises(PortraitError) as caught:
        prepare_portrait(path, SIDE_PX)
    assert f"{path} cannot be the portrait: " in str(caught.value)
    assert says in str(caught.value)


def test_a_refused_file_is_named(tmp_path: Path) -> None:
    Image.fromarray(coffee_cup()).save(tmp_path / "cup.webp")
    with pytest.raises(PortraitError, match=r"portrait\.no_face: .*cup\.webp cannot be the portrait: no face is seen"):
        prepare_portrait(tmp_path / "cup.webp", SIDE_PX)
    with pytest.raises(PortraitError, match=r"failed\.vanished: .*gone\.png"):
        prepare_portrait(tmp_path / "gone.png", SIDE_PX)


def test_what_is_no_rgb_picture_is_a_mistake_of_the_caller(astronaut: Picture) -> None:
    for wrong in (astronaut.astype(np.float32), astronaut[..., 0], np.dstack([astronaut, astronaut[..., :1]])):
        with pytest.raises(UsageError, match=r"uint8 \(H, W, 3\) RGB"):
            check_portrait(wrong, SIDE_PX)


def test_the_largest_of_the_studios_faces_passes_at_512_px() -> None:
    picture = scene(Actor(speech=None, face_px=185))
    found = check_portrait(picture, 512)
    assert found.readings["framing.face_height_px_in_source"] > 1.5 * PHOTO_FACE_PX
    assert prepare_portrait(picture, 512).shape == (512, 512, 3)


def test_a_real_portrait_passes_at_512_px(shared: Path) -> None:
    path = shared / "footage" / "portrait_girl.png"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the real footage")
    assert prepare_portrait(path, 512).shape == (512, 512, 3)
