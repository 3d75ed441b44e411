import unicodedata

import numpy as np
import pytest

from multitalk.engines.warp.prompt_cues import (
    COMES,
    GOES,
    MOODS,
    NEUTRAL,
    NEUTRAL_TIMELINE,
    UNSMILING,
    Mood,
    MoodTimeline,
    mood_timeline,
    requests_acting,
)


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
    assert mood_timeline(prompt) == MoodTimeline(MOODS[mood], MOODS[mood], MOODS[mood])


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "two people talk in a car",
        "She is not angry",
        "a man who doesn't laugh",
        "슬프지 않은 사람",
        "an angry man and a happy woman",
        "the Sadler's Wells theatre",
        "그는 비웃는다",
    ],
)
def test_no_mood_a_denied_one_and_several_leave_the_face_as_it_is(prompt: str) -> None:
    assert mood_timeline(prompt) == NEUTRAL_TIMELINE


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
    assert mood_timeline(prompt) == MoodTimeline(*moods)


@pytest.mark.parametrize(
    "prompt",
    [
        "not smiling",
        "he speaks without a smile",
        "A woman talks, she doesn't smile",
        "웃지 않고 말한다",
    ],
)
def test_a_denied_smile_is_taken_back(prompt: str) -> None:
    assert mood_timeline(prompt) == MoodTimeline(UNSMILING, UNSMILING, UNSMILING)
    assert mood_timeline(f"angry, {prompt}").middle == MOODS["angry"]


def test_a_mood_comes_and_goes_gradually() -> None:
    timeline = MoodTimeline(MOODS["happy"], NEUTRAL, MOODS["angry"])
    moods = [timeline.at(share) for share in np.linspace(0, 1, 1001)]
    assert moods[0] == MOODS["happy"]
    assert timeline.at(0.5) == NEUTRAL
    assert moods[-1] == MOODS["angry"]
    smiles = np.array([mood.smile for mood in moods])
    assert np.abs(np.diff(smiles)).max() < 0.01
    assert 0 < timeline.at(sum(GOES) / 2).smile < 0.75
    assert 0 < timeline.at(sum(COMES) / 2).frown < 0.9


def test_whispering_goes_with_any_mood() -> None:
    alone, angry = (
        mood_timeline("a man whispers").middle,
        mood_timeline("그는 화난 듯 속삭인다").middle,
    )
    assert alone == Mood(liveliness=alone.liveliness, opening=alone.opening)
    assert alone.opening < 0.9
    assert angry.frown == MOODS["angry"].frown
    assert angry.opening == alone.opening


PLAIN = """
a man talks
A woman talks.
two friends
people talk
a face
A person is speaking
An astronaut talks to the camera
A robot and a dragon are talking.
two people having a conversation
A young woman speaks to the camera, smiling
a woman is talking with a smile
A happy man talks.
a man speaks calmly
portrait of a man talking
a teacher and a student are talking
The news anchor speaks
A man sings
a talking head
he introduces himself
someone says hello to the camera
a man and a woman talk to each other
A man is talking in English
한 남자가 말한다
한 남자가 말합니다.
여자가 카메라를 보며 이야기합니다
두 사람이 대화하고 있다
두 친구가 이야기를 나눈다
여자가 웃으며 말한다
남자가 미소를 지으며 말합니다
사람이 말하는 모습
차분하게 말하는 여자
행복한 여자가 말합니다
노래하는 가수
아이가 노래를 부른다
남자가 카메라 앞에서 말하고 있습니다
여자가 말하는 영상
a man talks, smiling at first
A woman talks. She gets angry at the end.
a man whispers
a surprised woman is talking
At first he speaks seriously, then he smiles
처음에는 웃다가 끝에는 화를 낸다
남자가 화를 내며 말한다
진지하게 말하는 남자
여자가 속삭이며 말한다
""".strip().splitlines()

DIRECTING = """
The camera zooms in slowly while a man talks
camera pans left
a man waves his hand
A man walks
A man talks while walking
he turns his head
a man looks down
a man nods
a man laughs
A man speaks slowly and raises his eyebrows
on a beach at sunset
A man talks on a beach at sunset
a man talks, raining outside
a woman talks in the rain
An astronaut greets the camera
A woman in a radio studio talks to the camera
cinematic lighting
close-up
a dog runs
a woman reading a book
a man shakes his head
smiles and nods
a man turns at the end
a man smiles at first, a woman is angry at the end
a man talks and laughs at the end
처음에는 걷다가 끝에는 웃는다
a woman wearing a red hat talks
a man who is not angry talks
a sad man and a happy woman talk
남자가 손을 흔든다
여자가 고개를 끄덕이며 말한다
남자가 춤을 추며 노래한다
남자가 눈물을 흘리며 말한다
남자가 일어서서 말한다
울며 말하는 여자
해변에서 말하는 여자
노을 지는 해변에서 여자가 말한다
비 오는 거리에서 두 사람이 대화한다
사무실에서 일하는 사람
카메라가 천천히 다가간다
카메라 줌 인
얼굴을 찡그린다
건물 앞에서 말한다
그는 말을 타고 달린다
una mujer baila
男の人が手を振る
""".strip().splitlines()


@pytest.mark.parametrize("prompt", ["", "  ", "...", *PLAIN])
def test_somebody_who_talks_is_no_direction(prompt: str) -> None:
    assert not requests_acting(prompt)
    assert not requests_acting(unicodedata.normalize("NFD", prompt).upper())


@pytest.mark.parametrize("prompt", DIRECTING)
def test_acting_scene_and_camera_are_directions(prompt: str) -> None:
    assert requests_acting(prompt)
    assert requests_acting(unicodedata.normalize("NFD", prompt).upper())


@pytest.mark.parametrize(
    "direction", ["camera zooms", "waves", "at sunset", "손을 흔든다", "줌 인"]
)
@pytest.mark.parametrize("prompt", ["a man talks", "한 남자가 말한다"])
def test_a_direction_beside_somebody_who_talks_counts(prompt: str, direction: str) -> None:
    assert requests_acting(f"{prompt}, {direction}")
    assert requests_acting(f"{direction}. {prompt}")
