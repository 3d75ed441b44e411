"""`multitalk doctor`."""


def doctor() -> None:
    """Say what works on this machine."""
