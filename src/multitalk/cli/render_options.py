"""The options of `multitalk render`, with their help."""

from pathlib import Path
from typing import Annotated

import typer

from multitalk.messages import LOCALES
from multitalk.settings import ENGINE_CHOICES

OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="The mp4 to write; - is standard output.", show_default=False
    ),
]
ImageOption = Annotated[
    str | None,
    typer.Option(
        help="The portrait: a path, URL or data URI; - is standard input. With InfiniteTalk's "
        "weights also a video.",
        metavar="PICTURE",
    ),
]
AudioOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A recording (sound or video), once for each speaker; the first is person1.",
        metavar="[NAME=]SOURCE",
    ),
]
TextOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A text to be spoken instead; several of one speaker follow each other.",
        metavar="[NAME=]TEXT",
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        help="Language of the texts, such as ko, KR or korean; detected if left out.",
        metavar="LANGUAGE",
    ),
]
VoiceOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Voice of the texts: female, male or a name that multitalk voices lists.",
        metavar="[NAME=]VOICE",
    ),
]
SpeedOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Speed of the texts, 0.5 to 2 times the normal one.", metavar="[NAME=]FACTOR"
    ),
]
PitchOption = Annotated[
    list[str] | None,
    typer.Option(
        help="How much higher the voice is, -12 to 12 semitones.", metavar="[NAME=]SEMITONES"
    ),
]
PromptOption = Annotated[
    str | None,
    typer.Option(help="What the video shows; that somebody talks, if left out.", metavar="TEXT"),
]
OrderOption = Annotated[
    str | None,
    typer.Option(help="Whether several voices sound together.", metavar="together|in-turn"),
]
BoxOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Where a speaker's face is, in pixels; left to right if left out.",
        metavar="NAME=X0,Y0,X1,Y1",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(help="The whole speech, or 81 frames at most.", metavar="streaming|clip"),
]
SeedOption = Annotated[
    int | None, typer.Option(help="Repeats a result.", metavar="NUMBER", show_default=False)
]
EngineOption = Annotated[str | None, typer.Option(help="Engine.", metavar="|".join(ENGINE_CHOICES))]
ResolutionOption = Annotated[
    str | None,
    typer.Option(
        help="Size of the video; else 720p with warp, 480p with diffusion.",
        metavar="480p|720p",
    ),
]
QualityOption = Annotated[
    str | None,
    typer.Option(help="Of the warp engine: faster, or sharper.", metavar="draft|standard|fine"),
]
MotionOption = Annotated[
    float | None,
    typer.Option(
        help="Of the warp engine: how lively people move; 0.25 is calm.",
        metavar="0..1.5",
        show_default=False,
    ),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        help="A short text in a corner of every frame, such as AI.",
        metavar="TEXT",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        help="Schedule of the diffusion engine; its weights' own if left out.",
        metavar="fusionx|lightx2v|realtime|quality",
    ),
]
SaveWindowsOption = Annotated[
    Path | None,
    typer.Option(
        help="Also keep the windows of the diffusion engine, for --continue-from.",
        metavar="FILE",
    ),
]
ContinueFromOption = Annotated[
    Path | None,
    typer.Option(
        help="A file of --save-windows: begin as that talk does, then go on with this prompt "
        "and seed.",
        metavar="FILE",
    ),
]
KeepWindowsOption = Annotated[
    int | None,
    typer.Option(help="How many windows of that talk to keep.", metavar="NUMBER"),
]
LocaleOption = Annotated[
    str | None, typer.Option(help="Language of messages.", metavar="|".join(LOCALES))
]
RequestOption = Annotated[
    Path | None,
    typer.Option(
        help="A job's JSON; paths in it are relative to it. Other options come on top.",
        metavar="JOB.JSON",
    ),
]
PhonemesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Also write when each sound of a text is heard, for: multitalk evaluate.",
        metavar="[NAME=]JSON",
    ),
]
AsJsonOption = Annotated[
    bool, typer.Option("--json", help="Print the record of the result as JSON.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log each stage.")]
