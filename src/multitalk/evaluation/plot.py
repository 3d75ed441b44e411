"""The plot of a report: measured against expected lip opening."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from multitalk.evaluation.report import PersonReport, Report
from multitalk.timebase import FPS


def draw_report(report: Report, path: Path) -> None:
    """Write a PNG: for each voice the measured and the expected opening, and the verdict."""
    rows = len(report.people)
    figure = Figure(figsize=(12, 1 + 2.6 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(report), color="darkgreen" if report.passed else "darkred")
    for row, person in enumerate(report.people):
        axes = figure.add_subplot(rows, 1, row + 1)
        seconds = (np.arange(len(person.measured)) + 0.5) / FPS
        axes.fill_between(
            seconds, 100 * person.target, color="0.8", label=f"asked for ({person.source})"
        )
        axes.plot(seconds, 100 * person.measured, color="tab:red", linewidth=1.2, label="measured")
        axes.set_title(_caption(person), fontsize=10, loc="left")
        axes.set_ylabel("lips' gap,\n% of face height")
        axes.set_xlim(0, len(person.measured) / FPS)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8)
    axes.set_xlabel("seconds")
    figure.savefig(path)


def _title(report: Report) -> str:
    failed = [
        check.name if check.speaker is None else f"{check.speaker}: {check.name}"
        for check in report.checks
        if check.passed is False
    ]
    return report.verdict + (": " + ", ".join(failed) if failed else "")


def _caption(person: PersonReport) -> str:
    sync = person.lipsync
    if sync is None:
        return f"{person.name}: too little speech"
    return (
        f"{person.name}: agreement {sync.agreement:.2f}, lips {1000 * sync.lag_seconds:+.0f} ms, "
        f"wrong placings as good {sync.chance_share:.1%}, closed in "
        f"{person.closures.closed_share:.0%} of {person.closures.moments} m b p"
    )
