"""Which engine a name loads."""

import pytest

from multitalk.errors import EngineUnavailable
from multitalk.messages import SENTENCES
from multitalk.registry import choose_engine, load_engine


@pytest.mark.parametrize("name", ["auto", "warp"])
def test_warp_is_what_runs_here(name: str) -> None:
    assert load_engine(name).name == "warp"  # type: ignore[arg-type]
    assert choose_engine() == "warp"


def test_an_engine_that_cannot_run_is_refused_and_not_replaced() -> None:
    with pytest.raises(EngineUnavailable) as caught:
        load_engine("diffusion")
    assert (caught.value.code, caught.value.field) == ("engine_unavailable", "engine")
    assert "leave engine out" in caught.value.text()
    assert set(SENTENCES[caught.value.key]) == {"en", "ko"}
