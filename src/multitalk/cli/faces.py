"""`multitalk faces`: where the faces of a picture are, ready for `multitalk render --box`."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import EXIT_REQUEST_ERROR, answering, note, print_error, print_json
from multitalk.cli.streams import StandardInput

if TYPE_CHECKING:
    from multitalk.boxes import Box
    from multitalk.face.listing import FaceList

FRONTAL = 5.0  # degrees of turn up to which a face looks at the camera


def faces(
    picture: Annotated[
        Path,
        typer.Argument(
            help="The picture; - is standard input.", metavar="PICTURE", show_default=False
        ),
    ],
    speakers: Annotated[
        int,
        typer.Option(
            help="How many people will speak; small faces are looked for until so many are found.",
            min=1,
        ),
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, as the server's /faces.")
    ] = False,
) -> None:
    """Show where the faces of a picture are, and whether they can speak.

    Each line begins with an option for multitalk render: it gives that face to a speaker. Names are
    yours to choose; they are those of --audio and --text. Boxes are x_min,y_min,x_max,y_max in
    pixels of the picture. A picture whose faces are upside down or on their side is turned upright
    in the video, and this says so; its boxes stay those of the picture as it is.

    Exit code 2 if no face can speak.

    [bold]Examples[/bold]

    multitalk faces me.jpg

    multitalk faces two.jpg --speakers 2

    multitalk render --image two.jpg --box left=75,60,190,210 --box right=400,58,520,215
    --audio left=a.wav --audio right=b.wav -o talk.mp4
    """
    with answering(as_json=as_json), ExitStack() as stack:
        from multitalk.errors import InvalidRequest, NoFaceFound
        from multitalk.face.detector import FaceDetector
        from multitalk.face.listing import list_faces
        from multitalk.media.image import load_picture
        from multitalk.settings import Settings

        file = StandardInput(stack).file("PICTURE", picture)
        if not file.is_file():
            raise InvalidRequest("file_missing", field=str(picture))
        limit = Settings.from_env().max_image_pixels
        loaded = load_picture(file, field=str(picture), max_pixels=limit)
        with FaceDetector() as detector:
            found = list_faces(detector, loaded, speakers=speakers)
    if as_json:
        print_json(found.reply())
    else:
        _print(found)
    if (why := _why_nobody_speaks(found)) is not None:
        key, facts = why
        print_error(NoFaceFound(key, field=str(picture), **facts).text())
        raise typer.Exit(EXIT_REQUEST_ERROR)
    if found.turned:
        note(f"a talk turns this picture by {found.turned} degrees clockwise")


def _why_nobody_speaks(found: "FaceList") -> tuple[str, dict[str, object]] | None:
    """The sentence that says it, and what fills it; None where a face can speak."""
    limit = round(found.smallest)
    heights = [face.height for face in found.faces]
    if heights:
        too_small = max(heights) < found.smallest
        return ("face_too_small", {"height": max(heights), "limit": limit}) if too_small else None
    return "face_unread" if found.unread else "no_face_found", {"pixels": limit}


def _print(found: "FaceList") -> None:
    for number, face in enumerate(found.faces, start=1):
        option = f"--box person{number}={_edges(face.box)}"
        description = f"{face.height:.0f} pixels high, {_turn(face.yaw)}"
        if face.height < found.smallest:
            description = f"cannot speak: {description}; from {found.smallest:.0f} pixels on it can"
        typer.echo(f"{option:<40} {description}")
    for box in found.unread:
        typer.echo(f"{_edges(box):<40} cannot speak: turned too far, covered, cut off or blurred")


def _edges(box: "Box") -> str:
    return ",".join(f"{edge:.0f}" for edge in box)


def _turn(yaw: float) -> str:
    if abs(yaw) < FRONTAL:
        return "looks at the camera"
    return f"turned {abs(yaw):.0f} degrees to the {'right' if yaw > 0 else 'left'}"
