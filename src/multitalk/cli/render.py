"""`multitalk render`: a talk from the command line, or from a job's JSON."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multitalk.cli.console import answering, print_json, progress_bar, warn
from multitalk.cli.speakers import boxes_of, named, voices_of

if TYPE_CHECKING:
    from multitalk.schema import TalkRequest
    from multitalk.speech.synthesis import PhonemeTiming

ORDERS = {"together": "para", "in-turn": "add"}


def render(  # noqa: PLR0917 - typer's way to say options
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The mp4 to write.", show_default=False)
    ],
    image: Annotated[
        str | None,
        typer.Option(
            help="The portrait: a path, URL or data URI. With InfiniteTalk's weights also a video.",
            metavar="PICTURE",
        ),
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
    quality: Annotated[
        str | None,
        typer.Option(
            help="Of the warp engine: sooner and plainer, or later and sharper.",
            metavar="draft|standard|fine",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Schedule of the diffusion engine; its weights' own if left out.",
            metavar="fusionx|lightx2v|quality",
        ),
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
        list[str] | None,
        typer.Option(
            help="Also write when each sound of a text is heard, for: multitalk evaluate.",
            metavar="[NAME=]JSON",
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
    with answering("ko" if locale == "ko" else "en", as_json=as_json):
        from multitalk.schema import parse_request, wanted_locale  # noqa: PLC0415 - takes a while
        from multitalk.serving.local import (  # noqa: PLC0415
            Studio,
            as_result,
            make_place,
            with_paths_from,
        )
        from multitalk.settings import Settings  # noqa: PLC0415

        logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
        given = with_paths_from(request.parent, _read(request)) if request else {}
        boxes = boxes_of(box or [])
        timed = [named(option, default="")[0] for option in phonemes or []]
        known = {*timed, *(boxes or {}), *_speakers(given)}
        options = {
            "image_path": image,
            "audio_paths": voices_of(audio or [], text or [], language, voice or [], known),
            "prompt": prompt,
            "audio_type": ORDERS.get(order, order) if order else None,
            "bbox": boxes,
            "mode": mode,
            "seed": seed,
            "engine": engine,
            "resolution": resolution,
            "quality": quality,
            "profile": profile,
            "locale": locale,
        }
        on_top = {name: value for name, value in options.items() if value is not None}
        given |= with_paths_from(Path.cwd(), on_top)
        settings = Settings.from_env()
        with answering(wanted_locale(given), as_json=as_json):
            wanted = parse_request(given, settings=settings)
            timing_files = _timing_files(phonemes or [], wanted)
            for file in timing_files.values():
                make_place(file)
            with Studio(wanted.engine, settings=settings) as studio, progress_bar() as on_progress:
                talk = studio.render_request(wanted, output, on_progress=on_progress)
        for name, file in timing_files.items():
            _write_phonemes(file, talk.phonemes[name])
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


def _speakers(given: Mapping[str, object]) -> Iterator[str]:
    """Whom a job's input names."""
    for field in ("audio_paths", "bbox"):
        told = given.get(field)
        if isinstance(told, Mapping):
            yield from told


def _timing_files(options: list[str], wanted: "TalkRequest") -> dict[str, Path]:
    """Where to write the phonemes of whom."""
    spoken = [name for name, voice in wanted.audio_paths.items() if not isinstance(voice, str)]
    files = {}
    for option in options:
        name, file = named(option, default=spoken[0] if len(spoken) == 1 else "")
        if name not in spoken:
            raise typer.BadParameter(f"--phonemes {option}: write NAME=JSON for one who has a text")
        files[name] = Path(file)
    return files


def _write_phonemes(path: Path, sounds: "tuple[PhonemeTiming, ...]") -> None:
    """When each sound is heard, in seconds of the video."""
    record = [
        {
            "start_seconds": round(sound.start_seconds, 4),
            "end_seconds": round(sound.end_seconds, 4),
            "ipa": sound.ipa,
        }
        for sound in sounds
    ]
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")


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
