"""Lips that are drawn where the landmarks are not."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.engines.warp.lip_fit import fit_open_lips
from multitalk.face import mesh
from multitalk.face.detector import FaceDetector
from multitalk.face.landmarks import FaceLandmarks

SKIN, RED, INSIDE = (205, 160, 140), (170, 80, 85), (25, 12, 12)
GAP, THICK = 0.22, 0.18  # mouth widths
LOWER = list(mesh.LIPS_INNER_LOWER[1:-1])
OUTER = list(mesh.LIPS_OUTER_LOWER[1:-1])


@pytest.fixture(scope="module")
def face(portrait: NDArray[np.uint8]) -> FaceLandmarks:
    """A face whose mouth is open."""
    with FaceDetector() as detector:
        (found,) = detector.detect(portrait)
    points = found.points.copy()
    width = found.mouth_width * found.height
    down = found.head_axes[1, :2] / np.linalg.norm(found.head_axes[1, :2])
    corners = points[[mesh.RIGHT_INNER_CORNER, mesh.LEFT_INNER_CORNER], :2]
    share = np.linspace(0, 1, 11)[:, None]
    seam, bell = corners[0] + share * (corners[1] - corners[0]), np.sin(np.pi * share)
    for lip, far in (
        (mesh.LIPS_INNER_UPPER, -GAP / 2), (mesh.LIPS_INNER_LOWER, GAP / 2),
        (mesh.LIPS_OUTER_UPPER, -GAP / 2 - THICK), (mesh.LIPS_OUTER_LOWER, GAP / 2 + THICK),
    ):  # fmt: skip
        points[list(lip)[1:-1], :2] = (seam + far * width * bell * down)[1:-1]
    for rings, inner, outer in (
        ((mesh.UPPER_LIP_RED_INNER, mesh.UPPER_LIP_RED_OUTER),
         mesh.LIPS_INNER_UPPER, mesh.LIPS_OUTER_UPPER),
        ((mesh.LOWER_LIP_RED_INNER, mesh.LOWER_LIP_RED_OUTER),
         mesh.LIPS_INNER_LOWER, mesh.LIPS_OUTER_LOWER),
    ):  # fmt: skip
        for ring, part in zip(rings, (1 / 3, 2 / 3), strict=True):
            ends = points[list(inner)[1:-1]], points[list(outer)[1:-1]]
            points[list(ring)] = (1 - part) * ends[0] + part * ends[1]
    return FaceLandmarks(points)


def drawn(face: FaceLandmarks, size: tuple[int, ...], lip: tuple[int, int, int] = RED,
          inside: tuple[int, int, int] = INSIDE) -> NDArray[np.uint8]:  # fmt: skip
    """A picture with the mouth of these landmarks."""
    picture = np.full(size, SKIN, np.uint8)
    for upper, lower, colour in (
        (mesh.LIPS_OUTER_UPPER, mesh.LIPS_OUTER_LOWER, lip),
        (mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER, inside),
    ):
        outline = face.points[[*upper, *lower[::-1]], :2]
        cv2.fillPoly(picture, [np.round(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.uint8)


def off(face: FaceLandmarks, shift: float, edge: list[int]) -> FaceLandmarks:
    """The face with the middle of an edge moved down by `shift` mouth widths."""
    points, width = face.points.copy(), face.mouth_width * face.height
    down = face.head_axes[1, :2] / np.linalg.norm(face.head_axes[1, :2])
    bell = np.sin(np.pi * np.linspace(0, 1, 11))[1:-1, None]
    points[edge, :2] += (shift * width * bell * down).astype(np.float32)
    return FaceLandmarks(points)


def error(face: FaceLandmarks, other: FaceLandmarks, edge: list[int]) -> float:
    """Mean distance of an edge, mouth widths."""
    away = np.linalg.norm(face.points[edge, :2] - other.points[edge, :2], axis=1).mean()
    return float(away) / (face.mouth_width * face.height)


@pytest.mark.parametrize("edge", [LOWER, OUTER])
@pytest.mark.parametrize("shift", [-0.05, 0.05])
def test_landmarks_beside_an_edge_of_open_lips_come_to_it(
    face: FaceLandmarks, portrait: NDArray[np.uint8], shift: float, edge: list[int]
) -> None:
    read = off(face, shift, edge)
    fitted = fit_open_lips(drawn(face, portrait.shape), read)
    assert error(fitted, face, edge) < 0.4 * error(read, face, edge)


def test_landmarks_on_the_edges_of_open_lips_stay(
    face: FaceLandmarks, portrait: NDArray[np.uint8]
) -> None:
    for inside in (INSIDE, (235, 232, 225)):  # the dark, teeth
        fitted = fit_open_lips(drawn(face, portrait.shape, inside=inside), face)
        for edge in (LOWER, OUTER, list(mesh.LIPS_INNER_UPPER[1:-1])):
            assert error(fitted, face, edge) < 0.015


def test_no_landmark_moves_where_no_edge_is_seen(
    face: FaceLandmarks, portrait: NDArray[np.uint8]
) -> None:
    plain = np.full(portrait.shape, SKIN, np.uint8)
    np.testing.assert_array_equal(fit_open_lips(plain, face).points, face.points)


def test_closed_lips_are_left_as_they_are(portrait: NDArray[np.uint8]) -> None:
    with FaceDetector() as detector:
        (closed,) = detector.detect(portrait)
    points = closed.points.copy()
    points[list(mesh.LIPS_INNER_LOWER)] = points[list(mesh.LIPS_INNER_UPPER)]
    closed = FaceLandmarks(points)
    assert fit_open_lips(portrait, closed) is closed


def test_inner_corners_come_to_the_ends_of_the_dark(
    face: FaceLandmarks, portrait: NDArray[np.uint8]
) -> None:
    corners = [mesh.RIGHT_INNER_CORNER, mesh.LEFT_INNER_CORNER]
    points = face.points.copy()
    inwards = points[corners[::-1], :2] - points[corners, :2]
    points[corners, :2] += 0.05 * inwards
    fitted = fit_open_lips(drawn(face, portrait.shape), FaceLandmarks(points))
    assert error(fitted, face, corners) < 0.6 * error(FaceLandmarks(points), face, corners)
