import pytest

from multitalk.engines.warp.mood import MOODS, NEUTRAL, mood_of


@pytest.mark.parametrize(
    ("prompt", "mood"),
    [
        ("A woman smiles at the camera.", "happy"),
        ("A Happy man, laughing", "happy"),
        ("환하게 웃는 여자가 말한다", "happy"),
        ("그는 기쁜 마음으로 미소를 지으며 이야기한다", "happy"),
        ("an unhappy clerk speaks sadly", "sad"),
        ("슬픈 표정의 남자", "sad"),
        ("눈물을 흘리며 말하는 사람", "sad"),
        ("she answers angrily", "angry"),
        ("몹시 화가 난 상사", "angry"),
        ("a calm, relaxed newsreader", "calm"),
        ("차분하게 설명하는 선생님", "calm"),
        ("She is not angry; she smiles.", "happy"),
        ("화내지 않고 차분하게 말한다", "calm"),
    ],
)
def test_a_named_mood_is_understood(prompt: str, mood: str) -> None:
    assert mood_of(prompt) == MOODS[mood]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "two people talk in a car",
        "She is not angry",
        "he speaks without a smile",
        "a man who doesn't smile",
        "슬프지 않은 사람",
        "an angry man and a happy woman",
        "the Sadler's Wells theatre",
        "그는 비웃는다",
    ],
)
def test_no_mood_a_denied_one_and_several_leave_the_face_as_it_is(prompt: str) -> None:
    assert mood_of(prompt) == NEUTRAL
