import numpy as np
import pytest

from multitalk.engines.warp.falloff import neighbour_mask
from multitalk.engines.warp.neighbours import Neighbour, neighbours_of, towards
from multitalk.face.landmarks import FaceLandmarks

CENTRE = np.array([100.0, 100.0])
X, Y = np.meshgrid(np.arange(0.0, 400), np.arange(0.0, 200))


def face(x: float, height: float) -> FaceLandmarks:
    points = np.random.default_rng(round(x)).normal(0, 1, (478, 3)) * height / 4
    return FaceLandmarks((points + np.array([x, 100, 0])).astype(np.float32))


@pytest.mark.parametrize(("height", "end"), [(80.0, 100), (20.0, 160), (320.0, 40)])
def test_the_way_between_two_faces_is_shared_as_their_heights_are(height: float, end: int) -> None:
    other = Neighbour(np.array([300.0, 100.0]), height)
    along, found = towards(other, CENTRE, 80.0, X, Y)
    assert found == pytest.approx(end)
    assert along[100, 100 + end] == pytest.approx(end)
    back = Neighbour(CENTRE, 80.0)
    assert towards(back, other.centre, height, X, Y)[1] == pytest.approx(200 - end)


def test_nothing_moves_in_the_part_of_a_neighbour() -> None:
    other = Neighbour(np.array([260.0, 100.0]), 80.0)
    weight = neighbour_mask((X, Y), CENTRE, (other,), 80.0)
    assert weight[100, 100] == 1
    assert (weight[:, 180:] == 0).all()
    assert (neighbour_mask((X, Y), CENTRE, (), 80.0)[100, 181:190] > 0).all()


def test_every_face_but_the_own_is_a_neighbour_unread_ones_too() -> None:
    faces = [face(60, 50), face(200, 40), face(330, 60)]
    (of_middle,) = neighbours_of(faces[1:2], faces, [(10.0, 20.0, 50.0, 80.0)])
    centres = [tuple(np.round(one.centre)) for one in of_middle]
    assert [one[0] for one in centres] == pytest.approx([60, 330, 30], abs=3)
    assert of_middle[-1].height == 60
