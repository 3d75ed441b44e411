"""`multitalk render`: a talk from the command line, or from a job's JSON."""

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, print_json, progress_bar, warn

if TYPE_CHECKING:
    from multitalk.job import Phonemes

ORDERS = {"together": "para", "in-turn": "add"}
BOX_NUMBERS = 4

_NAMED = re.compile(r"([\w-]{1,64})=(.*[^=].*)", re.DOTALL)  # not the padding of a bare base64


def render(  # noqa: PLR0917 - typer's way to say options
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The mp4 to write.", show_default=False)
    ],
    image: Annotated[
        str | None, typer.Option(help="The portrait: a path, URL or data URI.", metavar="PICTURE")
    ] = None,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            help="A recording (sound or video), once for each speaker; the first is person1.",
            metavar="[NAME=]SOURCE",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="A text to be spoken instead; several of one speaker follow each other.",
            metavar="[NAME=]TEXT",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Of the texts, such as ko; told from the text if left out.")
    ] = None,
    voice: Annotated[
        list[str] | None,
        typer.Option(help="Who speaks the texts, such as f3.", metavar="[NAME=]VOICE"),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What the video shows.")] = None,
    order: Annotated[
        str | None,
        typer.Option(help="Voices together or in-turn.", metavar="together|in-turn"),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a speaker's face is, in pixels; left to right if left out.",
            metavar="NAME=X0,Y0,X1,Y1",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="The whole speech, or 81 frames at most.", metavar="streaming|clip"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Repeats a result.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="What renders.", metavar="auto|warp|diffusion")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(help="Size of the video.", metavar="480p|720p")
    ] = None,
    locale: Annotated[str | None, typer.Option(help="Of messages.", metavar="en|ko")] = None,
    request: Annotated[
        Path | None,
        typer.Option(
            help="A job's JSON; paths in it are relative to it. Other options come on top.",
            metavar="JOB.JSON",
        ),
    ] = None,
    phonemes: Annotated[
        Path | None,
        typer.Option(
            help="Also write when each sound of the texts is heard (for: multitalk evaluate).",
            metavar="JSON",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record of the result as JSON.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each stage.")] = False,
) -> None:
    """Make the person in a picture speak.

    [bold]Examples[/bold]

    multitalk render --image me.jpg --audio hello.wav --prompt "a man talks" -o talk.mp4

    multitalk render --image two.png --audio left=a.wav --text right="Hello." --order in-turn
    --prompt "two friends" -o talk.mp4

    multitalk render --request job.json -o talk.mp4
    """
    with answering("ko" if locale == "ko" else "en"):
        from multitalk.schema import parse_request, wanted_locale  # noqa: PLC0415 - takes a while
        from multitalk.serving.local import Studio, as_result, with_paths_from  # noqa: PLC0415
        from multitalk.settings import Settings  # noqa: PLC0415

        logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
        given = with_paths_from(request.parent, _read(request)) if request else {}
        options = {
            "image_path": image,
            "audio_paths": _voices(audio or [], text or [], language, voice or []),
            "prompt": prompt,
            "audio_type": ORDERS.get(order, order) if order else None,
            "bbox": _boxes(box or []),
            "mode": mode,
            "seed": seed,
            "engine": engine,
            "resolution": resolution,
            "locale": locale,
        }
        named = {name: value for name, value in options.items() if value is not None}
        given |= with_paths_from(Path.cwd(), named)
        settings = Settings.from_env()
        with answering(wanted_locale(given)):
            wanted = parse_request(given, settings=settings)
            studio = Studio(wanted.engine, settings=settings)
            with progress_bar() as on_progress:
                talk = studio.render_request(wanted, output, on_progress=on_progress)
        if phonemes:
            phonemes.write_text(phonemes_json(talk.phonemes), encoding="utf-8")
        for warning in talk.warnings:
            warn(warning)
        if as_json:
            print_json(as_result(talk).reply())
        else:
            result = as_result(talk)
            typer.echo(
                f"{output}: {result.duration_seconds:.2f} s, {talk.width}x{talk.height}, "
                f"engine {talk.engine}, seed {talk.seed}"
            )


def phonemes_json(phonemes: "Phonemes") -> str:
    """When each sound is heard: `{speaker: [[start, end, ipa], ...]}`, in seconds of the video."""
    record = {
        name: [[round(s.start_seconds, 4), round(s.end_seconds, 4), s.ipa] for s in sounds]
        for name, sounds in phonemes.items()
    }
    return json.dumps(record, ensure_ascii=False)


def _read(path: Path) -> dict[str, object]:
    """A job's input from a file that holds it, bare or as `{"input": {...}}`.

    Raises:
        InvalidRequest: No file, not JSON, or not an object.
    """
    from multitalk.errors import InvalidRequest  # noqa: PLC0415
    from multitalk.schema.problems import brief  # noqa: PLC0415

    try:
        job = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequest("file_missing", field="--request") from error
    except ValueError as error:
        raise InvalidRequest("json_broken", field="--request", reason=error) from error
    given = job.get("input", job) if isinstance(job, dict) else job
    if not isinstance(given, dict):
        raise InvalidRequest("input_not_an_object", field="--request", value=brief(given))
    return given


def _voices(
    recordings: list[str], texts: list[str], language: str | None, voices: list[str]
) -> dict[str, object] | None:
    """`audio_paths` of a request, or None if there was no voice on the command line."""
    given: dict[str, object] = {}
    for index, option in enumerate(recordings, start=1):
        name, source = _split(option, default=f"person{index}")
        if name in given:
            raise typer.BadParameter(f"two recordings for {name}: name the speakers, NAME=SOURCE")
        given[name] = source
    spoken: dict[str, list[dict[str, str]]] = {}
    for option in texts:
        name, text = _split(option, default="person1")
        if name in given:
            raise typer.BadParameter(f"a recording and a text for {name}: give one of them")
        said = {"text": text} | ({"language": language} if language else {})
        spoken.setdefault(name, []).append(said)
    for option in voices:
        name, voice = _split(option, default="")
        if name and name not in spoken:
            raise typer.BadParameter(f"--voice for {name}, who has no --text")
        for said in spoken[name] if name else [each for many in spoken.values() for each in many]:
            said["voice"] = voice
    return given | spoken or None


def _boxes(options: list[str]) -> dict[str, list[float]] | None:
    """`bbox` of a request, or None if there was no box on the command line."""
    boxes = {}
    for option in options:
        name, numbers = _split(option, default="")
        try:
            boxes[name] = [float(number) for number in numbers.split(",")]
        except ValueError:
            boxes[name] = []
        if not name or len(boxes[name]) != BOX_NUMBERS:
            raise typer.BadParameter(f"--box {option}: write NAME=X0,Y0,X1,Y1, in pixels")
    return boxes or None


def _split(option: str, *, default: str) -> tuple[str, str]:
    """A speaker's name and what is said of the speaker."""
    named = _NAMED.fullmatch(option)
    return (named[1], named[2]) if named else (default, option)
