"""Korean is read as Koreans read it: numbers by what they count, letters as they sound."""

import pytest

from multitalk.speech.text.korean_g2p import lengthen, phonetic_spelling
from multitalk.speech.text.korean_numbers import native, sino
from multitalk.speech.text.korean_text import (
    remove_redundant_hanja,
    spoken_korean,
    verbalize_korean,
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("오후 3시 30분, 사과 3개, 12살", "오후 세 시 삼십 분, 사과 세 개, 열두 살"),
        ("20살 21살 99살", "스무 살 스물한 살 아흔아홉 살"),
        ("3번 써봤어요", "세 번 써봤어요"),
        ("3번 출구", "삼 번 출구"),
        ("1번째 2번째", "첫 번째 두 번째"),
        ("고양이 2마리와 책 5권", "고양이 두 마리와 책 다섯 권"),
        ("커피 1잔, 맥주 4병, 종이 10장", "커피 한 잔, 맥주 네 병, 종이 열 장"),
        ("자동차 1대, 20대 여성", "자동차 한 대, 이십 대 여성"),
        ("3시간 24시간", "세 시간 이십사 시간"),
        ("15시 45분", "십오 시 사십오 분"),
        ("5명 100명", "다섯 명 백 명"),
        ("3 개", "세 개"),
        ("6개월, 3개국", "육 개월, 삼 개국"),
        ("2분 30초", "이 분 삼십 초"),
        ("3층 5호 2학년 1반", "삼 층 오 호 이 학년 일 반"),
        ("제3장", "제삼 장"),
        ("버스 7번, 7번 버스", "버스 칠 번, 칠 번 버스"),
        ("10여 명, 20여 개", "십여 명, 이십여 개"),
        ("1학년 2반 3번", "일 학년 이 반 삼 번"),
        ("양말 2켤레 7가지 4곳", "양말 두 켤레 일곱 가지 네 곳"),
    ],
)
def test_what_is_counted_decides_which_numbers_are_used(written: str, said: str) -> None:
    assert verbalize_korean(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("전화는 010-1234-5678", "전화는 공일공 일이삼사 오육칠팔"),
        ("010 1234 5678", "공일공 일이삼사 오육칠팔"),
        ("01012345678", "공일공 일이삼사 오육칠팔"),
        ("02-345-6789", "공이 삼사오 육칠팔구"),
        ("(031) 123-4567", "공삼일 일이삼 사오육칠"),
        ("1588-1234", "일오팔팔 일이삼사"),
        ("+82 10-1234-5678", "플러스 팔이 일공 일이삼사 오육칠팔"),
        ("1234-5678-9012-3456", "일이삼사 오육칠팔 구공일이 삼사오육"),
    ],
)
def test_telephone_numbers_are_read_digit_by_digit(written: str, said: str) -> None:
    assert verbalize_korean(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("10~20명", "십에서 이십 명"),
        ("3~4개", "서너 개"),
        ("9시~18시", "아홉 시에서 십팔 시"),
        ("5~10%", "오에서 십 퍼센트"),
        ("월~금", "월에서 금"),
        ("서울~부산", "서울에서 부산"),
        ("오전 10시 ~ 오후 3시", "오전 열 시부터 오후 세 시"),
        ("30%~50%", "삼십 퍼센트에서 오십 퍼센트"),
        ("10월~12월", "시월에서 십이 월"),
        ("6월~8월", "유월에서 팔 월"),
        ("9:00~18:00", "아홉 시부터 십팔 시"),
        ("10-12월", "십에서 십이 월"),
        ("12월 25일~1월 5일", "십이 월 이십오 일에서 일 월 오 일"),
        ("와~ 좋아요!", "와아 좋아요!"),
        ("와~~~ 네~", "와아아 네에"),
        ("안녕~", "안녀엉"),
    ],
)
def test_a_tilde_is_a_range_or_a_held_sound(written: str, said: str) -> None:
    assert verbalize_korean(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("10%", "십 퍼센트"),
        ("3.5%p", "삼 점 오 퍼센트포인트"),
        ("5°C", "섭씨 오 도"),
        ("-5°C", "영하 오 도"),
        ("36.5도", "삼십육 점 오 도"),
        ("U.S. 대통령", "U.S 대통령"),
        ("J.K. 롤링은 A.I.를", "J.K 롤링은 A.I를"),
        ("U.S.A.는 F.B.I", "USA는 FBI"),
        ("multitalk.ai", "multitalk 점 ai"),
        ("₩10,000", "만 원"),
        ("$3.5", "삼 점 오 달러"),
        ("3만 원", "삼만 원"),
        ("1만5천원", "만오천원"),
        ("1,234,567원", "백이십삼만 사천오백육십칠 원"),
        ("50kg 60km/h 30m²", "오십 킬로그램 시속 육십 킬로미터 삼십 제곱미터"),
        ("½", "이분의 일"),
        ("16:9", "십육 대 구"),
        ("오후 3:30", "오후 세 시 삼십 분"),
        ("2024-05-03", "이천이십사 년 오 월 삼 일"),
        ("2024. 10. 3.", "이천이십사 년 시월 삼 일"),
        ("6월 10월", "유월 시월"),
        ("2 + 3 = 5", "이 더하기 삼은 오"),
        ("007", "공공칠"),
        ("6·25 전쟁, 3·1절, 8.15 광복절", "육이오 전쟁, 삼일절, 팔일오 광복절"),
        ("비밀번호 1234", "비밀번호 일이삼사"),
        ("05/03", "오 월 삼 일"),
        ("3-0 승", "삼 대 영 승"),
        ("1/4분기", "일사분기"),
        ("1.5배", "일 점 오 배"),
        ("-5", "마이너스 오"),
        ("0.07", "영 점 영칠"),
        ("MP3 5G B2B", "MP three five G B two B"),
        ("a@naver.com", "a 골뱅이 naver 닷 com"),
    ],
)
def test_signs_and_units_are_korean_words(written: str, said: str) -> None:
    assert verbalize_korean(written) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "영"), (10, "십"), (11, "십일"), (100, "백"), (110, "백십"), (1000, "천"), (10_000,
        "만"),
        (11_000, "만 천"), (20_000, "이만"), (12_345, "만 이천삼백사십오"), (10**8, "일억"),
        (10**12, "일조"), (10**16 + 1, "일경 일"),
    ],
)  # fmt: skip
def test_whole_numbers_go_by_ten_thousands(number: int, said: str) -> None:
    assert sino(number) == said


