"""The options of `multitalk render`, with their help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from multitalk.cli.options import VoiceOptions
from multitalk.messages import LOCALES
from multitalk.settings import ENGINE_CHOICES


@dataclass(frozen=True)
class RenderCommandOptions:
    """The options of `multitalk render`; its help shows them in this order."""

    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The mp4 to write; - is standard output.", show_default=False
        ),
    ]
    image: Annotated[
        str | None,
        typer.Option(
            help="The portrait: a path, URL or data URI; - is standard input. With InfiniteTalk's "
            "weights also a video.",
            metavar="PICTURE",
        ),
    ] = None
    audio: Annotated[
        list[str] | None,
        typer.Option(
            help="A recording (sound or video), once for each speaker; the first is person1.",
            metavar="[NAME=]SOURCE",
        ),
    ] = None
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="A text to be spoken instead; several of one speaker follow each other.",
            metavar="[NAME=]TEXT",
        ),
    ] = None
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of the texts, such as ko, KR or korean; detected if left out.",
            metavar="LANGUAGE",
        ),
    ] = None
    voice: Annotated[
        list[str] | None,
        typer.Option(
            help="Voice of the texts: female, male or a name that multitalk voices lists.",
            metavar="[NAME=]VOICE",
        ),
    ] = None
    speed: Annotated[
        list[str] | None,
        typer.Option(
            help="Speed of the texts, 0.5 to 2 times the normal one.", metavar="[NAME=]FACTOR"
        ),
    ] = None
    pitch: Annotated[
        list[str] | None,
        typer.Option(
            help="How much higher the voice is, -12 to 12 semitones.", metavar="[NAME=]SEMITONES"
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What the video shows; that somebody talks, if left out.", metavar="TEXT"
        ),
    ] = None
    order: Annotated[
        str | None,
        typer.Option(help="Whether several voices sound together.", metavar="together|in-turn"),
    ] = None
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a speaker's face is, in pixels; left to right if left out.",
            metavar="NAME=X0,Y0,X1,Y1",
        ),
    ] = None
    mode: Annotated[
        str | None,
        typer.Option(help="The whole speech, or 81 frames at most.", metavar="streaming|clip"),
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Repeats a result.", metavar="NUMBER", show_default=False)
    ] = None
    engine: Annotated[
        str | None, typer.Option(help="Engine.", metavar="|".join(ENGINE_CHOICES))
    ] = None
    resolution: Annotated[
        str | None,
        typer.Option(
            help="Size of the video; else 720p with warp, 480p with diffusion.",
            metavar="480p|720p",
        ),
    ] = None
    quality: Annotated[
        str | None,
        typer.Option(help="Of the warp engine: faster, or sharper.", metavar="draft|standard|fine"),
    ] = None
    motion: Annotated[
        float | None,
        typer.Option(
            help="Of the warp engine: how lively people move; 0.25 is calm.",
            metavar="0..1.5",
            show_default=False,
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            help="Schedule of the diffusion engine; its weights' own if left out.",
            metavar="fusionx|lightx2v|realtime|quality",
        ),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(
            help="A short text in a corner of every frame, such as AI.",
            metavar="TEXT",
            show_default=False,
        ),
    ] = None
    save_windows: Annotated[
        Path | None,
        typer.Option(
            help="Also keep the windows of the diffusion engine, for --continue-from.",
            metavar="FILE",
        ),
    ] = None
    continue_from: Annotated[
        Path | None,
        typer.Option(
            help="A file of --save-windows: begin as that talk does, then go on with this prompt "
            "and seed.",
            metavar="FILE",
        ),
    ] = None
    keep_windows: Annotated[
        int | None,
        typer.Option(help="How many windows of that talk to keep.", metavar="NUMBER"),
    ] = None
    locale: Annotated[
        str | None, typer.Option(help="Language of messages.", metavar="|".join(LOCALES))
    ] = None
    request: Annotated[
        Path | None,
        typer.Option(
            help="A job's JSON; paths in it are relative to it. Other options come on top.",
            metavar="JOB.JSON",
        ),
    ] = None
    phonemes: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write when each sound of a text is heard, for: multitalk evaluate.",
            metavar="[NAME=]JSON",
        ),
    ] = None
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record of the result as JSON.")
    ] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each stage.")] = False

    def voices(self) -> VoiceOptions:
        """The options that give speakers their voices."""
        delivery = {
            "voice": self.voice or (),
            "speed": self.speed or (),
            "pitch": self.pitch or (),
        }
        return VoiceOptions(self.audio or (), self.text or (), self.language, delivery)

    def by_field(self) -> dict[str, tuple[str, object]]:
        """The option that sets a field of the request alone, and its value, by the field."""
        return {
            "image_path": ("--image", self.image),
            "prompt": ("--prompt", self.prompt),
            "audio_type": ("--order", self.order),
            "mode": ("--mode", self.mode),
            "seed": ("--seed", self.seed),
            "engine": ("--engine", self.engine),
            "resolution": ("--resolution", self.resolution),
            "quality": ("--quality", self.quality),
            "motion": ("--motion", self.motion),
            "profile": ("--profile", self.profile),
            "label": ("--label", self.label),
            "locale": ("--locale", self.locale),
            "continue_from": ("--continue-from", self.continue_from),
            "continue_from.windows": ("--keep-windows", self.keep_windows),
        }
