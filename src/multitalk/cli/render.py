"""`multitalk render`: a talk from the command line, or from a job's JSON."""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from multitalk.cli.console import answering, note, print_json, progress_bar, takes
from multitalk.cli.options import (
    ORDERS,
    TypedOptions,
    boxes_of,
    option_text,
    split_name,
)
from multitalk.cli.render_options import RenderCommandOptions
from multitalk.cli.streams import STREAM, StandardInput, is_standard_output, streamed_video
from multitalk.disk import prepare_output_file, write_atomically
from multitalk.messages import locale_named, sentence
from multitalk.paths import as_meant

if TYPE_CHECKING:
    from multitalk.engines.base import WindowFiles
    from multitalk.job import FinishedTalk
    from multitalk.messages import Locale
    from multitalk.schema import TalkRequest
    from multitalk.settings import Settings
    from multitalk.speech.synthesis import PhonemeTiming

LOCAL_JOB = "local"  # what a request calls the talk of --continue-from


@takes(RenderCommandOptions)
def render(options: RenderCommandOptions) -> None:
    """Make the person in a picture speak.

    [bold]Examples[/bold]

    multitalk render --image me.jpg --audio hello.wav -o talk.mp4

    multitalk render --image me.jpg --text "Hello. Nice to meet you." -o talk.mp4

    multitalk render --image two.png --audio left=a.wav --text right="Hello." --order in-turn
    -o talk.mp4

    curl -s https://example.com/me.jpg | multitalk render --image - --text "Hello." -o - | mpv -

    multitalk render --request job.json -o talk.mp4
    """
    with (
        answering(locale_named(options.locale), as_json=options.as_json) as answers,
        ExitStack() as stack,
    ):
        from multitalk.local.studio import with_paths_from, with_prompt
        from multitalk.schema import parse_request, wanted_locale
        from multitalk.settings import Settings

        logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING)
        typed = TypedOptions.of(
            options.by_field(),
            options.voices(),
            options.box or (),
            is_whole=options.request is None,
        )
        settings = Settings.from_env()
        to_stdout = is_standard_output(options.output, as_json=options.as_json)
        stdin = StandardInput(stack)
        given = _read(options.request, stdin) if options.request else {}
        on_top = _request_fields(options, stdin, speakers={*_speakers(given)})
        if options.request is None:
            on_top = with_prompt(on_top)
        answers.locale, answers.locate = wanted_locale(given | on_top), typed.locate
        parsed = parse_request(given | with_paths_from(Path.cwd(), on_top), settings=settings)
        # Not before: a job's JSON may have a field of this name, which is refused
        answers.locate = typed.with_place("output", "-o", options.output).locate
        _render(parsed, options, settings, to_stdout=to_stdout)


def _request_fields(
    options: RenderCommandOptions, stdin: StandardInput, *, speakers: set[str]
) -> dict[str, object]:
    """The options that were typed, as fields of a request; `-` is read.

    Args:
        options: Of the command.
        stdin: What `-` reads.
        speakers: Those that a job's JSON names.
    """
    image, voices, boxes = options.image, options.voices(), boxes_of(options.box or [])
    values = {field: value for field, (_, value) in options.by_field().items()}
    del values["continue_from.windows"]  # a part of the next
    values["continue_from"] = _earlier_talk(options)
    values["image_path"] = None if image is None else stdin.source("--image", image)
    values["audio_type"] = ORDERS.get(str(options.order), options.order)
    values["bbox"] = boxes
    voices = replace(
        voices,
        audio=[stdin.named_source("--audio", option) for option in voices.audio],
        text=[stdin.named_text("--text", option) for option in voices.text],
    )
    timed = {split_name(option, default="")[0] for option in options.phonemes or []}
    values["audio_paths"] = voices.audio_paths(timed | speakers | {*(boxes or {})})
    return {field: value for field, value in values.items() if value is not None}


def _earlier_talk(options: RenderCommandOptions) -> dict[str, object] | None:
    """`continue_from` of a request."""
    earlier: dict[str, object] = {}
    if options.continue_from is not None:
        earlier["job"] = LOCAL_JOB
    if options.keep_windows is not None:
        earlier["windows"] = options.keep_windows
    return earlier or None


