"""Judging a finished video. Never imports an engine."""
