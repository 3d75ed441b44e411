"""Which prompts are answered with the notice that the warp engine does not act them."""

import unicodedata

import pytest

from multitalk.engines.warp.directions import gives_directions

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
    assert not gives_directions(prompt)
    assert not gives_directions(unicodedata.normalize("NFD", prompt).upper())


@pytest.mark.parametrize("prompt", DIRECTING)
def test_acting_scene_and_camera_are_directions(prompt: str) -> None:
    assert gives_directions(prompt)
    assert gives_directions(unicodedata.normalize("NFD", prompt).upper())


@pytest.mark.parametrize(
    "direction", ["camera zooms", "waves", "at sunset", "손을 흔든다", "줌 인"]
)
@pytest.mark.parametrize("prompt", ["a man talks", "한 남자가 말한다"])
def test_a_direction_beside_somebody_who_talks_counts(prompt: str, direction: str) -> None:
    assert gives_directions(f"{prompt}, {direction}")
    assert gives_directions(f"{direction}. {prompt}")
