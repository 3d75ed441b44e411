"""Figures of two videos are compared, and those of several averaged."""

import pytest

from multitalk.evaluation import Figure, compare_figures, mean_figures

pytest.importorskip("espeakng_loader")


def figures(**values: float | None) -> list[Figure]:
    better = {"lag_ms": "lower", "confidence": "higher", "blink_rate": "neither"}
    return [Figure(name, "a", value, "", better[name]) for name, value in values.items()]


@pytest.mark.parametrize(
    ("name", "first", "second", "winner"),
    [
        ("lag_ms", 10.0, -30.0, "first"),
        ("lag_ms", -40.0, 30.0, "second"),
        ("lag_ms", -30.0, 30.0, None),
        ("confidence", 0.2, 0.4, "second"),
        ("confidence", -0.1, -0.4, "first"),
        ("confidence", None, 0.4, None),
        ("blink_rate", 10.0, 20.0, None),
    ],
)
def test_the_better_figure_wins(
    name: str, first: float | None, second: float | None, winner: str | None
) -> None:
    (compared,) = compare_figures(figures(**{name: first}), figures(**{name: second}))
    assert (compared.first, compared.second, compared.winner) == (first, second, winner)


def test_figures_are_compared_by_name_and_speaker() -> None:
    other = [Figure("lag_ms", "b", 1.0, "", "lower")]
    compared = compare_figures(figures(lag_ms=2.0, confidence=1.0), other)
    assert [(one.speaker, one.name, one.first, one.second) for one in compared] == [
        ("a", "lag_ms", 2.0, None),
        ("a", "confidence", 1.0, None),
        ("b", "lag_ms", None, 1.0),
    ]


def test_means_are_of_what_was_measured_and_early_does_not_undo_late() -> None:
    figures = [
        Figure("lag_ms", "a", -40.0, "ms", "lower"),
        Figure("lag_ms", "b", 20.0, "ms", "lower"),
        Figure("confidence", "a", None, "", "higher"),
        Figure("confidence", "b", -0.5, "", "higher"),
        Figure("blink_rate", "a", None, "", "neither"),
    ]
    lag, confidence, blinks = mean_figures(figures)
    assert (lag.name, lag.value, lag.speaker) == ("lag_ms", 30, None)
    assert (confidence.value, blinks.value) == (-0.5, None)
    (alone,) = mean_figures(figures[:1])
    assert alone.value == -40
