"""The report of one video: checks with thresholds, and figures without a verdict."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from multitalk.evaluation.lipsync import AudioVisualOffset, Closures, LipSync, MouthCurve
from multitalk.evaluation.liveliness import Liveliness
from multitalk.evaluation.measurements import LIVELINESS_FIGURES, Better, Figure
from multitalk.evaluation.stability import Background, Identity
from multitalk.timebase import FPS

# Thresholds; docs/evaluation.md has their derivation.
MIN_SEEN = 0.95  # share of the speech in which the face is seen
MIN_OPENING_DEVIATION = 0.008  # face heights: twice the measurement's own noise
MIN_AGREEMENT = 0.25
MAX_CHANCE = 0.02  # of circular shifts that fit as well
MAX_LAG_SECONDS = 0.1
MIN_CLOSED = 0.5  # share of m, b and p with closed lips
MIN_MOMENTS = 4  # of m, b and p
MIN_FACE_FOR_CLOSURES = 150  # pixels: on smaller faces closed and parted lips look alike
MAX_LISTENING_MOTION = 0.6  # of the movement while speaking
MIN_SIMILARITY = 0.3  # of the given voice with the video's sound
MAX_SHAPE_CHANGE = 0.015  # face heights
MIN_LIKENESS = 0.85
MAX_BACKGROUND_CHANGE = 10.0  # levels of 255
MAX_BACKGROUND_WOBBLE = 3.0


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Such as `in_sync`.
        speaker: None for the whole picture.
        figure: The measured value; None where it could not be measured.
        at_least: Minimum to pass, or None.
        at_most: Maximum to pass, or None.
        passed: None without a figure.
        reason: One sentence.
    """

    name: str
    speaker: str | None
    figure: float | None
    at_least: float | None
    at_most: float | None
    passed: bool | None
    reason: str


@dataclass(frozen=True)
class PersonReport:
    """One voice and its mouth.

    Attributes:
        name: The speaker's.
        source: Origin of the target: `sound` or `phonemes`.
        face_height: Pixels; of the largest face where several share one voice.
        start_seconds: Start of the voice in the video.
        similarity: Of the given voice with the video's sound; None without a given voice.
        lipsync: None with too little speech.
        closures: Of m, b and p.
        listening_motion: Movement in silence as a share of that in speech; None without silence.
        offset: Of picture and sound; None with too little speech.
        identity: Against the portrait or the first frame.
        flicker: Of the face, levels of 255; None where it is hardly visible.
        blink_rate: Per minute; None with under 5 s of visible face.
        liveliness: Of the largest face where several share one voice.
        measured: Measured opening [T], face heights.
        target: Expected opening [T], face heights.
    """

    name: str
    source: str
    face_height: float
    start_seconds: float
    similarity: float | None
    lipsync: LipSync | None
    closures: Closures
    listening_motion: float | None
    offset: AudioVisualOffset | None
    identity: Identity
    flicker: float | None
    blink_rate: float | None
    liveliness: Liveliness
    measured: MouthCurve
    target: MouthCurve