def _render(
    request: "TalkRequest", options: RenderCommandOptions, settings: "Settings", *, to_stdout: bool
) -> None:
    """Render a valid request, write its files and report the result."""
    timing_files = _timing_files(options.phonemes or [], request)
    for file in timing_files.values():
        prepare_output_file(file, field=option_text("--phonemes", file))
    output, saved = options.output, options.save_windows and as_meant(options.save_windows)
    with ExitStack() as stack:
        files = stack.enter_context(_window_files(options.continue_from, saved, settings))
        video = stack.enter_context(streamed_video()) if to_stdout else output
        talk = _render_video(request, video, settings, files)
        if files.save_to is not None and talk.window_ends and saved is not None:
            files.save_to.replace(saved)
    for name, file in timing_files.items():
        _write_phonemes(file, talk.phonemes[name])
    _note_warnings(talk, request.locale, saved)
    if options.as_json:
        print_json(talk.result().reply())
    else:
        typer.echo(_summary(talk, output), err=to_stdout)


def _render_video(
    request: "TalkRequest", video: Path, settings: "Settings", files: "WindowFiles"
) -> "FinishedTalk":
    from multitalk.local.studio import Studio

    with Studio(request.engine, settings=settings) as studio, progress_bar() as on_progress:
        return studio.render_request(request, video, on_progress=on_progress, window_files=files)


def _note_warnings(talk: "FinishedTalk", locale: "Locale", saved: Path | None) -> None:
    """Print a talk's warnings, and one if its windows should have been saved to a file."""
    for warning in talk.warnings:
        note(warning, locale)
    if saved is not None and not talk.window_ends:
        note(sentence("windows_not_saved", locale, file=saved.name), locale)


@contextmanager
def _window_files(
    earlier: Path | None, saved: Path | None, settings: "Settings"
) -> "Iterator[WindowFiles]":
    """The files of windows: those of an earlier talk, and an unfinished one to save to."""
    from multitalk.engines.base import WindowFiles

    earlier = earlier and as_meant(earlier)
    if saved is None:
        yield WindowFiles(earlier=earlier)
        return
    prepare_output_file(saved, field=option_text("--save-windows", saved))
    unfinished = saved.with_name(f".multitalk-{secrets.token_hex(4)}.npz")
    try:
        yield WindowFiles(earlier=earlier, save_to=unfinished, max_bytes=settings.kept_window_bytes)
    finally:
        unfinished.unlink(missing_ok=True)


def _summary(talk: "FinishedTalk", output: Path) -> str:
    seconds = talk.result().duration_seconds
    size = f"{talk.width}x{talk.height}"
    return f"{output}: {seconds:.2f} s, {size}, engine {talk.engine}, seed {talk.seed}"


def _speakers(
    given: Mapping[str, object], fields: tuple[str, ...] = ("audio_paths", "bbox")
) -> Iterator[str]:
    """The speakers in a job's input."""
    for field in fields:
        value = given.get(field)
        if isinstance(value, Mapping):
            yield from value


def _timing_files(options: list[str], request: "TalkRequest") -> dict[str, Path]:
    """The file for each speaker's phonemes."""
    from multitalk.schema.request import has_service_voice

    spoken, files = request.texts, {}
    alone = next(iter(spoken)) if len(spoken) == 1 else ""
    for option in options:
        name, file = split_name(option, default=alone)
        if name not in spoken:
            raise typer.BadParameter(f"--phonemes {option}: write NAME=JSON for one who has a text")
        if has_service_voice(spoken[name]):
            raise typer.BadParameter(
                f"--phonemes {option}: the sounds of a tts: voice are not known; take another voice"
            )
        files[name] = as_meant(Path(file))
    return files


def _write_phonemes(path: Path, sounds: "tuple[PhonemeTiming, ...]") -> None:
    """Write the times of phonemes, in seconds of the video."""
    record = [
        {
            "start_seconds": round(sound.start_seconds, 4),
            "end_seconds": round(sound.end_seconds, 4),
            "ipa": sound.ipa,
        }
        for sound in sounds
    ]
    write_atomically(path, (json.dumps(record, ensure_ascii=False) + "\n").encode())


def _read(path: Path, stdin: StandardInput) -> dict[str, object]:
    """A job's input from a file that holds it, bare or as `{"input": {...}}`; its paths are whole.

    Raises:
        InvalidRequest: No file, not JSON or too much of it, or not an object.
    """
    from multitalk.errors import InvalidRequest
    from multitalk.local.studio import with_paths_from
    from multitalk.schema import read_json
    from multitalk.schema.validation import brief

    place, base = option_text("--request", path), path.parent
    if str(path) == STREAM:
        base = Path.cwd()
    try:
        text = stdin.read("--request") if str(path) == STREAM else path.read_bytes()
    except OSError as error:
        raise InvalidRequest("file_missing", field=place) from error
    job = read_json(text, field=place)
    given = job.get("input", job) if isinstance(job, dict) else job
    if not isinstance(given, dict):
        raise InvalidRequest("input_not_an_object", field=place, value=brief(given))
    return with_paths_from(base, given)