def test_native_numbers_are_all_different_and_of_two_parts() -> None:
    said = [native(number) for number in range(1, 100)]
    assert len(set(said)) == 99
    assert said[:4] == ["한", "두", "세", "네"]
    assert (said[19], said[20], said[98]) == ("스무", "스물한", "아흔아홉")


def test_no_digit_is_left() -> None:
    text = "1 22 333 4,444 5.5 6/7 8:9 10-11 12~13 0 00 9999999999999999999999999 1.2.3 A1 2B"
    assert not any(letter.isdigit() for letter in verbalize_korean(text))


# Examples of the Standard Pronunciation (표준 발음법), rules 5 to 29.
SOUNDS = """
합니다 함니다, 먹는 멍는, 국물 궁물, 닫는 단는, 독립 동닙, 신라 실라
음악 으막, 좋아요 조아요, 한국어 한구거, 같이 가치, 굳이 구지, 값이 갑씨
읽다 익따, 읽고 일꼬, 밟다 밥따, 넓다 널따, 않다 안타, 좋다 조타
입학 이팍, 못하다 모타다, 꽃잎 꼰닙, 서울역 서울력, 있습니다 읻씀니다, 없어요 업써요
많이 마니, 싫어 시러, 앉아 안자, 닭이 달기, 희망 히망, 무늬 무니
갑니다 감니다, 협력 혐녁, 대통령 대통녕, 칼날 칼랄, 옷맵시 온맵씨, 놓는 논는
쌓네 싼네, 닫히다 다치다, 맏형 마텽, 밭이랑 바치랑, 법률을 범뉴를, 십육 심뉵
열여덟 열려덜, 앓네 알레, 뚫는 뚤른, 핥이다 할치다, 묻히다 무치다, 강릉 강능
막론 망논, 난로 날로, 값있는 갑씬는, 맑게 말께, 넋이 넉씨, 젊어 절머
붙이다 부치다, 가져 가저, 낳은 나은, 닿소 다쏘, 앉히다 안치다, 넓히다 널피다
꽂히다 꼬치다, 밟히다 발피다, 국화 구콰, 앞마당 암마당, 밥물 밤물, 흙만 흥만
없는 엄는, 삶 삼, 여덟 여덜, 부엌 부억, 묻혀 무처
"""


@pytest.mark.parametrize("pair", SOUNDS.strip().replace("\n", ", ").split(", "))
def test_words_are_spelt_as_they_sound(pair: str) -> None:
    written, said = pair.split(" ")
    assert phonetic_spelling(written) == said


def test_what_is_no_hangul_stays() -> None:
    assert phonetic_spelling("OpenAI의 ChatGPT, 123!") == "OpenAI의 ChatGPT, 123!"


def test_every_syllable_can_be_held() -> None:
    held = [lengthen(chr(code)) for code in range(0xAC00, 0xD7A4)]
    assert all(len(syllables) == 2 for syllables in held)
    assert lengthen("와") == "와아"


def test_reading_aloud_does_both() -> None:
    assert spoken_korean("저는 16살입니다.") == "저는 열려섣 사림니다."


def test_hanja_that_repeat_hangul_are_left_out() -> None:
    assert remove_redundant_hanja("대한민국(大韓民國)은") == "대한민국은"
    assert remove_redundant_hanja("大韓民國(대한민국)은") == "대한민국은"
    assert remove_redundant_hanja("美 대통령") == "미 대통령"
