"""Judging a finished video. Never imports an engine."""

from multitalk.evaluation.figures import Figure, mean_figures
from multitalk.evaluation.judgement import evaluate
from multitalk.evaluation.report import Check, PersonReport, Report

__all__ = ["Check", "Figure", "PersonReport", "Report", "evaluate", "mean_figures"]