@dataclass(frozen=True)
class Report:
    """The result of `evaluate`.

    Attributes:
        num_frames: Of the video at 25 fps.
        people: One per voice.
        background: None where the faces fill the picture.
        checks: All checks.
    """

    num_frames: int
    people: tuple[PersonReport, ...]
    background: Background | None
    checks: tuple[Check, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of each speaker."""
        return tuple(figure for person in self.people for figure in _figures_of(person))

    @property
    def verdict(self) -> Literal["passed", "failed", "not judged"]:
        """`failed` by any check; `not judged` if somebody speaks too little."""
        if any(check.passed is False for check in self.checks):
            return "failed"
        judged = all(person.lipsync is not None for person in self.people)
        return "passed" if judged else "not judged"

    @property
    def passed(self) -> bool:
        """True if every check passed and everybody's lips were judged."""
        return self.verdict == "passed"

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON, without the curves."""
        people = [asdict(person) for person in self.people]
        for person in people:
            del person["measured"], person["target"]
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "num_frames": self.num_frames,
            "checks": [asdict(check) for check in self.checks],
            "figures": [asdict(figure) for figure in self.figures],
            "people": people,
            "background": asdict(self.background) if self.background else None,
        }


def checks_of(people: Sequence[PersonReport], background: Background | None) -> tuple[Check, ...]:
    """Run all checks."""
    checks = [check for person in people for check in _checks_of_person(person)]
    if background is not None:
        checks += [
            _check(
                "background_stays",
                background.change,
                at_most=MAX_BACKGROUND_CHANGE,
                reason="away from the faces the picture differs from the first by {:.2f} of 255",
            ),
            _check(
                "background_is_steady",
                background.wobble,
                at_most=MAX_BACKGROUND_WOBBLE,
                reason="away from the faces the picture changes by {:.2f} of 255 between frames",
            ),
        ]
    return tuple(checks)


def draw_report(report: Report, path: Path) -> None:
    """Write a PNG: for each voice the measured and the expected opening, and the verdict.

    It needs matplotlib, of the extra `plot`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415

    rows = len(report.people)
    figure = Drawing(figsize=(12, 1 + 2.6 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_plot_title(report), color="darkgreen" if report.passed else "darkred")
    for row, person in enumerate(report.people):
        axes = figure.add_subplot(rows, 1, row + 1)
        seconds = (np.arange(len(person.measured)) + 0.5) / FPS
        axes.fill_between(
            seconds, 100 * person.target, color="0.8", label=f"expected ({person.source})"
        )
        axes.plot(seconds, 100 * person.measured, color="tab:red", linewidth=1.2, label="measured")
        axes.set_title(_plot_caption(person), fontsize=10, loc="left")
        axes.set_ylabel("lips' gap,\n% of face height")
        axes.set_xlim(0, len(person.measured) / FPS)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8)
    axes.set_xlabel("seconds")
    figure.savefig(path)


def _checks_of_person(person: PersonReport) -> list[Check]:
    own = [
        _check(
            "voice_is_heard",
            person.similarity,
            at_least=MIN_SIMILARITY,
            reason="the given voice correlates with the video's sound by {:.2f}",
            otherwise="the video's own sound was taken for the voice",
        ),
        *(_checks_of_lips(person.lipsync) if person.lipsync else [_NOT_JUDGED]),
        _check_of_closures(person),
        _check(
            "rests_while_silent",
            person.listening_motion,
            at_most=MAX_LISTENING_MOTION,
            reason="in silence the mouth moves {:.2f} times as much as in speech",
            otherwise="there is less than a second of silence",
        ),
        _check(
            "same_shape",
            person.identity.shape_change,
            at_most=MAX_SHAPE_CHANGE,
            reason="the face's still points are off by {:.4f} face heights",
        ),
        _check(
            "same_looks",
            person.identity.worst_likeness,
            at_least=MIN_LIKENESS,
            reason="the face's colours correlate with the reference's by {:.3f} at their worst",
        ),
    ]
    return [replace(check, speaker=person.name) for check in own]


def _checks_of_lips(sync: LipSync) -> list[Check]:
    when = "late" if sync.lag_seconds > 0 else "early"
    return [
        _check(
            "face_is_seen",
            sync.seen_share,
            at_least=MIN_SEEN,
            reason="the face is seen in {:.0%} of the speech",
        ),
        _check(
            "mouth_moves",
            sync.opening_deviation,
            at_least=MIN_OPENING_DEVIATION,
            reason="the lips' gap varies by {:.4f} face heights while speaking",
        ),
        _check(
            "lips_follow_voice",
            sync.agreement,
            at_least=MIN_AGREEMENT,
            reason="the lips' opening and width correlate with what the voice asks for by {:.2f}",
        ),
        _check(
            "voice_is_its_own",
            sync.chance_share,
            at_most=MAX_CHANCE,
            reason="{:.1%} of the wrong placings of the voice fit the lips as well",
        ),
        _check(
            "in_sync",
            abs(sync.lag_seconds),
            at_most=MAX_LAG_SECONDS,
            reason=f"the lips are {{:.3f}} s {when}",
        ),
    ]


def _check_of_closures(person: PersonReport) -> Check:
    moments, pixels = person.closures.moments, person.face_height
    can_be_seen = moments >= MIN_MOMENTS and pixels >= MIN_FACE_FOR_CLOSURES
    return _check(
        "lips_close",
        person.closures.closed_share if can_be_seen else None,
        at_least=MIN_CLOSED,
        reason=f"the lips are closed in {{:.0%}} of {moments} m, b and p",
        otherwise=f"{moments} m, b and p on a face of {pixels:.0f} pixels are too few or too "
        f"small: it takes {MIN_MOMENTS} and {MIN_FACE_FOR_CLOSURES} pixels",
    )


def _check(
    name: str,
    figure: float | None,
    *,
    reason: str,
    otherwise: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
) -> Check:
    """Compare a figure with its threshold; `otherwise` is the reason without a figure."""
    passed = figure is None or (
        (at_least is None or figure >= at_least) and (at_most is None or figure <= at_most)
    )
    return Check(
        name=name,
        speaker=None,
        figure=figure,
        at_least=at_least,
        at_most=at_most,
        passed=None if figure is None else passed,
        reason=otherwise if figure is None else reason.format(figure),
    )


_NOT_JUDGED = _check(
    "lips_follow_voice",
    None,
    at_least=MIN_AGREEMENT,
    reason="",
    otherwise="there are less than 1.4 seconds of speech with a visible face",
)


def _figures_of(person: PersonReport) -> list[Figure]:
    sync, offset = person.lipsync, person.offset
    measured: list[tuple[str, float | None, str, Better]] = [
        ("opening_correlation", sync.opening_correlation if sync else None, "", "higher"),
        ("width_correlation", sync.width_correlation if sync else None, "", "higher"),
        ("lag_ms", 1000 * sync.lag_seconds if sync else None, "ms", "lower"),
        ("offset_frames", offset.offset_frames if offset else None, "frames", "lower"),
        ("confidence", offset.confidence if offset else None, "deviations", "higher"),
        ("flicker", person.flicker, "levels of 255", "lower"),
    ]
    liveliness = asdict(person.liveliness) | {"blink_rate": person.blink_rate}
    return [
        *(Figure(name, person.name, value, unit, way) for name, value, unit, way in measured),
        *(
            Figure(name, person.name, liveliness[name], unit, "neither", known)
            for name, (unit, known) in LIVELINESS_FIGURES.items()
        ),
    ]


def _plot_title(report: Report) -> str:
    failed = [
        check.name if check.speaker is None else f"{check.speaker}: {check.name}"
        for check in report.checks
        if check.passed is False
    ]
    return report.verdict + (": " + ", ".join(failed) if failed else "")


def _plot_caption(person: PersonReport) -> str:
    sync = person.lipsync
    if sync is None:
        return f"{person.name}: too little speech"
    return (
        f"{person.name}: agreement {sync.agreement:.2f}, lips {1000 * sync.lag_seconds:+.0f} ms, "
        f"wrong placings as good {sync.chance_share:.1%}, closed in "
        f"{person.closures.closed_share:.0%} of {person.closures.moments} m b p"
    )
