"""Boxes take their face first; the largest free faces go to the others from left to right."""

import numpy as np

from multitalk.face import mesh
from multitalk.face.assignment import assign_faces
from multitalk.face.landmarks import FaceLandmarks


def face_at(x: float, height: float) -> FaceLandmarks:
    points = np.full((mesh.NUM_POINTS, 3), (x, 100, 0), np.float32)
    points[mesh.FOREHEAD_TOP, 1] -= height / 2
    points[mesh.CHIN, 1] += height / 2
    return FaceLandmarks(points)


FACES = [face_at(50, 60), face_at(150, 30), face_at(250, 90)]


def test_the_largest_faces_are_assigned_from_left_to_right() -> None:
    assert assign_faces([None], FACES) == [2]
    assert assign_faces([None, None], FACES) == [0, 2]
    assert assign_faces([], FACES) == []


def test_a_box_takes_its_face_before_those_without_a_box() -> None:
    assert assign_faces([None, (120, 0, 180, 200)], FACES) == [2, 1]
    assert assign_faces([None, (200, 0, 300, 200)], FACES) == [0, 2]


def test_two_boxes_around_the_same_faces_take_different_ones() -> None:
    everybody = (0, 0, 300, 200)
    assert assign_faces([everybody, everybody], FACES) == [2, 0]


def test_an_empty_box_and_missing_faces_have_no_index() -> None:
    assert assign_faces([(300, 0, 400, 200), None], FACES) == [None, 2]
    assert assign_faces([None] * 4, FACES) == [None] * 4
