"""The background stays where it is while a person moves in front of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from posing import pose

from multitalk.engines.warp.backdrop import covered_by, cut_out, fill_behind
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.matte import Matte
from multitalk.engines.warp.renderer import HeadRenderer, Pose
from multitalk.engines.warp.rig import Rig, build_rig
from multitalk.face.landmarks import FaceLandmarks
from multitalk.face.networks import PersonNetwork

TURNED = pose(yaw=np.radians(8), roll=np.radians(4), shift_x=0.05)


class Cut:
    """A head that is cut out of its picture, and drawn in front of the backdrop."""

    def __init__(self, picture: NDArray[np.uint8], face: FaceLandmarks, matte: Matte) -> None:
        self.picture, self.matte = picture, matte
        self.rig = build_rig(face, picture_size=picture.shape[:2], matte=matte)
        self.backdrop = fill_behind(picture, [(self.rig, matte)])
        self._renderer = HeadRenderer(picture, self.rig, matte=matte, backdrop=self.backdrop)

    def drawn(self, posed: Pose) -> NDArray[np.uint8]:
        frame = self.backdrop.copy()
        self._renderer.draw(frame, posed)
        return frame

    def beside(self) -> NDArray[np.bool_]:
        """Background that the head does not reach when it turns and shifts."""
        reach = round(0.13 * self.rig.frame.height)
        person = (self.matte.alpha > 0.02).astype(np.uint8)
        return cv2.dilate(person, np.ones((2 * reach + 1,) * 2, np.uint8)) == 0


def matte_of(picture: NDArray[np.uint8], face: FaceLandmarks) -> Matte:
    matte = Matte.of(picture, face.points, HeadFrame.of(face), PersonNetwork())
    assert matte is not None
    return matte


@pytest.fixture(scope="module")
def cut(portrait: NDArray[np.uint8], face: FaceLandmarks) -> Cut:
    return Cut(portrait, face, matte_of(portrait, face))


@pytest.fixture(scope="module")
def behind() -> NDArray[np.uint8]:
    """A background of smooth colours, of which every pixel is known."""
    y, x = np.mgrid[:440, :440] / 440
    return (np.stack([60 + 80 * x, 90 + 60 * y, 170 - 60 * x], -1)).astype(np.uint8)


@pytest.fixture(scope="module")
def placed(cut: Cut, behind: NDArray[np.uint8], face: FaceLandmarks) -> Cut:
    """The same head in front of that background."""
    alpha = cut.matte.alpha[..., None]
    picture = (cut.picture * alpha + behind * (1 - alpha)).astype(np.uint8)
    return Cut(picture, face, matte_of(picture, face))


def test_a_matte_is_the_person_and_not_what_is_around(cut: Cut) -> None:
    alpha = cut.matte.alpha
    x, y = cut.rig.points[:468, :2].astype(int).T
    assert np.mean(alpha[y, x] == 1) > 0.95
    assert alpha[:40, :40].max() == 0
    assert alpha[:40, -40:].max() == 0
    soft = (alpha > 0.05) & (alpha < 0.95)
    assert soft.any()
    assert cut.matte.certainty[soft].mean() > 0.8


def test_a_person_at_rest_in_front_of_the_backdrop_is_the_photograph(cut: Cut) -> None:
    cover = covered_by(cut.rig, cut.matte, (440, 440))
    layer = cut_out(cut.picture, cut.backdrop, cover, cut.rig.frame.height)
    shines = cut.backdrop * (layer[..., 3:] / 255.0)
    np.testing.assert_allclose(layer[..., :3] + shines, cut.picture, atol=1)
    assert np.abs(cut.drawn(pose()).astype(int) - cut.picture).mean() < 0.6


def test_the_background_stays_while_the_head_turns_and_shifts(cut: Cut) -> None:
    beside = cut.beside()
    assert beside.mean() > 0.1
    moved = np.abs(cut.drawn(TURNED).astype(int) - cut.picture)
    assert moved[beside].mean() <= 0.5
    uncut = HeadRenderer(cut.picture, build_rig_without_matte(cut))
    frame = cut.picture.copy()
    uncut.draw(frame, TURNED)
    assert np.abs(frame.astype(int) - cut.picture)[beside].mean() > 0.75


def build_rig_without_matte(cut: Cut) -> Rig:
    face = FaceLandmarks(cut.rig.points.astype(np.float32))
    return build_rig(face, picture_size=cut.picture.shape[:2])


def test_what_a_head_uncovers_is_filled_with_the_background(
    placed: Cut, behind: NDArray[np.uint8]
) -> None:
    frame = placed.drawn(TURNED).astype(int)
    was_person = placed.matte.alpha > 0.98
    is_background = np.abs(frame - behind).max(-1) < 25
    uncovered = was_person & is_background
    assert uncovered.sum() > 0.02 * was_person.sum()
    assert np.abs(frame - behind)[uncovered].mean() < 8
    # Nothing of the head is left behind where it was and is not any more.
    left = np.zeros_like(was_person)
    left[:, :-1] = was_person[:, 1:] & ~was_person[:, :-1]  # its left edge; it moved to the right
    left[300:] = False  # the head, not the shoulders
    columns = (np.flatnonzero(left) % 440)[:, None] + np.arange(3)
    rows = np.repeat((np.flatnonzero(left) // 440)[:, None], 3, 1)
    assert np.median(np.abs(frame - behind)[rows, columns]) < 8


@pytest.mark.parametrize(
    ("spot", "kept"), [(0.5, (0.6, 1.2)), (4.0, (0.0, 0.55))], ids=["in focus", "out of focus"]
)
def test_a_background_in_focus_goes_on_behind_the_head_and_a_soft_one_more_softly(
    cut: Cut, spot: float, kept: tuple[float, float]
) -> None:
    """Mirrored spots have the curls of an outline, which are seen where all else is soft."""
    grain = np.random.default_rng(0).normal(0, 1, cut.picture.shape).astype(np.float32)
    spots = cv2.GaussianBlur(grain, (0, 0), spot)
    behind = 128 + spots / spots.std() * (30 if spot < 1 else 6)
    alpha = cut.matte.alpha[..., None]
    picture = np.clip(cut.picture * alpha + behind * (1 - alpha), 0, 255).astype(np.uint8)
    filled = fill_behind(picture, [(cut.rig, cut.matte)]).astype(np.float32)
    inside = cv2.distanceTransform((alpha[..., 0] > 0.1).astype(np.uint8), cv2.DIST_L2, 5)
    height = cut.rig.frame.height
    rim = (inside > 0.05 * height) & (inside < 0.09 * height)
    rim[300:] = False  # around the head, not the shoulders
    detail = np.abs(filled - cv2.GaussianBlur(filled, (0, 0), 6)).mean(-1)
    own = np.abs(behind - cv2.GaussianBlur(behind, (0, 0), 6)).mean(-1)
    assert kept[0] < detail[rim].mean() / own[rim].mean() < kept[1]


def test_where_the_matte_is_uncertain_the_head_moves_as_without_one(cut: Cut) -> None:
    doubtful = replace(cut.matte, certainty=np.zeros_like(cut.matte.certainty))
    face = FaceLandmarks(cut.rig.points.astype(np.float32))
    doubted = Cut(cut.picture, face, doubtful)
    frame = cut.picture.copy()
    HeadRenderer(cut.picture, build_rig_without_matte(cut)).draw(frame, TURNED)
    np.testing.assert_array_equal(doubted.drawn(TURNED), frame)


def test_a_picture_in_which_no_person_is_seen_has_no_matte(face: FaceLandmarks) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (440, 440, 3), np.uint8)
    assert Matte.of(noise, face.points, HeadFrame.of(face), PersonNetwork()) is None


def test_the_same_picture_is_cut_in_the_same_way(cut: Cut, face: FaceLandmarks) -> None:
    again = Cut(cut.picture, face, matte_of(cut.picture, face))
    np.testing.assert_array_equal(again.backdrop, cut.backdrop)
    np.testing.assert_array_equal(again.drawn(TURNED), cut.drawn(TURNED))


def test_bands_and_edges_leave_no_seams(placed: Cut) -> None:
    """A head in front of a plain grey, shifted by whole pixels: no line at any row."""
    frame = placed.drawn(TURNED).astype(float)
    beside = placed.beside()
    rows = np.abs(np.diff(frame, axis=0)).mean(-1)
    quiet = beside[1:] & beside[:-1]
    assert rows[quiet].max() <= 4
