"""What holds for every test: what this machine keeps for itself stays as it is."""

import os
import tempfile

import hypothesis
import pytest


def pytest_configure(config: pytest.Config) -> None:
    state = tempfile.TemporaryDirectory(prefix="multitalk-state-")
    config.add_cleanup(state.cleanup)
    hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("untimed")
    os.environ["XDG_STATE_HOME"] = state.name  # read when the settings are, by child processes too
