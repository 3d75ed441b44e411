"""The list of a picture's faces for callers, in pixels of the file that was sent."""

from dataclasses import dataclass

from multitalk.boxes import Box
from multitalk.face.orientation import SMALLEST_FACE, Detector, find_upright
from multitalk.media.image import Picture


@dataclass(frozen=True)
class UsableFace:
    """One face.

    Attributes:
        box: x_min, y_min, x_max, y_max, as `bbox` of a request takes them.
        height: From the top of the forehead to the chin, in pixels.
        yaw: Turn of the head in degrees: 0 looks at the camera, positive to the right edge of the
            upright picture.
    """

    box: Box
    height: float
    yaw: float


@dataclass(frozen=True)
class FaceList:
    """The faces of a picture.

    Attributes:
        width: Of the picture as sent, pixels.
        height: Of the picture as sent, pixels.
        turned: Clockwise degrees by which a talk rotates it to be upright: 0, 90, 180 or 270.
        smallest: Face height, pixels, below which a face is too small to speak.
        faces: From left to right in the upright picture.
        unread: Boxes of faces that cannot speak: turned too far, covered, cut off or blurred.
    """

    width: int
    height: int
    turned: int
    smallest: float
    faces: tuple[UsableFace, ...]
    unread: tuple[Box, ...]

    def reply(self) -> dict[str, object]:
        """The list as JSON has it; numbers to a tenth."""
        return {
            "width": self.width,
            "height": self.height,
            "turned": self.turned,
            "smallest": round(self.smallest, 1),
            "faces": [
                {
                    "box": rounded(face.box),
                    "height": round(face.height, 1),
                    "yaw": round(face.yaw, 1),
                }
                for face in self.faces
            ],
            "unread": [{"box": rounded(box)} for box in self.unread],
        }


def list_faces(detector: Detector, picture: Picture, *, speakers: int = 1) -> FaceList:
    """Find the faces of a picture that a talk of so many speakers would find."""
    upright = find_upright(detector, picture.pixels, expected=speakers)

    def in_file(box: Box) -> Box:
        return picture.to_file(upright.box_as_sent(box))

    scale = picture.file_width / picture.pixels.shape[1]
    return FaceList(
        width=picture.file_width,
        height=picture.file_height,
        turned=upright.degrees,
        smallest=SMALLEST_FACE * scale / upright.scale,
        faces=tuple(
            UsableFace(in_file(face.box), face.height * scale, face.yaw_degrees)
            for face in upright.found.faces
        ),
        unread=tuple(in_file(box) for box in upright.found.unread),
    )


def rounded(box: Box) -> list[float]:
    """A box to a tenth of a pixel."""
    return [round(edge, 1) for edge in box]
