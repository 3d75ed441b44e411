"""Signs and ranges are words of the language, where its voice would not read them so."""

import pytest

pytest.importorskip("espeakng_loader", reason="the extra `speech` is needed")

from multitalk.messages import sentence
from multitalk.speech.espeak import inventory, run_espeak
from multitalk.speech.synthesis import synthesize
from multitalk.speech.text.front_end import verbalize_signs


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("en-us", "10~20 people", "10 to 20 people"),
        ("en-us", "10–20 and 2010-2015", "10 to 20 and 2010 to 2015"),
        ("en-us", "555-1234, 1-800-555, 2024-05-03", "555-1234, 1-800-555, 2024-05-03"),
        ("en-us", "No ~ tilde", "No tilde"),
        ("en-us", "3pm–5pm", "3pm to 5pm"),
        ("en-us", "In 2010 – 5 came", "In 2010 – 5 came"),
        ("en-gb", "x² at 5°C", "x squared at 5 degrees Celsius"),
        ("de", "10~20", "10 bis 20"),
        ("ru", "№5, 10~15", "номер 5, 10 до 15"),
        ("cmn", "5%", "百分之5"),
        ("cmn", "2024年，13812345678", "二零二四年，一三八一二三四五六七八"),
        ("cmn", "$5，25°C", "5美元，25摄氏度"),
        ("cy", "10~20", "10 - 20"),
    ],
)
def test_signs_are_words(language: str, written: str, said: str) -> None:
    assert verbalize_signs(written, language) == said


@pytest.mark.parametrize("language", ["cmn", "th", "ru", "ar", "hi", "he", "fa", "vi", "uk"])
def test_a_percentage_is_said_in_the_language_itself(language: str) -> None:
    """In each, the sign has a sound of its own, and none of it is English."""
    names = inventory()["languages"]
    spoken = []
    for text in ("5%", "5"):
        answer, _ = run_espeak(
            {
                "pieces": [
                    {
                        "text": verbalize_signs(text, language),
                        "voice": names[language],
                        "pitch": 50,
                        "pitch_range": 50,
                    }
                ],
                "words_per_minute": 300,
                "max_seconds": 60,
            },
            60,
        )
        spoken.append([ipa for _, ipa in answer["pieces"][0]["phonemes"]])
    assert "(en)" not in spoken[0]
    assert len(spoken[0]) > len(spoken[1])


def test_a_sign_that_is_named_in_english_is_told() -> None:
    (notice,) = synthesize("5 @ 5", language="cy").notices
    assert notice.key == "letters_named"
    assert notice.parameters == {"language": "Welsh", "letters": "@"}
    assert sentence(notice.key, "en", **notice.parameters).startswith("the voice of Welsh")
    assert sentence(notice.key, "ko", **notice.parameters).startswith("웨일스어 음성이")
