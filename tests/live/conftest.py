"""An avatar without its costly parts: for tests of time and sound."""

import numpy as np
import pytest
from numpy.typing import NDArray

from multitalk.speech.live_visemes import LiveVisemes
from multitalk.speech.viseme_track import VisemeTrack


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[VisemeTrack]:
    """Tracks of the frames of avatars, which then have no real head and cost next to nothing."""
    tracks: list[VisemeTrack] = []

    class Head:
        picture = np.zeros((2, 2, 3), np.uint8)
        notices = ()

        def __init__(self, portrait: object, **_: object) -> None:
            pass

        def draw(self, track: VisemeTrack, pitch: float) -> NDArray[np.uint8]:
            tracks.append(track)
            return self.picture.copy()

    monkeypatch.setattr("multitalk.live.avatar._Head", Head)
    return tracks


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mouths: for tests of time and sound, which then cost next to nothing."""
    monkeypatch.setattr(
        LiveVisemes,
        "frames_from",
        lambda self, index: VisemeTrack.silent(self._num_frames - index),
    )
