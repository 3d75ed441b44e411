"""How long texts last, found out without speaking all of them."""

import numpy as np
import pytest

from multitalk.errors import InvalidRequest
from multitalk.schema import SpokenText
from multitalk.serving.sandbox.speech_tasks import (
    SPOKEN_CHARACTERS,
    SPOKEN_TEXTS,
    lengths_of,
    letters_of,
)
from multitalk.speech.narration import AFTER_SECONDS, BEFORE_SECONDS, narrate
from multitalk.speech.synthesis import SynthesizedSpeech

ENGLISH = (
    "Good morning, everyone! Last quarter we shipped 3 new features, fixed 214 bugs and grew by "
    "12.5 %. The new office opens on March 3rd, 2026. Why so early? Because the train leaves at "
    "seven. We met a lot of customers, and nearly all of them asked for the same thing. "
)
KOREAN = (
    "안녕하세요, 여러분! 지난 분기에는 새 기능 3개를 출시했고, 매출이 12.5% 늘었습니다. 왜 이렇게 "
    "일찍이냐고요? 기차가 일곱 시에 출발하기 때문입니다. AI 모델도 준비되어 있어요. "
)


class Synthesizer:
    """Speaks a letter in 0.1 s, and counts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts, *, field, for_face=True) -> SynthesizedSpeech:
        self.texts += [text.text for text in texts]
        if "?!" in texts[0].text:
            raise InvalidRequest("text_unspeakable", field=f"{field}.text")
        seconds = 0.1 * sum(letters_of(text.text) / text.speed for text in texts)
        return SynthesizedSpeech(np.zeros(round(1000 * seconds), np.float32), 1000, ())


def texts(*said: str, **more) -> list[SpokenText]:
    return [SpokenText(text=text, **more) for text in said]


def test_a_long_text_is_estimated_within_a_tenth_also_where_its_end_is_in_another_language():
    pytest.importorskip("espeakng_loader")
    said = texts(ENGLISH * 7 + KOREAN * 4)
    spoken = narrate(said, field="a")
    found = lengths_of({"a": said})["a"]
    assert not found.is_exact
    assert found.notices[0].key == "duration_sampled"
    assert found.seconds == pytest.approx(len(spoken.samples) / spoken.sample_rate, rel=0.1)


def test_what_is_short_is_spoken_as_a_whole():
    pytest.importorskip("espeakng_loader")
    said = texts("Hello.", "How are you?")
    spoken = narrate(said, field="a")
    found = lengths_of({"a": said})["a"]
    assert (found.is_exact, found.notices) == (True, ())
    assert found.seconds == len(spoken.samples) / spoken.sample_rate


def test_the_largest_request_costs_no_more_than_its_sample():
    speak = Synthesizer()
    speakers = {f"s{number}": texts(*["word " * 1000] * 32) for number in range(8)}
    found = lengths_of(speakers, speak=speak)
    assert len(speak.texts) <= SPOKEN_TEXTS
    assert sum(map(len, speak.texts)) <= SPOKEN_CHARACTERS
    pauses = 31 * 0.4 + BEFORE_SECONDS + AFTER_SECONDS
    for length in found.values():
        assert length.seconds == pytest.approx(32 * 4000 * 0.1 + pauses, rel=0.001)


def test_a_speed_counts_for_what_is_not_spoken_as_well():
    slow, fast = (
        lengths_of({"a": texts("word " * 900, speed=speed)}, speak=Synthesizer())["a"].seconds
        for speed in (0.5, 2.0)
    )
    silence = BEFORE_SECONDS + AFTER_SECONDS
    assert (slow - silence) / (fast - silence) == pytest.approx(4.0, rel=0.001)


def test_the_field_of_a_text_that_cannot_be_spoken_is_named_unless_it_need_not_be_known():
    said = {"a": texts("word " * 900), "b": texts("?!", "more")}
    with pytest.raises(InvalidRequest) as refused:
        lengths_of(said, speak=Synthesizer())
    assert refused.value.field == "b.0.text"
    found = lengths_of(said, speak=Synthesizer(), may_fail=["b"])
    assert found["b"].seconds is None
    assert found["a"].seconds > 1


def test_a_beginning_that_says_nothing_is_no_error_of_the_whole_text():
    said = texts("?!" * 1500 + " and then words")
    assert lengths_of({"a": said}, speak=Synthesizer())["a"].seconds > 0
