"""`multitalk render`: a talk from the command line, or from a job's JSON."""

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from multitalk.cli.console import answering, note, print_json, progress_bar
from multitalk.cli.options import (
    ORDERS,
    TypedOptions,
    VoiceOptions,
    boxes_of,
    option_text,
    split_name,
)
from multitalk.cli.render_options import (
    AsJsonOption,
    AudioOption,
    BoxOption,
    ContinueFromOption,
    EngineOption,
    ImageOption,
    KeepWindowsOption,
    LabelOption,
    LanguageOption,
    LocaleOption,
    ModeOption,
    MotionOption,
    OrderOption,
    OutputOption,
    PhonemesOption,
    PitchOption,
    ProfileOption,
    PromptOption,
    QualityOption,
    RequestOption,
    ResolutionOption,
    SaveWindowsOption,
    SeedOption,
    SpeedOption,
    TextOption,
    VerboseOption,
    VoiceOption,
)
from multitalk.cli.streams import STREAM, StandardInput, is_standard_output, write_to_stdout
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


def render(  # noqa: PLR0917 - typer's way to say options
    output: OutputOption,
    image: ImageOption = None,
    audio: AudioOption = None,
    text: TextOption = None,
    language: LanguageOption = None,
    voice: VoiceOption = None,
    speed: SpeedOption = None,
    pitch: PitchOption = None,
    prompt: PromptOption = None,
    order: OrderOption = None,
    box: BoxOption = None,
    mode: ModeOption = None,
    seed: SeedOption = None,
    engine: EngineOption = None,
    resolution: ResolutionOption = None,
    quality: QualityOption = None,
    motion: MotionOption = None,
    profile: ProfileOption = None,
    label: LabelOption = None,
    save_windows: SaveWindowsOption = None,
    continue_from: ContinueFromOption = None,
    keep_windows: KeepWindowsOption = None,
    locale: LocaleOption = None,
    request: RequestOption = None,
    phonemes: PhonemesOption = None,
    as_json: AsJsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make the person in a picture speak.

    [bold]Examples[/bold]

    multitalk render --image me.jpg --audio hello.wav -o talk.mp4

    multitalk render --image me.jpg --text "Hello. Nice to meet you." -o talk.mp4

    multitalk render --image two.png --audio left=a.wav --text right="Hello." --order in-turn
    -o talk.mp4

    curl -s https://example.com/me.jpg | multitalk render --image - --text "Hello." -o - | mpv -

    multitalk render --request job.json -o talk.mp4
    """
    fields: dict[str, tuple[str, object]] = {
        "output": ("-o", output),
        "image_path": ("--image", image),
        "prompt": ("--prompt", prompt),
        "audio_type": ("--order", order),
        "mode": ("--mode", mode),
        "seed": ("--seed", seed),
        "engine": ("--engine", engine),
        "resolution": ("--resolution", resolution),
        "quality": ("--quality", quality),
        "motion": ("--motion", motion),
        "profile": ("--profile", profile),
        "label": ("--label", label),
        "locale": ("--locale", locale),
        "continue_from": ("--continue-from", continue_from),
        "continue_from.windows": ("--keep-windows", keep_windows),
    }
    delivery = {"voice": voice or (), "speed": speed or (), "pitch": pitch or ()}
    voices = VoiceOptions(audio or (), text or (), language, delivery)
    with (
        answering(locale_named(locale), as_json=as_json) as answers,
        ExitStack() as stack,
    ):
        from multitalk.local.studio import with_paths_from, with_prompt
        from multitalk.schema import parse_request, wanted_locale
        from multitalk.settings import Settings

        logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
        typed = TypedOptions.of(fields, voices, box or (), is_whole=request is None)
        settings = Settings.from_env()
        to_stdout = is_standard_output(output, as_json=as_json)
        stdin = StandardInput(stack)
        given = _read(request, stdin) if request else {}
        timed = {split_name(option, default="")[0] for option in phonemes or []}
        on_top = _request_fields(
            fields, voices, box or [], stdin, speakers={*timed, *_speakers(given)}
        )
        if request is None:
            on_top = with_prompt(on_top)
        answers.locale, answers.locate = wanted_locale(given | on_top), typed.locate
        parsed = parse_request(given | with_paths_from(Path.cwd(), on_top), settings=settings)
        _render(
            parsed,
            output,
            _timing_files(phonemes or [], parsed),
            settings,
            windows=(continue_from, save_windows),
            to_stdout=to_stdout,
            as_json=as_json,
        )


def _request_fields(
    typed: Mapping[str, tuple[str, object]],
    voices: VoiceOptions,
    box: list[str],
    stdin: StandardInput,
    *,
    speakers: set[str],
) -> dict[str, object]:
    """The options that were typed, as fields of a request; `-` is read.

    Args:
        typed: From a field to the option that sets it alone, and its value.
        voices: The options of voices.
        box: `--box`.
        stdin: What `-` reads.
        speakers: Those that other options and a job's JSON name.
    """
    values = {field: value for field, (_, value) in typed.items() if field != "output"}
    earlier = {"job": values["continue_from"] and LOCAL_JOB}
    earlier["windows"] = values.pop("continue_from.windows")
    earlier = {name: value for name, value in earlier.items() if value is not None}
    image, order, boxes = values["image_path"], values["audio_type"], boxes_of(box)
    values["continue_from"] = earlier or None
    values["image_path"] = None if image is None else stdin.source("--image", str(image))
    values["audio_type"] = ORDERS.get(str(order), order)
    values["bbox"] = boxes
    voices = replace(
        voices,
        audio=[stdin.named_source("--audio", option) for option in voices.audio],
        text=[stdin.named_text("--text", option) for option in voices.text],
    )
    values["audio_paths"] = voices.audio_paths(speakers | {*(boxes or {})})
    return {field: value for field, value in values.items() if value is not None}


def _render(
    request: "TalkRequest",
    output: Path,
    timing_files: Mapping[str, Path],
    settings: "Settings",
    *,
    windows: tuple[Path | None, Path | None],
    to_stdout: bool,
    as_json: bool,
) -> None:
    """Render a valid request, write its files and report the result."""
    import tempfile

    from multitalk.local.studio import Studio

    for file in timing_files.values():
        prepare_output_file(file, field=option_text("--phonemes", file))
    earlier, saved = (path and as_meant(path) for path in windows)
    files = _window_files(earlier, saved, settings)
    with ExitStack() as stack:
        video = output
        if to_stdout:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="multitalk-"))
            video = Path(directory, "talk.mp4")
        with Studio(request.engine, settings=settings) as studio, progress_bar() as on_progress:
            if files.save_to is not None:
                stack.callback(files.save_to.unlink, missing_ok=True)
            talk = studio.render_request(
                request, video, on_progress=on_progress, window_files=files
            )
            if saved is not None and talk.window_ends and files.save_to is not None:
                files.save_to.replace(saved)
        if to_stdout:
            write_to_stdout(video)
    for name, file in timing_files.items():
        _write_phonemes(file, talk.phonemes[name])
    _note_warnings(talk, request.locale, saved)
    if as_json:
        print_json(talk.result().reply())
    else:
        typer.echo(_summary(talk, output), err=to_stdout)


def _note_warnings(talk: "FinishedTalk", locale: "Locale", saved: Path | None) -> None:
    """Print a talk's warnings, and one if its windows should have been saved to a file."""
    for warning in talk.warnings:
        note(warning, locale)
    if saved is not None and not talk.window_ends:
        note(sentence("windows_not_saved", locale, file=saved.name), locale)


def _window_files(earlier: Path | None, saved: Path | None, settings: "Settings") -> "WindowFiles":
    """The files of windows: those of an earlier talk, and an unfinished one to save to."""
    from multitalk.engines.base import WindowFiles

    if saved is None:
        return WindowFiles(earlier=earlier)
    prepare_output_file(saved, field=option_text("--save-windows", saved))
    unfinished = saved.with_name(f".multitalk-{secrets.token_hex(4)}.npz")
    return WindowFiles(earlier=earlier, save_to=unfinished, max_bytes=settings.kept_window_bytes)


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

    voices = request.audio_paths
    spoken = [name for name, voice in voices.items() if not isinstance(voice, str)]
    files = {}
    for option in options:
        name, file = split_name(option, default=spoken[0] if len(spoken) == 1 else "")
        if name not in spoken:
            raise typer.BadParameter(f"--phonemes {option}: write NAME=JSON for one who has a text")
        if has_service_voice(voices[name]):
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
