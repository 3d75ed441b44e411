from dataclasses import replace

import numpy as np

from multitalk.engines.warp.dentition import Dentition
from multitalk.engines.warp.face_frame import HeadFrame
from multitalk.engines.warp.rig import Rig
from multitalk.engines.warp.teeth import LOWER_ROW, MM, UPPER_ROW, MouthSprites


def widths(dentition: Dentition) -> np.ndarray:
    row = dentition.upper
    return np.array([tooth.width for tooth in (*row.teeth, *(row.others or ()))]) / MM


def changed(frame: HeadFrame, deviation: float, seed: int) -> HeadFrame:
    noise = np.random.default_rng(seed).standard_normal(frame.local.shape)
    return replace(frame, local=frame.local + noise * deviation * frame.width)


def test_another_face_has_other_teeth_and_the_same_face_measured_again_the_same(rig: Rig) -> None:
    own = widths(Dentition.of(rig.frame))
    again = [np.abs(widths(Dentition.of(changed(rig.frame, 0.0005, k))) - own) for k in range(20)]
    others = [np.abs(widths(Dentition.of(changed(rig.frame, 0.03, k))) - own) for k in range(20)]
    assert np.mean(again) < 0.1  # mm
    assert np.mean(others) > 3 * np.mean(again)


def test_a_mouth_that_opens_and_a_larger_picture_change_no_tooth(rig: Rig) -> None:
    own = widths(Dentition.of(rig.frame))
    lowered = rig.frame.local.copy()
    lowered[rig.frame.local[:, 1] > 0.15 * rig.frame.height, 1] += 0.1 * rig.frame.height
    opened = replace(rig.frame, local=lowered, height=1.1 * rig.frame.height)
    larger = replace(rig.frame, local=2 * rig.frame.local, width=2 * rig.frame.width)
    for frame in (opened, larger):
        np.testing.assert_allclose(widths(Dentition.of(frame)), own, atol=1e-6)


def test_teeth_are_not_mirrored_and_stay_teeth(rig: Rig) -> None:
    for seed in range(20):
        dentition = Dentition.of(changed(rig.frame, 0.05, seed))
        for row, usual in ((dentition.upper, UPPER_ROW), (dentition.lower, LOWER_ROW)):
            assert row.others is not None
            assert row.teeth != row.others
            assert 1.1 < row.teeth[0].width / row.teeth[1].width < 1.7 or usual is LOWER_ROW
            for side in (row.teeth, row.others):
                sizes = [
                    one.width / mean.width for one, mean in zip(side, usual.teeth, strict=True)
                ]
                assert min(sizes) > 0.8
                assert max(sizes) < 1.2
        assert dentition.tint.min() > 0.85
        assert dentition.tint.max() < 1.12


def test_the_two_halves_of_a_row_are_drawn_as_they_are(rig: Rig) -> None:
    dentition = Dentition.of(rig.frame)
    sprites = MouthSprites(
        density=200, blur=1.0, exposure=1.0, tint=np.ones(3, np.float32), colourfulness=1.0
    )
    own = sprites.teeth(dentition.upper).pixels
    swapped = replace(
        dentition.upper, teeth=dentition.upper.others, others=dentition.upper.teeth,
        middle=-dentition.upper.middle,
    )  # fmt: skip
    mirrored = sprites.teeth(swapped).pixels
    difference = np.abs(own[:, 1:] - mirrored[:, :0:-1])
    assert np.median(difference) < 1
    assert difference.mean() < 0.2 * np.abs(own - own[:, ::-1]).mean()


def test_a_photographed_biting_edge_is_taken_within_limits(rig: Rig) -> None:
    assert Dentition.of(rig.frame, edge=2.1 * MM).upper.edge == 2.1 * MM
    assert -2 * MM < Dentition.of(rig.frame, edge=-9 * MM).upper.edge < 0


def test_faces_have_rows_of_different_shapes(rig: Rig) -> None:
    rows = [Dentition.of(changed(rig.frame, 0.03, seed)).upper for seed in range(20)]
    shorter = np.array([row.teeth[1].shorter - row.teeth[0].shorter for row in rows]) / MM
    assert np.std(shorter) > 0.2  # mm: half a pixel of a video
    assert np.ptp([row.rounded for row in rows]) > 0.3
    assert np.ptp([row.taper for row in rows]) > 0.5
    # It is one person's, on both sides: a lateral incisor by itself would look broken.
    for row in rows:
        assert row.others is not None
        own, other = (
            side[1].shorter - UPPER_ROW.teeth[1].shorter for side in (row.teeth, row.others)
        )
        assert abs(own - other) < 0.5 * MM
