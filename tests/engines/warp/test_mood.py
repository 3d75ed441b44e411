import numpy as np
import pytest

from multitalk.engines.warp.mood import COMES, GOES, MOODS, NEUTRAL, STEADY, Course, Mood, course_of


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
        ("A surprised woman", "surprised"),
        ("깜짝 놀란 남자", "surprised"),
        ("he speaks seriously to the camera", "serious"),
        ("진지한 표정으로 말한다", "serious"),
    ],
)
def test_a_named_mood_is_understood(prompt: str, mood: str) -> None:
    assert course_of(prompt) == Course(MOODS[mood], MOODS[mood], MOODS[mood])


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
    assert course_of(prompt) == STEADY


@pytest.mark.parametrize(
    ("prompt", "first", "middle", "last"),
    [
        ("a man talks, smiling at first", "happy", None, None),
        ("At first, a woman smiles", "happy", None, None),
        ("a man talks, angry at the end", None, None, "angry"),
        ("smiling at first, angry at the end", "happy", None, "angry"),
        ("He smiles at first and is sad in the end.", "happy", None, "sad"),
        ("a happy man talks, then gets angry", "happy", "happy", "angry"),
        ("a calm woman is happy and then sad, serious at the beginning", None, None, None),
        ("처음에는 웃다가 끝에는 화를 낸다", "happy", None, "angry"),
        ("차분하게 말하다가 마지막에 놀란다", "calm", "calm", "surprised"),
        ("남자가 처음에 진지하게 말한다", "serious", None, None),
        ("a man is happy at first, a woman is angry at the end", None, None, None),
    ],
)
def test_words_say_when_in_the_talk_a_mood_holds(
    prompt: str, first: str | None, middle: str | None, last: str | None
) -> None:
    moods = [MOODS[name] if name else NEUTRAL for name in (first, middle, last)]
    assert course_of(prompt) == Course(*moods)


def test_a_mood_comes_and_goes_gradually() -> None:
    course = Course(MOODS["happy"], NEUTRAL, MOODS["angry"])
    moods = [course.at(share) for share in np.linspace(0, 1, 1001)]
    assert moods[0] == MOODS["happy"]
    assert course.at(0.5) == NEUTRAL
    assert moods[-1] == MOODS["angry"]
    smiles = np.array([mood.smile for mood in moods])
    assert np.abs(np.diff(smiles)).max() < 0.01
    assert 0 < course.at(sum(GOES) / 2).smile < 0.75
    assert 0 < course.at(sum(COMES) / 2).frown < 0.9


def test_whispering_goes_with_any_mood() -> None:
    alone, angry = course_of("a man whispers").middle, course_of("그는 화난 듯 속삭인다").middle
    assert alone == Mood(liveliness=alone.liveliness, opening=alone.opening)
    assert alone.opening < 0.9
    assert angry.frown == MOODS["angry"].frown
    assert angry.opening == alone.opening
