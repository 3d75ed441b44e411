"""A head's own frame of reference, in which its expressions are the same from every side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.interpolation import ramp
from multitalk.face import mesh
from multitalk.face.landmarks import FaceLandmarks

PROFILE = (40, 60)  # degrees of turn from which on and up to which a face becomes a profile


@dataclass(frozen=True)
class HeadFrame:
    """A head's own axes and sizes, from its landmarks.

    Attributes:
        axes: Rows X (image left to right), Y (down the face), Z (away from the viewer): [3, 3].
        origin: Centre of the face's outline, (x, y, z) pixels.
        local: The landmarks in these axes, pixels, [478, 3].
        width: Cheek to cheek, pixels.
        height: Top of the forehead to the chin, pixels: "one face height".
        mouth_width: Corner to corner, pixels.
        yaw_degrees: Turn about the vertical; 0 looks at the viewer.
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    local: NDArray[np.float64]
    width: float
    height: float
    mouth_width: float
    yaw_degrees: float

    @classmethod
    def of(cls, face: FaceLandmarks) -> "HeadFrame":
        """The frame of a detected face."""
        points, axes = face.points.astype(np.float64), face.head_axes.astype(np.float64)
        origin = points[list(mesh.OVAL)].mean(0)
        return cls(
            axes=axes,
            origin=origin,
            local=(points - origin) @ axes.T,
            width=face.width,
            height=face.height,
            mouth_width=face.mouth_width * face.height,
            yaw_degrees=face.yaw_degrees,
        )

    @property
    def in_profile(self) -> float:
        """0 for a face that shows both its halves, 1 in profile, where one half is guessed."""
        return ramp(abs(self.yaw_degrees), *PROFILE)
