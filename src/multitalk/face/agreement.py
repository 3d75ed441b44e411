"""How well several looks at a place must agree for it to be a face.

The mesh sees a face in everything that it is shown, and its own word does not tell people in
profile (it denies them) from dogs (it does not). How far apart its looks are does, if less is
allowed where a face is easy to see: docs/experiments.md.
"""

from dataclasses import dataclass

from multitalk.face.points import FaceLandmarks

SURE_SCORE = 0.7  # from which a detector's word is enough to say that somebody is there
VERY_SURE_SCORE = 0.8

FRONT_DEGREES = 25.0  # of yaw up to which a face is seen from the front
SIDE_DEGREES = 45.0  # from which it is seen from the side
LARGE_PIXELS = 64  # above which a face's looks agree closely, unless it is turned away


@dataclass(frozen=True)
class Limits:
    """What is asked of the looks at a place.

    Attributes:
        spread: Most of `FaceLandmarks.spread`.
        front: Likewise, of a large face that is seen from the front.
        side: Likewise, of one that is seen from the side.
        presence: Least of the mesh's own word for its second look, which is centred.
    """

    spread: float
    front: float
    side: float
    presence: float = 0.0

    @property
    def widest(self) -> float:
        """The spread above which nothing is a face."""
        return max(self.spread, self.front, self.side)

    def hold(self, face: FaceLandmarks) -> bool:
        """Whether the looks at a face agree well enough."""
        yaw = abs(face.yaw_degrees)
        if yaw > SIDE_DEGREES:
            return face.spread <= self.side
        if yaw < FRONT_DEGREES and face.size > LARGE_PIXELS:
            return face.spread <= self.front
        return face.spread <= self.spread


# The mesh's word where it is sure that there is no face; people in profile have hardly more.
ABSENT = 0.01

# By how sure it is that there is a face. Dogs and cats in portraits have 0.012 to 0.025 from the
# front; of people, only blurred ones do.
KNOWN = Limits(0.025, 0.025, 0.025)
VERY_SURE = Limits(0.025, 0.014, 0.03)
SURE = Limits(0.025, 0.014, 0.025)
UNSURE = Limits(0.0125, 0.0125, 0.0125, presence=ABSENT)
UNSEEN = Limits(0.01, 0.01, 0.01, presence=ABSENT)


def limits_of(score: float) -> Limits:
    """What is asked where a detector is as sure as that: up to 1, or 0 where it sees nothing."""
    if score >= VERY_SURE_SCORE:
        return VERY_SURE
    if score >= SURE_SCORE:
        return SURE
    return UNSURE if score > 0 else UNSEEN
