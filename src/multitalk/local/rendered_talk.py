"""The result of a talk that was rendered on this machine; a notebook shows it as a player."""

import base64
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from multitalk.job import FinishedTalk
from multitalk.schema import TalkResult

MAX_INLINE_BYTES = 16 * 2**20  # of a video inside a notebook; it grows by a third there


class RenderedTalk(TalkResult):
    """The record of a talk whose video is a file of the caller's."""

    @classmethod
    def of(cls, talk: FinishedTalk) -> "RenderedTalk":
        """The record of a finished talk."""
        return cls.model_validate(dict(talk.result()))

    @property
    def path(self) -> Path:
        """The mp4."""
        return Path(str(self.video_path))

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        """A player for Jupyter and its like: of a small video with the video in it.

        A larger one is played from its file, if that is under the notebook's directory.
        """
        bundle = {"text/plain": repr(self)}
        source = self._video_source()
        if source is not None:
            bundle["text/html"] = self._player(source)
        wanted = set(bundle if include is None else include) - set(exclude or ())
        return {kind: text for kind, text in bundle.items() if kind in wanted}

    def _video_source(self) -> str | None:
        """The `src` of the player, or None where it would play nothing."""
        try:
            size = self.path.stat().st_size
            if size <= MAX_INLINE_BYTES:
                encoded = base64.b64encode(self.path.read_bytes()).decode("ascii")
                return f"data:video/mp4;base64,{encoded}"
        except OSError:
            return None
        relative = os.path.relpath(self.path)
        return None if relative.startswith(os.pardir) else quote(Path(relative).as_posix())

    def _player(self, source: str) -> str:
        notes = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return (
            f'<video controls playsinline width="{self.width}" height="{self.height}" '
            f'style="max-width: 100%; height: auto" src="{escape(source)}"></video>'
            f"<div><code>{escape(str(self.path))}</code></div>"
            + (f"<ul>{notes}</ul>" if notes else "")
        )
