"""The options of a talk in Python: one type for `render` and for `Studio.render`."""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

from typing_extensions import TypedDict

from multitalk.boxes import Box
from multitalk.messages import Locale
from multitalk.schema import AudioType, ProfileName, Quality

Render = TypeVar("Render", bound=Callable[..., object])

OPTIONS_ENTRY = re.compile(r"^( *)\*\*options: .*$", re.MULTILINE)  # of a docstring


class TalkOptions(TypedDict, total=False):
    """Fields of a request; one that is left out or None has the request's default.

    Attributes:
        audio_type: `para`: the voices sound together; `add`: in turn.
        bbox: Where each speaker's face is, (x_min, y_min, x_max, y_max) in pixels; from left to
            right when left out.
        mode: The whole speech, or 81 frames at most.
        seed: Repeats a result.
        resolution: Size class of the video; left out, 720p with warp and 480p with diffusion.
        quality: Of the warp engine: faster or sharper.
        motion: Of the warp engine: how lively people move, 0 to 1.5.
        profile: Schedule of the diffusion engine, which the next six are for, too.
        negative_prompt: What the video must not show; the profile's own when left out.
        sample_steps: Denoising steps.
        sample_text_guide_scale: How closely to follow the prompt.
        sample_audio_guide_scale: How closely to follow the voice.
        sample_shift: Timestep shift.
        color_correction: How far colours are pulled to the portrait's, 0 to 1.
        label: A short text in a corner of every frame, such as `AI`; ASCII.
        locale: Language of the result's warnings.
    """

    audio_type: AudioType | None
    bbox: Mapping[str, Box] | None
    mode: Literal["streaming", "clip"] | None
    seed: int | None
    resolution: Literal["480p", "720p"] | None
    quality: Quality | None
    motion: float | None
    profile: ProfileName | None
    negative_prompt: str | None
    sample_steps: int | None
    sample_text_guide_scale: float | None
    sample_audio_guide_scale: float | None
    sample_shift: float | None
    color_correction: float | None
    label: str | None
    locale: Locale | None


def with_talk_options(function: Render) -> Render:
    """Have a function whose `**options` are `TalkOptions` show them, and refuse other names.

    Type checkers read the annotation. This is for what reads the signature and the docstring at
    run time, such as `help` and notebooks, which would see `**options` only.
    """
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in TalkOptions.__annotations__.items()
    ]
    known = {parameter.name for parameter in [*own, *options]}

    @functools.wraps(function)
    def checked(*arguments: Any, **named: Any) -> object:
        for name in named.keys() - known:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")
        return function(*arguments, **named)

    checked.__doc__ = _with_entries(function.__doc__)
    checked.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return cast(Render, checked)


def _with_entries(text: str | None) -> str | None:
    """A docstring whose entry of `**options` is that of each option."""
    if not (text and TalkOptions.__doc__):
        return text  # python -OO
    entries = textwrap.dedent(inspect.cleandoc(TalkOptions.__doc__).partition("Attributes:\n")[2])
    return OPTIONS_ENTRY.sub(lambda entry: textwrap.indent(entries, entry[1]), text)
