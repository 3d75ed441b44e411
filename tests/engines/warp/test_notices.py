import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.covered_mouth import is_covered
from multitalk.engines.warp.eyes import Eyes, eye_notice
from multitalk.engines.warp.notices import face_notices
from multitalk.engines.warp.poses import PoseAnimator
from multitalk.engines.warp.rig import INDEX, Rig, build_rig
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks
from multitalk.speech.phonemes import VISEMES, one_hot
from multitalk.speech.viseme_track import track_from_probabilities

CHEEK_TO_CHEEK = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
BACK = (377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 197)


def masked(picture: NDArray[np.uint8], face: FaceLandmarks, pleat: int = 20) -> NDArray[np.uint8]:
    """With a surgical mask, one pleat of which passes the mouth."""
    worn = picture.copy()
    outline = face.points[[*CHEEK_TO_CHEEK, *BACK], :2].astype(np.int32)
    cv2.fillPoly(worn, [outline], (190, 215, 230))
    ends = (tuple(map(int, face.points[index, :2])) for index in (58, 288))
    cv2.line(worn, *ends, (190 - pleat, 215 - pleat, 230 - pleat), 2, cv2.LINE_AA)
    return worn


def keys(face: FaceLandmarks, picture: NDArray[np.uint8], *, paints_eyes: bool = True) -> list[str]:
    covered = is_covered(picture, face.points, face.height)
    found = face_notices("a", face, picture, 1.0, covered=covered, paints_eyes=paints_eyes)
    return [notice.key for notice in found]


def test_a_good_picture_has_no_notices(portrait: NDArray[np.uint8], face: FaceLandmarks) -> None:
    assert keys(face, portrait) == []


@pytest.mark.parametrize("light", [1.0, 0.3])
def test_a_mask_covers_a_mouth_in_any_light(
    portrait: NDArray[np.uint8], face: FaceLandmarks, light: float
) -> None:
    dim = (portrait * light).astype(np.uint8)
    assert not is_covered(dim, face.points, face.height)
    assert is_covered(masked(dim, face), face.points, face.height)


def test_a_mouth_without_colour_or_with_a_beard_around_it_is_seen(
    portrait: NDArray[np.uint8], face: FaceLandmarks
) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert not is_covered(grey.astype(np.uint8), face.points, face.height)
    bearded = masked(portrait, face)
    bearded[(bearded != portrait).any(2)] = (70, 50, 40)
    lips = face.points[[*mesh.LIPS_OUTER_UPPER, *mesh.LIPS_OUTER_LOWER], :2]
    area = np.zeros(portrait.shape[:2], np.uint8)
    cv2.fillConvexPoly(area, cv2.convexHull(lips.astype(np.int32)), 1)
    bearded[area > 0] = portrait[area > 0]
    assert not is_covered(bearded, face.points, face.height)


def test_a_covered_mouth_is_told_and_stays_still(
    portrait: NDArray[np.uint8], face: FaceLandmarks
) -> None:
    picture = masked(portrait, face)
    assert "mouth_is_covered" in keys(face, picture)
    for viseme, name in (("A", "open"), ("FV", "tuck")):
        held = one_hot(np.full(40, VISEMES.index(viseme)))
        track = track_from_probabilities(held, np.zeros(40, np.float32))
        most = {}
        for covered in (False, True):
            rig = build_rig(face, picture_size=picture.shape[:2], mouth_covered=covered)
            poses = list(PoseAnimator(rig, seed=0, person=0, motion=0).poses(track))
            most[covered] = max(float(pose.weights[INDEX[name]]) for pose in poses)
        assert most[False] > 0.3
        assert most[True] <= 0


def test_a_mouth_that_gapes_is_told(portrait: NDArray[np.uint8], face: FaceLandmarks) -> None:
    shouts = face.points.copy()
    shouts[[*mesh.LIPS_INNER_LOWER[1:-1], mesh.INNER_LOWER_LIP], 1] += 0.1 * face.height
    assert "mouth_gapes" in keys(FaceLandmarks(shouts), portrait)


def test_a_blurred_face_is_told(portrait: NDArray[np.uint8], face: FaceLandmarks) -> None:
    soft = cv2.GaussianBlur(portrait, (0, 0), 4)
    assert "face_is_blurred" in keys(face, soft.astype(np.uint8))


def test_readings_that_do_not_agree_are_told(
    portrait: NDArray[np.uint8], face: FaceLandmarks
) -> None:
    assert keys(FaceLandmarks(face.points, 0.013), portrait) == ["face_is_doubtful"]
    assert keys(FaceLandmarks(face.points, 0.008), portrait) == []


def test_eyes_that_glasses_hide_are_told(portrait: NDArray[np.uint8], rig: Rig) -> None:
    dark = portrait.copy()
    for upper in (mesh.RIGHT_EYE_UPPER, mesh.LEFT_EYE_UPPER):
        x, y = rig.points[list(upper), :2].mean(0).astype(int)
        cv2.circle(dark, (int(x), int(y)), round(0.17 * rig.frame.height), (12, 12, 14), -1)
    eyes = Eyes(dark.copy(), rig.points, (0, 0), 1)
    assert not eyes.painted
    assert eye_notice(dark, rig.points, painted=eyes.painted) == "eyes_stay"
    assert eye_notice(portrait, rig.points, painted=False) == "eyes_stay"
    assert eye_notice(portrait, rig.points, painted=True) is None
