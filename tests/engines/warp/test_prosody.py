import numpy as np
from numpy.typing import NDArray

from multitalk.engines.warp.prosody import Prosody


def liveliness(
    loudness: NDArray[np.float64], pitch: NDArray[np.float64], activity: float = 1.0
) -> NDArray[np.float64]:
    prosody = Prosody()
    return np.array(
        [
            prosody.step(activity=activity, loudness=loud, pitch=high)
            for loud, high in zip(loudness, pitch, strict=True)
        ]
    )


def spoken(seconds: float, *, loudness: float, melody: float) -> list[NDArray[np.float64]]:
    """Loudness and pitch of syllables, [T] each."""
    t = np.arange(round(25 * seconds)) / 25
    return [
        loudness + 0.1 * np.sin(2 * np.pi * 4 * t),
        12 + melody * np.sin(2 * np.pi * 0.8 * t),
    ]


def test_an_even_voice_is_as_usual_however_loud() -> None:
    for loudness in (0.4, 0.9):
        lively = liveliness(*spoken(20, loudness=loudness, melody=2))
        assert np.abs(lively).max() < 0.35
        assert abs(lively.mean()) < 0.1


def test_louder_and_more_melodic_than_usual_is_lively_and_less_is_grave() -> None:
    usual = spoken(10, loudness=0.6, melody=2)
    for more, sign in (
        (spoken(4, loudness=0.75, melody=2), 1),
        (spoken(4, loudness=0.6, melody=5), 1),
        (spoken(4, loudness=0.45, melody=2), -1),
        (spoken(4, loudness=0.6, melody=0), -1),
    ):
        lively = liveliness(*np.concatenate([usual, more], axis=1))
        assert (sign * lively[275:]).mean() > 0.2
        assert np.abs(np.diff(lively)).max() < 0.1
        assert np.abs(lively).max() <= 1


def test_a_voice_that_pauses_or_begins_is_as_usual() -> None:
    loud, high = spoken(4, loudness=0.6, melody=2)
    assert np.all(liveliness(loud, high)[:24] == 0)
    assert np.all(liveliness(loud, high, activity=0.0) == 0)
    whispered = liveliness(loud, np.full(len(loud), np.nan))
    assert np.isfinite(whispered).all()
