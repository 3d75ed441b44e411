"""`multitalk evaluate`."""


def evaluate() -> None:
    """Judge a video."""
