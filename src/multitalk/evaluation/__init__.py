"""Evaluation of a finished video. Never imports an engine."""

from multitalk.evaluation.evaluator import evaluate
from multitalk.evaluation.measurements import Comparison, Figure, compare_figures, mean_figures
from multitalk.evaluation.report import Check, PersonReport, Report
from multitalk.evaluation.side_by_side import write_side_by_side

__all__ = [
    "Check",
    "Comparison",
    "Figure",
    "PersonReport",
    "Report",
    "compare_figures",
    "evaluate",
    "mean_figures",
    "write_side_by_side",
]
