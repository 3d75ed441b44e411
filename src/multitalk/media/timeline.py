"""Where sound is in time, by its time stamps (pure).

What decodes of a file is laid end to end, but for gaps: a pause that was not stored, or packets
that were lost.
"""

GAP_SECONDS = 0.1  # a smaller step in the time stamps is jitter or encoder delay, not a gap
MAX_GAP_SECONDS = 60.0  # a larger step means that the time stamps restarted, not that it was quiet


class TimeLine:
    """The end of what was laid down so far.

    Attributes:
        seconds: How much that is, gaps included.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._origin: float | None = None  # the time stamp of second 0

    def gap_before(self, stamp: float | None) -> float:
        """Seconds of silence that belong before a piece; where its stamps restart, there are none.

        Args:
            stamp: The piece's time stamp in seconds; None where it has none.
        """
        if stamp is None:
            return 0.0
        gap = 0.0 if self._origin is None else stamp - (self._origin + self.seconds)
        if GAP_SECONDS < gap <= MAX_GAP_SECONDS:
            return gap
        if self._origin is None or abs(gap) > GAP_SECONDS:
            self._origin = stamp - self.seconds
        return 0.0

    def step_before(self, stamp: float | None) -> float:
        """As `gap_before`, and the small steps too: for stamps that are truer than durations."""
        gap = self.gap_before(stamp)
        if gap or stamp is None or self._origin is None:
            return gap
        return stamp - (self._origin + self.seconds)

    def skip(self, seconds: float) -> None:
        """Leave out so much of what is stamped, such as an encoder's delay."""
        if self._origin is not None:
            self._origin += seconds

    def advance(self, seconds: float) -> None:
        """Lay down so much."""
        self.seconds += seconds
