import pytest

from multitalk.engines.warp.text_cues import OF_SAD_TEXT, text_mood


@pytest.mark.parametrize(
    "text",
    [
        "Our grandmother died last night.",
        "I am sorry for your loss. The funeral is on Friday.",
        "I miss you. I have been so lonely since you left.",
        "어젯밤 할머니가 돌아가셨습니다.",
        "너무 슬퍼서 눈물이 납니다.",
    ],
)
def test_a_sad_text_is_understood(text: str) -> None:
    assert text_mood(text) == OF_SAD_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, and welcome to our show.",
        "Sorry, the lift is on the left.",
        "Do not be sad.",
        "I was sad, but now I am so happy and glad to see you.",
        "안녕하세요. 만나서 반갑습니다.",
        "슬프지 않아요.",
        "He died in 1812. " + "The house was built, sold and built again by his sons. " * 20,
    ],
)
def test_other_texts_leave_the_face_as_it_is(text: str) -> None:
    assert text_mood(text) is None
