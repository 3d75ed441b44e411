"""Paints what a live session does into the corner of its frames, for benchmarks/live_browser.py.

Python loads a `sitecustomize` on PYTHONPATH at its start. In a session's process this one replaces
two methods of the avatar: a square of 32 pixels is white while the frame's sound contains a click,
the next one while the drawn mouth is open.
"""

import sys

SQUARE = 32  # pixels: two macroblocks of H.264
CLICK = 30_000  # of int16; no voice reaches it, also after Opus
OPEN = 0.005  # of the mouth's opening


def paint_marks() -> None:
    """Replace the avatar's methods."""
    from multitalk.live import avatar  # noqa: PLC0415

    draw, advance = avatar._Head.draw, avatar.Avatar._next

    def marked_draw(head, track, pitch):
        head.is_open = float(track.opening[0] * (1 - track.closure[0])) > OPEN
        return draw(head, track, pitch)

    def marked_next(self, *arguments):
        frame = advance(self, *arguments)
        is_open = getattr(self._head, "is_open", False)
        has_click = bool(abs(frame.pcm.astype(int)).max(initial=0) >= CLICK)
        frame.image.flags.writeable = True  # the server's session does not let others draw on it
        frame.image[:SQUARE, :SQUARE] = 255 * has_click
        frame.image[:SQUARE, SQUARE : 2 * SQUARE] = 255 * is_open
        return frame

    avatar._Head.draw, avatar.Avatar._next = marked_draw, marked_next


if "multitalk.serving.live.session_process" in sys.orig_argv:
    paint_marks()
