"""Every sentence a caller may read, in English and in Korean.

A sentence names the value, the limit and the way out. Placeholders are `str.format` fields; both
languages of a sentence use the same ones (a test checks it). Nothing here may carry a traceback,
a local path, base64 or a signed query: the parameters are chosen where the sentence is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Locale = Literal["en", "ko"]


class Translated(str):
    """A parameter that is a word of its own in Korean; as a string, the English one."""

    __slots__ = ("korean",)
    korean: str

    def __new__(cls, english: str, korean: str) -> "Translated":
        """Both words of one thing."""
        word = super().__new__(cls, english)
        word.korean = korean
        return word


@dataclass(frozen=True)
class Notice:
    """Something the caller should know about a result that is a success all the same.

    Attributes:
        key: Name of the sentence in `messages.SENTENCES`.
        parameters: What fills its placeholders.
    """

    key: str
    parameters: Mapping[str, object]


SENTENCES: dict[str, dict[Locale, str]] = {
    "missing_required": {
        "en": "Required input is missing: {missing}. A request needs prompt, image_path and "
        "audio_paths.",
        "ko": "필수 입력값(prompt, image_path, audio_paths)이 누락되었습니다.",
    },
    # The command line --------------------------------------------------------------------------
    "note": {"en": "note: {text}", "ko": "알림: {text}"},
    "options_missing": {
        "en": "missing: {missing}; multitalk render --help shows examples",
        "ko": "필수 옵션이 누락되었습니다: {missing}. 예시는 multitalk render --help에 있습니다.",
    },
    # Python ------------------------------------------------------------------------------------
    "arguments_missing": {
        "en": "missing: {missing}",
        "ko": "필수 인수가 누락되었습니다: {missing}",
    },
    "output_missing": {
        "en": "name the mp4 to write, such as output='talk.mp4'",
        "ko": "만들 mp4의 이름을 지정해 주세요. 예: output='talk.mp4'",
    },
    "studio_closed": {
        "en": "this Studio is closed and cannot render; make a new one, or close it later",
        "ko": "이 Studio는 닫혀서 더는 영상을 만들 수 없습니다. 새로 만들거나 나중에 닫아 주세요.",
    },
    "picture_of_unknown_kind": {
        "en": "{kind} is not a picture; pass a path, a URL, bytes, a file opened with 'rb', a PIL "
        "picture or an array uint8 [H, W, 3]",
        "ko": "{kind}은(는) 이미지가 아닙니다. 경로, URL, bytes, 'rb'로 연 파일, PIL 이미지, uint8 "
        "배열 [H, W, 3] 중 하나를 넘겨 주세요.",
    },
    "pixels_of_type": {
        "en": "an array of {dtype}; pixels must be uint8 from 0 to 255; if they are 0 to 1, pass "
        "(array * 255).astype('uint8')",
        "ko": "{dtype} 배열입니다. 픽셀은 0에서 255까지의 uint8이어야 합니다. 값이 0에서 1이라면 "
        "(array * 255).astype('uint8')로 바꿔 주세요.",
    },
    "pixels_of_shape": {
        "en": "an array of shape {shape}; pixels are [H, W, 3] RGB, [H, W, 4] RGBA or [H, W] grey, "
        "and neither H nor W is 0",
        "ko": "배열의 모양이 {shape}입니다. 픽셀은 [H, W, 3] RGB, [H, W, 4] RGBA 또는 [H, W] "
        "흑백이어야 하고 H와 W는 0이 아니어야 합니다.",
    },
    "sound_of_unknown_kind": {
        "en": "{kind} is not a voice; pass a path, a URL, bytes, a file opened with 'rb', "
        "(samples, rate) or {{'text': ...}}",
        "ko": "{kind}은(는) 음성이 아닙니다. 경로, URL, bytes, 'rb'로 연 파일, (samples, rate), "
        "{{'text': ...}} 중 하나를 넘겨 주세요.",
    },
    "samples_without_rate": {
        "en": "samples without their rate; pass (samples, rate), such as (samples, 24000)",
        "ko": "샘플링 주파수가 없습니다. (samples, 24000)처럼 (samples, rate)로 넘겨 주세요.",
    },
    "samples_of_type": {
        "en": "samples of {dtype}; they are float32 or float64 in [-1, 1], int16 or int32",
        "ko": "샘플의 형식이 {dtype}입니다. [-1, 1] 범위의 float32나 float64, 또는 int16이나 "
        "int32여야 합니다.",
    },
    "samples_of_shape": {
        "en": "samples of shape {shape}; they are [S], or [S, channels] with {limit} channels at "
        "most, and S is not 0 (samples.T, if the channels come first)",
        "ko": "샘플의 모양이 {shape}입니다. [S] 또는 채널이 {limit}개 이하인 [S, channels]여야 "
        "하고 S는 0이 아니어야 합니다. 채널이 먼저라면 samples.T로 바꿔 주세요.",
    },
    "samples_not_finite": {
        "en": "{count} samples are NaN or infinite; put numbers in their place",
        "ko": "NaN이거나 무한대인 샘플이 {count}개 있습니다. 숫자로 바꿔 주세요.",
    },
    "samples_too_large": {
        "en": "float samples that reach {peak:g}; they must be in [-1, 1] (if they were int16: "
        "samples / 32768)",
        "ko": "실수 샘플의 최댓값이 {peak:g}입니다. [-1, 1] 범위여야 합니다. int16이었다면 "
        "32768로 나눠 주세요.",
    },
    "samples_at_rate": {
        "en": "a rate of {rate}; it must be a whole number of samples a second, {low} to {high}",
        "ko": "샘플링 주파수가 {rate}입니다. {low}에서 {high}까지의 정수(Hz)여야 합니다.",
    },
    "file_is_text": {
        "en": "a file opened as text; open it with 'rb'",
        "ko": "텍스트로 연 파일입니다. 'rb'로 열어 주세요.",
    },
    "file_at_its_end": {
        "en": "nothing is left to read in this file; it is empty, or needs seek(0)",
        "ko": "이 파일에는 읽을 것이 없습니다. 비어 있거나 seek(0)이 필요합니다.",
    },
    "file_unreadable": {
        "en": "this file cannot be read ({reason})",
        "ko": "이 파일을 읽을 수 없습니다 ({reason}).",
    },
    # Requests ----------------------------------------------------------------------------------
    "input_not_an_object": {
        "en": "the input must be an object with prompt, image_path and audio_paths; got {value}",
        "ko": "입력은 prompt, image_path, audio_paths를 담은 객체여야 합니다. 받은 값: {value}",
    },
    "body_not_an_object": {
        "en": "the body must be a JSON object; got {value}",
        "ko": "본문은 JSON 객체여야 합니다. 받은 값: {value}",
    },
    "json_broken": {
        "en": "not JSON that can be read ({reason})",
        "ko": "읽을 수 있는 JSON이 아닙니다 ({reason}).",
    },
    "too_many_values": {
        "en": "more than {limit} values, which no job needs; send fewer, and files as /uploads or "
        "data URIs",
        "ko": "값이 {limit}개를 넘습니다. 그렇게 많은 값이 필요한 작업은 없습니다. 값을 줄이고, "
        "파일은 /uploads나 data URI로 보내 주세요.",
    },
    "nested_too_deeply": {
        "en": "nested too deeply; objects and lists may be {limit} deep",
        "ko": "너무 깊이 중첩되었습니다. 객체와 목록은 {limit}단계까지 중첩할 수 있습니다.",
    },
    "too_many_names": {
        "en": "{count} fields in one object; {limit} are the most",
        "ko": "한 객체에 필드가 {count}개 있습니다. {limit}개까지 쓸 수 있습니다.",
    },
    "name_too_long": {
        "en": "{name} is a name of {length} characters; {limit} are the most",
        "ko": "{name}은(는) {length}자 이름입니다. 이름은 {limit}자까지 쓸 수 있습니다.",
    },
    "number_too_long": {
        "en": "a number of more than {limit} characters; write it shorter",
        "ko": "숫자가 {limit}자를 넘습니다. 더 짧게 써 주세요.",
    },
    "json_key_twice": {
        "en": "{name} is given twice in one object; keep one of them",
        "ko": "한 객체에 {name}이(가) 두 번 들어 있습니다. 하나만 남겨 주세요.",
    },
    "unknown_field": {
        "en": "not a field; the fields are {known}",
        "ko": "없는 필드입니다. 쓸 수 있는 필드: {known}",
    },
    "unknown_field_near": {
        "en": "not a field; did you mean {near}?",
        "ko": "없는 필드입니다. 혹시 {near}인가요?",
    },
    "field_missing": {"en": "missing; it must be given here", "ko": "빠졌습니다. 꼭 필요합니다."},
    "expected_text": {
        "en": "must be text; got {value}",
        "ko": "문자열이어야 합니다. 받은 값: {value}",
    },
    "expected_number": {
        "en": "must be a number; got {value}",
        "ko": "숫자여야 합니다. 받은 값: {value}",
    },
    "expected_integer": {
        "en": "must be a whole number; got {value}",
        "ko": "정수여야 합니다. 받은 값: {value}",
    },
    "expected_finite": {
        "en": "must be a finite number; got {value}",
        "ko": "유한한 숫자여야 합니다. 받은 값: {value}",
    },
    "expected_object": {
        "en": "must be an object {{name: value}}; got {value}",
        "ko": "{{이름: 값}} 꼴의 객체여야 합니다. 받은 값: {value}",
    },
    "expected_box": {
        "en": "must be four numbers [x_min, y_min, x_max, y_max]; got {value}",
        "ko": "네 숫자 [x_min, y_min, x_max, y_max]여야 합니다. 받은 값: {value}",
    },
    "expected_one_of": {
        "en": "{value} is not a choice; choose one of {choices}",
        "ko": "{value}은(는) 고를 수 없습니다. 다음 중에서 골라 주세요: {choices}",
    },
    "expected_one_of_near": {
        "en": "{value} is not a choice; choose one of {choices}; did you mean {near}?",
        "ko": "{value}은(는) 고를 수 없습니다. 다음 중에서 골라 주세요: {choices}. "
        "혹시 {near}인가요?",
    },
    "too_low": {
        "en": "{value} is too low; the limit is {limit}",
        "ko": "{value}은(는) 너무 작습니다. 한계는 {limit}입니다.",
    },
    "too_high": {
        "en": "{value} is too high; the limit is {limit}",
        "ko": "{value}은(는) 너무 큽니다. 한계는 {limit}입니다.",
    },
    "text_blank": {
        "en": "must not be blank; write it or leave it out",
        "ko": "비어 있습니다. 내용을 쓰거나 필드를 빼 주세요.",
    },
    "text_unspeakable": {
        "en": "nothing in this text can be spoken; write words or numbers",
        "ko": "이 텍스트에는 말할 수 있는 것이 없습니다. 단어나 숫자를 써 주세요.",
    },
    "text_unspeakable_here": {
        "en": "this text cannot be spoken: the synthesizer fails on it. Change it: leave out long "
        "rows of single letters, signs or numbers, or write it in sentences",
        "ko": "이 텍스트는 말할 수 없습니다. 음성 합성기가 이 텍스트에서 실패합니다. 낱글자, 기호, "
        "숫자가 길게 이어진 부분을 빼거나 문장으로 고쳐 써 주세요.",
    },
    "text_broken": {
        "en": "contains characters that are not text (NUL or half of a surrogate pair)",
        "ko": "텍스트가 아닌 문자(NUL 또는 깨진 서로게이트)가 들어 있습니다.",
    },
    "text_too_long": {
        "en": "{length} characters; the limit is {limit}",
        "ko": "{length}자입니다. 한계는 {limit}자입니다.",
    },
    "language_unspoken": {
        "en": "no voice speaks {value}; near it are {near}",
        "ko": "{value} 언어를 말하는 음성이 없습니다. 비슷한 것은 {near}입니다.",
    },
    "japanese_unread": {
        "en": "this worker reads Japanese in kana only; write the text in kana, or have its "
        "operator install the extra japanese: {install}",
        "ko": "이 워커는 가나로 쓴 일본어만 읽습니다. 가나로 써 주세요. 운영자가 japanese "
        "extra를 설치해도 됩니다: {install}",
    },
    "script_unread": {
        "en": "no voice reads {script} letters; write the text in others, or send a recording",
        "ko": "{script} 문자를 읽을 수 있는 음성이 없습니다. 다른 문자로 쓰거나 녹음을 "
        "보내 주세요.",
    },
    "voice_unknown": {
        "en": "there is no voice {value}; near it are {near}; female and male are voices, too",
        "ko": "{value} 음성은 없습니다. 비슷한 것은 {near}이며, female과 male도 쓸 수 있습니다.",
    },
    "pitch_out_of_reach": {
        "en": "the voice was moved by {reached:+.1f} semitones, not by {asked:+g}: it reaches no "
        "further; another voice may",
        "ko": "음성의 높이를 {asked:+g}반음이 아니라 {reached:+.1f}반음만 옮겼습니다. 이 "
        "음성으로는 더 옮길 수 없으니 다른 음성을 써 보세요.",
    },
    "voice_nameless": {
        "en": "{prefix} is followed by the name of a voice of the speech service; multitalk voices "
        "lists them",
        "ko": "{prefix} 뒤에는 음성 서비스의 음성 이름이 와야 합니다. multitalk voices로 목록을 "
        "볼 수 있습니다.",
    },
    "pitch_not_taken": {
        "en": "{name} is a voice of a speech service, which takes no pitch; leave pitch out, or "
        "take another voice",
        "ko": "{name}은(는) 음성 서비스의 음성이라 높낮이를 바꿀 수 없습니다. pitch를 빼거나 "
        "다른 음성을 써 주세요.",
    },
    "speech_service_missing": {
        "en": "{name} needs a speech service, and this worker has none: its operator sets "
        "MULTITALK_SPEECH_URL; female and male work without one",
        "ko": "{name} 음성에는 음성 서비스가 필요하지만 이 워커에는 없습니다. 운영자가 "
        "MULTITALK_SPEECH_URL을 설정해야 합니다. female과 male은 그대로 쓸 수 있습니다.",
    },
    "speech_service_key_refused": {
        "en": "the speech service refuses this worker's key (HTTP {status}); its operator checks "
        "MULTITALK_SPEECH_KEY and what the account may spend",
        "ko": "음성 서비스가 이 워커의 키를 거부했습니다(HTTP {status}). 운영자가 "
        "MULTITALK_SPEECH_KEY와 계정의 한도를 확인해야 합니다.",
    },
    "speech_service_redirects": {
        "en": "the speech service sends to another address (HTTP {status}), where the key must not "
        "go; the operator sets the last address in MULTITALK_SPEECH_URL",
        "ko": "음성 서비스가 다른 주소로 보냅니다(HTTP {status}). 키가 함께 갈 수 있어 따라가지 "
        "않습니다. 운영자가 MULTITALK_SPEECH_URL에 최종 주소를 적어야 합니다.",
    },
    "speech_service_busy": {
        "en": "the speech service takes no more requests now (HTTP {status}); try again later",
        "ko": "음성 서비스가 지금은 요청을 더 받지 않습니다(HTTP {status}). 나중에 다시 시도해 "
        "주세요.",
    },
    "speech_service_busy_until": {
        "en": "the speech service takes no more requests now (HTTP {status}); try again in "
        "{seconds:.0f} s",
        "ko": "음성 서비스가 지금은 요청을 더 받지 않습니다(HTTP {status}). {seconds:.0f}초 뒤에 "
        "다시 시도해 주세요.",
    },
    "speech_service_failed": {
        "en": "the speech service failed (HTTP {status}); try again, or take another voice",
        "ko": "음성 서비스에서 오류가 났습니다(HTTP {status}). 다시 시도하거나 다른 음성을 써 "
        "주세요.",
    },
    "speech_service_not_found": {
        "en": "the speech service has no voice {name}, or is not at its address (HTTP {status}: "
        "{reason}); multitalk voices lists its voices, the operator checks MULTITALK_SPEECH_URL",
        "ko": "음성 서비스에 {name} 음성이 없거나 주소가 틀렸습니다(HTTP {status}: {reason}). "
        "multitalk voices로 음성 목록을 볼 수 있으며, 운영자는 MULTITALK_SPEECH_URL을 확인해야 "
        "합니다.",
    },
    "speech_service_refuses": {
        "en": "the speech service refuses this text or the voice {name} (HTTP {status}: {reason}); "
        "take another voice or a shorter text, or the operator checks MULTITALK_SPEECH_MODEL",
        "ko": "음성 서비스가 이 텍스트나 {name} 음성을 거부했습니다(HTTP {status}: {reason}). "
        "다른 음성이나 더 짧은 텍스트를 쓰거나, 운영자가 MULTITALK_SPEECH_MODEL을 확인해야 합니다.",
    },
    "speech_service_slow": {
        "en": "the speech service took longer than {limit:g} s; send a shorter text, or the "
        "operator raises MULTITALK_SPEECH_SECONDS",
        "ko": "음성 서비스가 {limit:g}초보다 오래 걸렸습니다. 더 짧은 텍스트를 보내거나, 운영자가 "
        "MULTITALK_SPEECH_SECONDS를 늘려야 합니다.",
    },
    "speech_service_certificate": {
        "en": "the speech service cannot prove its name (its certificate is not valid); the "
        "operator checks MULTITALK_SPEECH_URL",
        "ko": "음성 서비스의 인증서가 올바르지 않습니다. 운영자가 MULTITALK_SPEECH_URL을 확인해야 "
        "합니다.",
    },
    "speech_service_unreachable": {
        "en": "the speech service cannot be reached; try again, or the operator checks "
        "MULTITALK_SPEECH_URL and that the service runs",
        "ko": "음성 서비스에 연결할 수 없습니다. 다시 시도하거나, 운영자가 MULTITALK_SPEECH_URL과 "
        "서비스가 실행 중인지 확인해야 합니다.",
    },
    "speech_service_cut": {
        "en": "the speech service broke off before its sound was whole; try again",
        "ko": "음성 서비스가 소리를 다 보내기 전에 끊겼습니다. 다시 시도해 주세요.",
    },
    "speech_service_page": {
        "en": "the speech service answered with a web page, not with sound; the operator checks "
        "MULTITALK_SPEECH_URL: it ends before /v1/audio/speech",
        "ko": "음성 서비스가 소리가 아니라 웹 페이지를 보냈습니다. 운영자가 "
        "MULTITALK_SPEECH_URL을 확인해야 합니다. /v1/audio/speech 앞까지만 적습니다.",
    },
    "speech_service_not_sound": {
        "en": "the speech service answered with what is not a sound file; the operator checks "
        "MULTITALK_SPEECH_URL: it ends before /v1/audio/speech",
        "ko": "음성 서비스가 소리 파일이 아닌 것을 보냈습니다. 운영자가 MULTITALK_SPEECH_URL을 "
        "확인해야 합니다. /v1/audio/speech 앞까지만 적습니다.",
    },
    "speech_service_damaged": {
        "en": "the speech service answered with sound that cannot be decoded; try again, or take "
        "another voice",
        "ko": "음성 서비스가 보낸 소리를 해독할 수 없습니다. 다시 시도하거나 다른 음성을 써 "
        "주세요.",
    },
    "speech_service_too_much": {
        "en": "the speech service's sound is larger than {limit:g} MB; send a shorter text",
        "ko": "음성 서비스가 보낸 소리가 {limit:g}MB보다 큽니다. 더 짧은 텍스트를 보내 주세요.",
    },
    "synthesis_slow": {
        "en": "speaking the text took longer than {limit:g} s; send a shorter one",
        "ko": "텍스트를 말하는 데 {limit:g}초보다 오래 걸렸습니다. 더 짧은 텍스트를 보내 주세요.",
    },
    "speaker_name_refused": {
        "en": "a speaker's name must be printable, without spaces at its ends, such as person1",
        "ko": "화자 이름은 앞뒤 공백 없이 눈에 보이는 문자여야 합니다. 예: person1",
    },
    "speaker_name_too_long": {
        "en": "a speaker's name of {length} characters; the limit is {limit}",
        "ko": "화자 이름이 {length}자입니다. 한계는 {limit}자입니다.",
    },
    "speaker_twice": {
        "en": "two speakers have the same name; give each a name of its own",
        "ko": "이름이 같은 화자가 둘 있습니다. 서로 다른 이름을 써 주세요.",
    },
    "number_of_texts": {
        "en": "{count} texts; give one speaker 1 to {limit} of them",
        "ko": "텍스트가 {count}개입니다. 한 화자에게 1개에서 {limit}개까지 주세요.",
    },
    "too_many_speakers": {
        "en": "{count} speakers; this worker accepts {limit} (MULTITALK_MAX_SPEAKERS)",
        "ko": "화자가 {count}명입니다. 이 워커는 {limit}명까지 받습니다 (MULTITALK_MAX_SPEAKERS).",
    },
    "box_reversed": {
        "en": "x_min must be below x_max and y_min below y_max, in [x_min, y_min, x_max, y_max]",
        "ko": "[x_min, y_min, x_max, y_max]에서 x_min은 x_max보다, y_min은 y_max보다 작아야 "
        "합니다.",
    },
    "box_of_stranger": {
        "en": "no speaker is called {names}; the speakers are {speakers}",
        "ko": "{names}(이)라는 화자가 없습니다. 화자: {speakers}",
    },
    "more_problems": {
        "en": "... and {count} problems more; put these right first",
        "ko": "... 그 밖에 문제가 {count}개 더 있습니다. 위의 문제부터 고쳐 주세요.",
    },
    "pydantic_said": {"en": "{said} (got {value})", "ko": "{said} (받은 값: {value})"},
    # Sources -----------------------------------------------------------------------------------
    "source_unrecognised": {
        "en": "not a URL, a data URI, base64 of a known format or a path; base64 must be of a "
        "picture, sound or video file",
        "ko": "URL, data URI, 알려진 형식의 base64, 경로 중 어느 것도 아닙니다. base64는 이미지, "
        "음성, 영상 파일이어야 합니다.",
    },
    "source_empty": {
        "en": "the file is empty; send a picture, sound or video file",
        "ko": "파일이 비어 있습니다. 이미지, 음성 또는 영상 파일을 보내 주세요.",
    },
    "data_uri_without_comma": {
        "en": "a data URI needs a comma before its data: data:image/png;base64,...",
        "ko": "data URI에는 데이터 앞에 쉼표가 있어야 합니다: data:image/png;base64,...",
    },
    "data_uri_not_base64": {
        "en": "the data URI's data is not base64; encode the whole file again",
        "ko": "data URI의 데이터가 base64가 아닙니다. 파일 전체를 다시 인코딩해 주세요.",
    },
    "scheme_refused": {
        "en": "{scheme}:// is not accepted; use http://, https:// or a data URI",
        "ko": "{scheme}:// 주소는 받지 않습니다. http://, https:// 또는 data URI를 써 주세요.",
    },
    "url_too_long": {
        "en": "the URL is longer than {limit} characters; send the file itself",
        "ko": "URL이 {limit}자보다 깁니다. 파일 자체를 보내 주세요.",
    },
    "url_malformed": {
        "en": "not a URL that can be read; write it as https://host/path",
        "ko": "읽을 수 있는 URL이 아닙니다. https://host/path 꼴로 써 주세요.",
    },
    "credentials_in_url": {
        "en": "a URL must not carry a user name or password; use a signed URL",
        "ko": "URL에 사용자 이름이나 비밀번호를 넣을 수 없습니다. 서명된 URL을 써 주세요.",
    },
    "host_malformed": {
        "en": "{host} is not a host's name; write it as a name, or as an address such as "
        "203.0.113.7",
        "ko": "{host}은(는) 호스트 이름이 아닙니다. 이름이나 203.0.113.7 같은 주소로 써 주세요.",
    },
    "host_unknown": {
        "en": "{host} has no address; check the URL",
        "ko": "{host}의 주소를 찾을 수 없습니다. URL을 확인해 주세요.",
    },
    "address_refused": {
        "en": "{host} is not a public address; others are reached only in networks that the "
        "operator allows (MULTITALK_ALLOWED_NETWORKS, such as 192.168.1.0/24)",
        "ko": "{host}은(는) 공개 주소가 아닙니다. 그런 주소는 운영자가 허용한 네트워크"
        "(MULTITALK_ALLOWED_NETWORKS, 예: 192.168.1.0/24)에 있을 때만 접속합니다.",
    },
    "loopback_refused": {
        "en": "{host} is not a public address but this machine itself, which is reached only if "
        "the operator allows it (MULTITALK_ALLOW_LOOPBACK=true)",
        "ko": "{host}은(는) 공개 주소가 아니라 이 컴퓨터 자신입니다. 운영자가 허용했을 때만"
        "(MULTITALK_ALLOW_LOOPBACK=true) 접속합니다.",
    },
    "host_unreachable": {
        "en": "{host} does not answer; check the URL or send the file itself",
        "ko": "{host}이(가) 응답하지 않습니다. URL을 확인하거나 파일 자체를 보내 주세요.",
    },
    "certificate_refused": {
        "en": "{host} has no valid certificate; fix it or send the file itself",
        "ko": "{host}의 인증서가 유효하지 않습니다. 인증서를 고치거나 파일 자체를 보내 주세요.",
    },
    "too_many_redirects": {
        "en": "more than {limit} redirects (MULTITALK_MAX_REDIRECTS); use the file's final URL",
        "ko": "리디렉션이 {limit}번을 넘었습니다 (MULTITALK_MAX_REDIRECTS). "
        "파일의 최종 URL을 써 주세요.",
    },
    "download_status": {
        "en": "{host} answered {status} in place of the file; check the URL and whether it is "
        "still public",
        "ko": "{host}이(가) 파일 대신 {status}(으)로 응답했습니다. URL이 맞고 아직 공개되어 있는지 "
        "확인해 주세요.",
    },
    "download_compressed": {
        "en": "{host} sent the file compressed ({encoding}) though asked not to; use another host",
        "ko": "{host}이(가) 요청과 달리 압축({encoding})된 파일을 보냈습니다. "
        "다른 호스트를 써 주세요.",
    },
    "download_too_slow": {
        "en": "the download from {host} took longer than {limit:g} s "
        "(MULTITALK_DOWNLOAD_SECONDS); use a faster host or a smaller file",
        "ko": "{host}에서 내려받는 시간이 {limit:g}초를 넘었습니다 (MULTITALK_DOWNLOAD_SECONDS). "
        "더 빠른 호스트나 더 작은 파일을 써 주세요.",
    },
    "download_broken": {
        "en": "the download from {host} broke off; try again or use another host",
        "ko": "{host}에서 내려받다가 끊겼습니다. 다시 시도하거나 다른 호스트를 써 주세요.",
    },
    "file_too_large": {
        "en": "the file is larger than {limit:g} MiB, the most this worker accepts ({setting})",
        "ko": "파일이 이 워커가 받는 한계인 {limit:g} MiB보다 큽니다 ({setting}).",
    },
    "path_refused": {
        "en": "not a path that requests may read; put the file under one of the worker's allowed "
        "directories (MULTITALK_ALLOWED_ROOTS), or send a URL or base64",
        "ko": "요청이 읽을 수 없는 경로입니다. 워커가 허용한 디렉터리(MULTITALK_ALLOWED_ROOTS) "
        "안에 파일을 두거나 URL 또는 base64로 보내 주세요.",
    },
    "file_missing": {
        "en": "no such file that can be read; check the path",
        "ko": "읽을 수 있는 파일이 없습니다. 경로를 확인해 주세요.",
    },
    "image_format_unknown": {
        "en": "not a picture in a known format; send a JPEG, PNG or WebP",
        "ko": "알려진 형식의 이미지가 아닙니다. JPEG, PNG, WebP 형식으로 보내 주세요.",
    },
    "visual_format_unknown": {
        "en": "not a picture or a video in a known format; send a JPEG, PNG, WebP or MP4",
        "ko": "알려진 형식의 이미지나 영상이 아닙니다. JPEG, PNG, WebP, MP4 형식으로 보내 주세요.",
    },
    "speech_format_unknown": {
        "en": "not sound or video in a known format; send WAV, MP3, M4A, OGG, FLAC or MP4",
        "ko": "알려진 형식의 음성이나 영상이 아닙니다. WAV, MP3, M4A, OGG, FLAC, MP4 "
        "형식으로 보내 주세요.",
    },
    "web_page_for_image": {
        "en": "a web page, not a picture; use the address of the file itself, not of its page",
        "ko": "이미지가 아니라 웹 페이지입니다. 페이지가 아닌 파일 자체의 주소를 써 주세요.",
    },
    "web_page_for_visual": {
        "en": "a web page, not a picture or a video; use the address of the file itself, not of "
        "its page",
        "ko": "이미지나 영상이 아니라 웹 페이지입니다. 페이지가 아닌 파일 자체의 주소를 써 주세요.",
    },
    "web_page_for_speech": {
        "en": "a web page, not sound; use the address of the file itself, not of its page",
        "ko": "음성이 아니라 웹 페이지입니다. 페이지가 아닌 파일 자체의 주소를 써 주세요.",
    },
    "audio_for_image": {
        "en": "a sound file ({format}), but this field takes a picture",
        "ko": "음성 파일({format})입니다. 이 필드에는 이미지를 보내 주세요.",
    },
    "audio_for_visual": {
        "en": "a sound file ({format}), but this field takes a picture or a video",
        "ko": "음성 파일({format})입니다. 이 필드에는 이미지나 영상을 보내 주세요.",
    },
    "video_for_image": {
        "en": "a video ({format}), but the engine of this worker moves a still picture; send one "
        "frame of it, or ask a worker whose diffusion engine has InfiniteTalk's weights",
        "ko": "영상({format})입니다. 이 워커의 엔진은 정지 이미지를 움직입니다. 영상의 한 장면을 "
        "보내거나, diffusion 엔진에 InfiniteTalk 가중치가 있는 워커에 요청해 주세요.",
    },
    "image_for_speech": {
        "en": "a picture ({format}), but this field takes sound or video",
        "ko": "이미지({format})입니다. 이 필드에는 음성이나 영상을 보내 주세요.",
    },
    # Media -------------------------------------------------------------------------------------
    "image_undecodable": {
        "en": "not a picture that can be read ({reason}); send a JPEG, PNG or WebP",
        "ko": "읽을 수 없는 이미지입니다 ({reason}). JPEG, PNG, WebP 형식으로 보내 주세요.",
    },
    "image_too_large": {
        "en": "{width}x{height} pixels; this worker accepts {limit} in all "
        "(MULTITALK_MAX_IMAGE_PIXELS)",
        "ko": "{width}x{height} 픽셀입니다. 이 워커는 전체 {limit} 픽셀까지 받습니다 "
        "(MULTITALK_MAX_IMAGE_PIXELS).",
    },
    "image_is_bomb": {
        "en": "far more pixels than this worker decodes; it accepts {limit} in all "
        "(MULTITALK_MAX_IMAGE_PIXELS)",
        "ko": "이 워커가 처리할 수 없을 만큼 큰 이미지입니다. 전체 {limit} 픽셀까지 받습니다 "
        "(MULTITALK_MAX_IMAGE_PIXELS).",
    },
    "audio_undecodable": {
        "en": "no sound that can be read ({reason}); send WAV, MP3, M4A, OGG, FLAC or MP4",
        "ko": "읽을 수 있는 음성이 없습니다 ({reason}). WAV, MP3, M4A, OGG, FLAC, MP4 형식으로 "
        "보내 주세요.",
    },
    "speech_too_long": {
        "en": "more than {limit:g} s of audio; this worker accepts {limit:g} s "
        "(MULTITALK_MAX_SPEECH_SECONDS)",
        "ko": "음성이 {limit:g}초보다 깁니다. 이 워커는 {limit:g}초까지 받습니다 "
        "(MULTITALK_MAX_SPEECH_SECONDS).",
    },
    "talk_too_short": {
        "en": "only {seconds:g} s of speech; a talk must last {limit:g} s or longer; send a longer "
        "recording",
        "ko": "음성이 {seconds:g}초뿐입니다. {limit:g}초 이상이어야 합니다. 더 긴 녹음을 보내 "
        "주세요.",
    },
    "video_undecodable": {
        "en": "not a video that can be read ({reason}); send an MP4 with H.264",
        "ko": "읽을 수 없는 동영상입니다 ({reason}). H.264 MP4 형식으로 보내 주세요.",
    },
    "video_too_large": {
        "en": "{width}x{height} pixels; this worker accepts {limit} in each frame of a video "
        "(MULTITALK_MAX_VIDEO_PIXELS)",
        "ko": "{width}x{height} 픽셀입니다. 이 워커는 영상의 한 장면당 {limit} 픽셀까지 받습니다 "
        "(MULTITALK_MAX_VIDEO_PIXELS).",
    },
    "video_too_long": {
        "en": "{seconds:.1f} s of video; this worker accepts {limit:g} s "
        "(MULTITALK_MAX_VIDEO_SECONDS)",
        "ko": "영상이 {seconds:.1f}초입니다. 이 워커는 {limit:g}초까지 받습니다 "
        "(MULTITALK_MAX_VIDEO_SECONDS).",
    },
    "video_unwritable": {
        "en": "the video could not be written ({reason}); the worker's disk may be full",
        "ko": "동영상을 저장하지 못했습니다 ({reason}). 워커의 디스크가 가득 찼을 수 있습니다.",
    },
    # Faces -------------------------------------------------------------------------------------
    "no_face_found": {
        "en": "no face was found in the picture; send one in which each speaker's face is visible "
        "and at least {pixels} pixels high, or say where it is with bbox (--box on the command "
        "line)",
        "ko": "사진에서 얼굴을 찾지 못했습니다. 말하는 사람의 얼굴이 {pixels}픽셀 이상으로 "
        "또렷하게 보이는 사진을 보내거나 bbox(명령줄에서는 --box)로 얼굴의 위치를 알려 주세요.",
    },
    "face_unread": {
        "en": "there seems to be a face in the picture, but it is turned too far from the camera, "
        "covered, cut off or blurred, so its mouth cannot be found; send a picture in which it "
        "looks more towards the camera and is seen from forehead to chin",
        "ko": "사진에 얼굴이 있는 것 같지만 옆으로 너무 돌아갔거나 가려졌거나 잘렸거나 흐려서 입을 "
        "찾지 못했습니다. 얼굴이 카메라 쪽을 더 향하고 이마부터 턱까지 또렷하게 보이는 사진을 "
        "보내 주세요.",
    },
    "too_few_faces_unread": {
        "en": "too few faces in the picture ({faces}) for the speakers ({speakers}); {unread} more "
        "can be seen, but turned too far from the camera, covered, cut off or blurred: send a "
        "picture in which each speaker looks more towards the camera, or fewer speakers",
        "ko": "화자는 {speakers}명인데 말하게 할 수 있는 얼굴은 {faces}개입니다. 얼굴이 {unread}개 "
        "더 보이지만 옆으로 너무 돌아갔거나 가려졌거나 잘렸거나 흐립니다. 화자의 얼굴이 카메라 "
        "쪽을 더 향하는 사진을 보내거나 화자를 줄여 주세요.",
    },
    "face_in_box_unread": {
        "en": "the face inside this box is turned too far from the camera, covered, cut off or "
        "blurred, so its mouth cannot be found; send a picture in which it looks more towards the "
        "camera",
        "ko": "이 상자 안의 얼굴은 옆으로 너무 돌아갔거나 가려졌거나 잘렸거나 흐려서 입을 찾지 "
        "못했습니다. 얼굴이 카메라 쪽을 더 향하는 사진을 보내 주세요.",
    },
    "too_few_faces": {
        "en": "too few faces in the picture ({faces}) for the speakers ({speakers}); send a "
        "picture with a face for each speaker, or fewer speakers",
        "ko": "화자는 {speakers}명인데 사진 속 얼굴은 {faces}개입니다. 화자마다 얼굴이 있는 사진을 "
        "보내거나 화자를 줄여 주세요.",
    },
    "no_face_in_box": {
        "en": "no face was found inside this box; boxes are [x_min, y_min, x_max, y_max] in pixels "
        "of the picture ({width}x{height})",
        "ko": "이 상자 안에서 얼굴을 찾지 못했습니다. 상자는 사진({width}x{height})의 픽셀 단위 "
        "[x_min, y_min, x_max, y_max]입니다.",
    },
    "speaker_out_of_frame": {
        "en": "nothing of this speaker's box is left once the picture is cut to the video's shape; "
        "send a larger box, or a picture with more room around it",
        "ko": "사진을 동영상 비율로 자르면 이 화자의 상자가 남지 않습니다. 상자를 키우거나 여백이 "
        "더 있는 사진을 보내 주세요.",
    },
    "speaker_without_room": {
        "en": "nothing of this speaker is left once the picture is cut to the video's shape; send "
        "a picture with more room around the faces, or bbox (--box on the command line)",
        "ko": "사진을 동영상 비율로 자르면 이 화자가 남지 않습니다. 얼굴 둘레에 여백이 더 있는 "
        "사진이나 bbox(명령줄에서는 --box)를 보내 주세요.",
    },
    "face_too_small": {
        "en": "the face is {height:.0f} pixels high; it must be at least {limit} pixels to speak: "
        "send a larger picture or a closer crop",
        "ko": "얼굴 높이가 {height:.0f}픽셀입니다. 말하게 하려면 {limit}픽셀 이상이어야 합니다. "
        "더 큰 사진이나 더 가까운 사진을 보내 주세요.",
    },
    # Provenance --------------------------------------------------------------------------------
    "c2pa_without_library": {
        "en": "signing videos (MULTITALK_PROVENANCE=c2pa, or a certificate) needs c2pa-python; "
        "pip install c2pa-python, or set MULTITALK_PROVENANCE=metadata",
        "ko": "영상에 서명하려면(MULTITALK_PROVENANCE=c2pa 또는 인증서 설정) c2pa-python이 "
        "필요합니다. pip install c2pa-python을 실행하거나 MULTITALK_PROVENANCE=metadata로 설정해 "
        "주세요.",
    },
    "c2pa_unusable": {
        "en": "{variable}: {reason}; put it right, or set MULTITALK_PROVENANCE=metadata",
        "ko": "{variable}: {reason}. 바로잡거나 MULTITALK_PROVENANCE=metadata로 설정해 주세요.",
    },
    "c2pa_state_unwritable": {
        "en": "the local certificate cannot be kept in MULTITALK_STATE_DIRECTORY ({reason}); name "
        "a directory that can be written, or set MULTITALK_C2PA_CERTIFICATE and MULTITALK_C2PA_KEY",
        "ko": "로컬 인증서를 MULTITALK_STATE_DIRECTORY에 저장할 수 없습니다 ({reason}). 쓸 수 있는 "
        "폴더를 지정하거나 MULTITALK_C2PA_CERTIFICATE와 MULTITALK_C2PA_KEY를 설정해 주세요.",
    },
    "video_unsigned": {
        "en": "the video could not be signed (C2PA); the worker's log has the cause, such as a "
        "certificate that may not sign or a time-stamping authority that does not answer",
        "ko": "영상에 서명(C2PA)하지 못했습니다. 원인은 워커의 로그에 있습니다. 서명할 수 없는 "
        "인증서이거나 타임스탬프 기관이 응답하지 않을 수 있습니다.",
    },
    # Delivery ----------------------------------------------------------------------------------
    "reply_too_large": {
        "en": "the video is {size:,} bytes as a reply; the limit is {limit:,} bytes "
        "(MULTITALK_MAX_REPLY_BYTES), and neither a bucket (BUCKET_ENDPOINT_URL and its fellows) "
        "nor a volume (MULTITALK_VOLUME) is set up: set one up, raise the limit, or ask for less "
        "(a shorter speech or 480p)",
        "ko": "영상은 응답으로 {size:,}바이트이고 한계는 {limit:,}바이트입니다 "
        "(MULTITALK_MAX_REPLY_BYTES). 버킷(BUCKET_ENDPOINT_URL 등)도 볼륨(MULTITALK_VOLUME)도 "
        "설정되어 있지 않습니다. 둘 중 하나를 설정하거나, 한계를 올리거나, 더 짧은 음성이나 480p로 "
        "요청해 주세요.",
    },
    "reply_cannot_hold": {
        "en": "the video is {size:,} bytes as a reply, which may hold {limit:,} bytes "
        "(MULTITALK_MAX_REPLY_BYTES); leave delivery.type to auto, or ask for less (a shorter "
        "speech or 480p)",
        "ko": "영상은 응답으로 {size:,}바이트인데 응답에는 {limit:,}바이트까지 담을 수 있습니다 "
        "(MULTITALK_MAX_REPLY_BYTES). delivery.type을 auto로 두거나 더 짧은 음성이나 "
        "480p로 요청해 주세요.",
    },
    "bucket_not_set_up": {
        "en": "this worker has no bucket (BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID, "
        "BUCKET_SECRET_ACCESS_KEY, BUCKET_NAME); leave delivery.type to auto",
        "ko": "이 워커에는 버킷이 없습니다 (BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID, "
        "BUCKET_SECRET_ACCESS_KEY, BUCKET_NAME). delivery.type을 auto로 두세요.",
    },
    "bucket_without_library": {
        "en": "this worker's bucket needs boto3, which is not installed (the extra called bucket)",
        "ko": "이 워커의 버킷에 필요한 boto3가 설치되어 있지 않습니다 (bucket 추가 패키지).",
    },
    "bucket_address_refused": {
        "en": "not an address that a video can be sent to; write an address such as "
        "https://s3.example.com",
        "ko": "영상을 보낼 수 있는 주소가 아닙니다. https://s3.example.com 같은 주소를 써 주세요.",
    },
    "bucket_needs_https": {
        "en": "must begin with https://; http:// is for networks that the operator allows "
        "(MULTITALK_ALLOWED_NETWORKS)",
        "ko": "https://로 시작해야 합니다. http://는 운영자가 허용한 네트워크"
        "(MULTITALK_ALLOWED_NETWORKS)에서만 쓸 수 있습니다.",
    },
    "bucket_name_refused": {
        "en": "no bucket's name, or another one than the address says",
        "ko": "버킷 이름이 아니거나 주소에 있는 이름과 다릅니다.",
    },
    "bucket_failed": {
        "en": "the bucket did not take the video ({reason}); check its name, its keys and what "
        "they may do",
        "ko": "버킷에 영상을 올리지 못했습니다 ({reason}). 버킷 이름과 키, 키의 권한을 확인해 "
        "주세요.",
    },
    "bucket_unreachable": {
        "en": "the bucket did not take the video: {count} times there was no answer; check its "
        "address, or try again later",
        "ko": "버킷에 영상을 올리지 못했습니다. {count}번 시도했지만 응답이 없었습니다. 주소를 "
        "확인하거나 나중에 다시 시도해 주세요.",
    },
    "bucket_too_slow": {
        "en": "the bucket did not take the video within {limit:g} s (MULTITALK_UPLOAD_SECONDS)",
        "ko": "버킷에 영상을 {limit:g}초(MULTITALK_UPLOAD_SECONDS) 안에 올리지 못했습니다.",
    },
    "bucket_gives_nothing": {
        "en": "the bucket took the video but does not give it out by a signed URL; its service has "
        "to support these, and its clock and the worker's have to agree",
        "ko": "버킷에 영상을 올렸지만 서명된 URL로 받을 수 없습니다. 서비스가 서명된 URL을 "
        "지원해야 하고, 서비스와 워커의 시계가 맞아야 합니다.",
    },
    "kept_on_volume": {
        "en": "the video is on the volume, because a bucket came first and failed: {failure}",
        "ko": "먼저 시도한 버킷이 실패하여 영상을 볼륨에 두었습니다: {failure}",
    },
    "volume_not_set_up": {
        "en": "this worker has no volume for results (MULTITALK_VOLUME); leave delivery.type "
        "to auto",
        "ko": "이 워커에는 결과를 둘 볼륨이 없습니다 (MULTITALK_VOLUME). delivery.type을 auto로 "
        "두세요.",
    },
    "volume_full": {
        "en": "the volume has no room for the video's {size:,} bytes; delete old results or "
        "enlarge it",
        "ko": "볼륨에 영상 {size:,}바이트를 둘 자리가 없습니다. 오래된 결과를 지우거나 볼륨을 "
        "늘려 주세요.",
    },
    "volume_failed": {
        "en": "the volume did not take the video ({reason}); the worker's log has more",
        "ko": "볼륨에 영상을 저장하지 못했습니다 ({reason}). 자세한 내용은 워커의 로그에 있습니다.",
    },
    # Evaluation --------------------------------------------------------------------------------
    "no_face_in_video": {
        "en": "no face was found in the first second of the video; a video can be judged that "
        "shows a face of at least {pixels} pixels",
        "ko": "영상의 처음 1초에서 얼굴을 찾지 못했습니다. {pixels}픽셀 이상의 얼굴이 보이는 "
        "영상만 평가할 수 있습니다.",
    },
    "no_speech_to_judge": {
        "en": "nobody is heard to speak; the lips can be judged against speech only",
        "ko": "말소리가 들리지 않습니다. 입 모양은 말소리가 있어야 평가할 수 있습니다.",
    },
    "phonemes_unreadable": {
        "en": 'not a JSON list of {{"start_seconds": ..., "end_seconds": ..., "ipa": "..."}}',
        "ko": '{{"start_seconds": ..., "end_seconds": ..., "ipa": "..."}} 항목의 JSON 목록이 '
        "아닙니다.",
    },
    "phonemes_without_voice": {
        "en": "there is no voice of this name; the voices are {voices}",
        "ko": "이 이름의 음성이 없습니다. 음성은 {voices}입니다.",
    },
    # Warnings ----------------------------------------------------------------------------------
    "profile_not_usable": {
        "en": "the picture's colour profile is damaged or for another kind of picture, so its "
        "colours may look wrong; save it again as sRGB",
        "ko": "사진의 색상 프로파일이 손상되었거나 이 사진에 맞지 않아 색이 다르게 보일 수 "
        "있습니다. sRGB로 다시 저장해 주세요.",
    },
    "picture_reduced": {
        "en": "the picture of {width}x{height} pixels was decoded at {decoded_width}x"
        "{decoded_height}, as this worker takes {limit} pixels in all "
        "(MULTITALK_MAX_IMAGE_PIXELS); bbox stays in pixels of the file",
        "ko": "{width}x{height} 픽셀 사진을 {decoded_width}x{decoded_height} 크기로 줄여 "
        "읽었습니다. 이 워커는 전체 {limit} 픽셀까지 받습니다 (MULTITALK_MAX_IMAGE_PIXELS). "
        "bbox는 그대로 원본 파일의 픽셀 단위입니다.",
    },
    "picture_turned": {
        "en": "the faces in the picture were not upright, so it was turned by {degrees} degrees "
        "clockwise",
        "ko": "사진 속 얼굴이 똑바로 서 있지 않아 사진을 시계 방향으로 {degrees}도 돌렸습니다.",
    },
    "faces_chosen": {
        "en": "{faces} faces in the picture for {speakers} speakers: the largest speak, from left "
        "to right; bbox (--box on the command line) says otherwise",
        "ko": "사진 속 얼굴은 {faces}개, 화자는 {speakers}명입니다. 가장 큰 얼굴들이 왼쪽부터 "
        "차례로 말합니다. 다르게 하려면 bbox(명령줄에서는 --box)를 쓰세요.",
    },
    "face_in_profile": {
        "en": "{speaker}: the face is turned {degrees:.0f} degrees; beyond {limit:.0f} the mouth "
        "may look wrong",
        "ko": "{speaker}: 얼굴이 {degrees:.0f}도 돌아가 있습니다. {limit:.0f}도를 넘으면 입 모양이 "
        "어색할 수 있습니다.",
    },
    "eyes_are_shut": {
        "en": "{speaker}: the eyes are closed in the picture, or nearly so, and stay as they are; "
        "take a picture with open eyes to have them look and blink",
        "ko": "{speaker}: 사진 속 눈이 감겼거나 거의 감겨 있어 그대로 둡니다. 시선과 눈 깜박임이 "
        "필요하면 눈을 뜬 사진을 써 주세요.",
    },
    "face_is_small": {
        "en": "{speaker}: the face is only {height:.0f} pixels high; from {limit} pixels on the "
        "lips look sharp",
        "ko": "{speaker}: 얼굴 높이가 {height:.0f}픽셀뿐입니다. {limit}픽셀부터 입술이 선명합니다.",
    },
    "language_guessed": {
        "en": "the language of {text!r} could not be detected, so it is read as English; if it is "
        "another one, name it in language",
        "ko": "{text!r}의 언어를 알 수 없어 영어로 읽었습니다. 다른 언어라면 language에 "
        "적어 주세요.",
    },
    "letters_named": {
        "en": "the voice of {language} has no sounds for {letters} and calls them by name; write "
        "them out in letters of that language, or leave them out",
        "ko": "{language} 음성이 {letters}을(를) 읽지 못해 글자 이름으로 부릅니다. 그 언어의 "
        "글자로 풀어 쓰거나 빼 주세요.",
    },
    "hanja_in_chinese": {
        "en": "the characters {letters} in a Korean text are read in Chinese; write them in Hangul "
        "to have them read in Korean",
        "ko": "한국어 텍스트에 있는 {letters}을(를) 중국어로 읽었습니다. 한국어로 읽으려면 한글로 "
        "써 주세요.",
    },
    "voice_is_silent": {
        "en": "{speaker}: nothing is heard in this voice, so the mouth stays at rest; check the "
        "file",
        "ko": "{speaker}: 음성에 소리가 없어 입이 움직이지 않습니다. 파일을 확인해 주세요.",
    },
    "voice_is_quiet": {
        "en": "{speaker}: the voice is very quiet ({loudness:.0f} LUFS; speech is usually around "
        "{usual:.0f}), so the lips may follow noise; record it louder or closer",
        "ko": "{speaker}: 음성이 매우 작습니다 ({loudness:.0f} LUFS, 보통은 {usual:.0f} 안팎). "
        "입이 잡음을 따라 움직일 수 있으니 더 크게 또는 더 가까이에서 녹음해 주세요.",
    },
    "sound_track_chosen": {
        "en": "{speaker}: the file has {count} sound tracks, of which number {number} was used; to "
        "use another one, send a file with that track only",
        "ko": "{speaker}: 파일에 소리 트랙이 {count}개 있어 {number}번 트랙을 사용했습니다. 다른 "
        "트랙을 쓰려면 그 트랙만 담은 파일을 보내 주세요.",
    },
    "prompt_not_acted": {
        "en": "the warp engine moves the picture that it is given: the prompt's acting, scene and "
        "camera directions need the diffusion engine",
        "ko": "warp 엔진은 주어진 사진만 움직입니다. 프롬프트의 연기, 장면, 카메라 지시는 "
        "diffusion 엔진이 필요합니다.",
    },
    "quality_not_taken": {
        "en": "the {engine} engine does not know quality {quality} and renders as ever; its "
        "profile trades looks for speed",
        "ko": "{engine} 엔진에는 quality 값 {quality}이(가) 적용되지 않습니다. 이 엔진의 화질과 "
        "속도는 profile로 정합니다.",
    },
    "many_speakers": {
        "en": "{speakers} people speak; the diffusion engine was trained with one or two, so "
        "voices may move the wrong mouth",
        "ko": "화자가 {speakers}명입니다. diffusion 엔진은 한두 명으로 학습되어 다른 사람의 입이 "
        "움직일 수 있습니다.",
    },
    "speakers_in_strips": {
        "en": "{faces} faces were found, not one for each speaker, so the speakers have equal "
        "parts of the picture, left to right; bbox (--box on the command line) places them",
        "ko": "얼굴을 {faces}개만 찾아 화자마다 사진을 왼쪽부터 똑같이 나누었습니다. "
        "bbox(명령줄에서는 --box)로 위치를 정할 수 있습니다.",
    },
    # Weights -----------------------------------------------------------------------------------
    "weights_without_library": {
        "en": "fetching weights needs huggingface_hub, which is not installed here (pip install "
        "'.[weights]' in the project's directory)",
        "ko": "가중치를 내려받으려면 huggingface_hub가 필요하지만 설치되어 있지 않습니다 (프로젝트 "
        "폴더에서 pip install '.[weights]').",
    },
    "weights_without_place": {
        "en": "say where to: a directory here, or MULTITALK_WEIGHTS",
        "ko": "어디에 둘지 정해 주세요. 여기에 폴더를 쓰거나 MULTITALK_WEIGHTS를 설정하세요.",
    },
    "weights_offline": {
        "en": "{file} is not here and nothing is downloaded offline (--offline, HF_HUB_OFFLINE)",
        "ko": "{file}이(가) 없고, 오프라인(--offline, HF_HUB_OFFLINE)에서는 내려받지 않습니다.",
    },
    "weights_not_whole": {
        "en": "the weights are not whole: {problems}. Fetch them where there is a network",
        "ko": "가중치가 온전하지 않습니다: {problems}. 네트워크가 되는 곳에서 내려받으세요.",
    },
    "weights_file_missing": {"en": "{file} is missing", "ko": "{file}이(가) 없습니다"},
    "weights_file_wrong_size": {
        "en": "{file} has the wrong size",
        "ko": "{file}의 크기가 다릅니다",
    },
    "weights_file_damaged": {
        "en": "{file} has other content than it should",
        "ko": "{file}의 내용이 다릅니다",
    },
    "weights_file_unrecorded": {
        "en": "{file} cannot be checked, as its hash is not known; multitalk fetch learns it",
        "ko": "{file}은(는) 해시를 몰라 확인할 수 없습니다. multitalk fetch가 해시를 알아냅니다",
    },
    "weights_closed": {
        "en": "the hub does not open {repository} to us (HTTP {status}); if its terms have to be "
        "accepted, accept them on its page and set HF_TOKEN to a token of yours",
        "ko": "허브가 {repository}을(를) 열어 주지 않습니다 (HTTP {status}). 약관 동의가 필요한 "
        "저장소라면 그 페이지에서 동의하고 HF_TOKEN에 토큰을 설정하세요.",
    },
    "weights_not_on_hub": {
        "en": "the hub has no {path} in {repository} at {revision}; if HF_ENDPOINT is set, its "
        "mirror may lack it",
        "ko": "허브의 {repository}({revision})에 {path}이(가) 없습니다. HF_ENDPOINT를 "
        "설정했다면 그 미러에 없을 수 있습니다.",
    },
    "weights_refused": {
        "en": "the hub refuses {file} (HTTP {status})",
        "ko": "허브가 {file}을(를) 거부합니다 (HTTP {status}).",
    },
    "weights_no_hub": {
        "en": "what answers for {file} is no hub; check HF_ENDPOINT and the proxy",
        "ko": "{file}에 응답한 서버는 허브가 아닙니다. HF_ENDPOINT와 프록시를 확인하세요.",
    },
    "weights_hub_silent": {
        "en": "{file} could not be fetched in {tries} tries ({reason}); what has come is kept, so "
        "run it again once the network is better",
        "ko": "{file}을(를) {tries}번 시도했지만 내려받지 못했습니다 ({reason}). 받은 부분은 "
        "남아 있으니 네트워크가 나아지면 다시 실행하세요.",
    },
    "weights_hub_asks_wait": {
        "en": "the hub asks to wait {seconds:.0f} s; run it again then (with HF_TOKEN set its "
        "limits are wider)",
        "ko": "허브가 {seconds:.0f}초 기다리라고 합니다. 그 뒤에 다시 실행하세요 (HF_TOKEN을 "
        "설정하면 한도가 늘어납니다).",
    },
    "weights_damaged": {
        "en": "{file} came twice with the wrong size or hash and was removed; if HF_ENDPOINT is "
        "set, try without it",
        "ko": "{file}이(가) 두 번 모두 틀린 크기나 해시로 와서 지웠습니다. HF_ENDPOINT를 "
        "설정했다면 빼고 시도해 보세요.",
    },
    "weights_changed": {
        "en": "{file} on the hub is not the file that this release or the lock file names, so it "
        "was not fetched; for the hub's, remove its entry from the lock file",
        "ko": "허브의 {file}이(가) 이 릴리스나 잠금 파일에 적힌 파일과 달라 받지 않았습니다. "
        "허브의 "
        "파일을 쓰려면 잠금 파일에서 그 항목을 지우세요.",
    },
    "weights_lock_gone": {
        "en": "{file} is locked to commit {commit}, which the hub has no more; for its newest, "
        "remove its entry from the lock file",
        "ko": "{file}이(가) 커밋 {commit}으로 잠겨 있지만 허브에 더는 없습니다. 최신 파일을 쓰려면 "
        "잠금 파일에서 그 항목을 지우세요.",
    },
    "weights_lock_unreadable": {
        "en": "{file} cannot be read ({reason}); put it right, or remove it and fetch again",
        "ko": "{file}을(를) 읽을 수 없습니다 ({reason}). 고치거나 지우고 다시 내려받으세요.",
    },
    "weights_disk_full": {
        "en": "{needed:.1f} GB of disk are needed and {free:.1f} GB are free; make room, or choose "
        "another place",
        "ko": "디스크가 {needed:.1f} GB 필요한데 {free:.1f} GB만 비어 있습니다. 공간을 비우거나 "
        "다른 "
        "곳을 선택하세요.",
    },
    "weights_unwritable": {
        "en": "{file} cannot be written ({reason}); what has come is kept",
        "ko": "{file}을(를) 쓸 수 없습니다 ({reason}). 받은 부분은 남아 있습니다.",
    },
    "weights_busy": {
        "en": "another process has been fetching into this directory for {seconds:.0f} s; wait for "
        "it, or end it",
        "ko": "다른 프로세스가 {seconds:.0f}초째 이 폴더에 내려받고 있습니다. 기다리거나 그 "
        "프로세스를 끝내세요.",
    },
    "weights_lease_lost": {
        "en": "another process took over fetching into this directory, as this one paused too "
        "long; run it again to wait for the other",
        "ko": "이 프로세스가 너무 오래 멈춰 다른 프로세스가 내려받기를 넘겨받았습니다. 다시 "
        "실행하면 그 프로세스를 기다립니다.",
    },
    "weights_place_holds": {
        "en": "{directory}: the set {set}",
        "ko": "{directory}: {set} 세트",
    },
    "weights_place_named": {
        "en": "{directory}: named by MULTITALK_WEIGHTS, no set that multitalk fetch knows",
        "ko": "{directory}: MULTITALK_WEIGHTS로 지정됨, multitalk fetch가 아는 세트가 아님",
    },
    "weights_place_lacks": {
        "en": "{directory}: {missing} files short of the nearest set",
        "ko": "{directory}: 가장 가까운 세트에서 파일 {missing}개가 모자람",
    },
    "weights_place_absent": {"en": "{directory}: not there", "ko": "{directory}: 없음"},
    # Server ------------------------------------------------------------------------------------
    "key_missing": {
        "en": "this server wants a key: send it as `Authorization: Bearer KEY`; its operator makes "
        "one with `multitalk keys add`",
        "ko": "이 서버에는 키가 필요합니다. `Authorization: Bearer KEY`로 보내 주세요. 키는 "
        "운영자가 "
        "`multitalk keys add`로 만듭니다.",
    },
    "keys_unreadable": {
        "en": "the server's keys cannot be read at the moment; the reason is in its log, for its "
        "operator",
        "ko": "지금은 서버의 키를 읽을 수 없습니다. 원인은 서버의 로그에 있으니 운영자에게 문의해 "
        "주세요.",
    },
    "key_name_refused": {
        "en": "{value} cannot be a key's name; write 1 to {limit} characters that can be printed, "
        "in one line",
        "ko": "{value}은(는) 키의 이름이 될 수 없습니다. 한 줄에 보이는 글자로 "
        "1자에서 {limit}자까지 적어 주세요.",
    },
    "peer_refused": {
        "en": "this server has no keys, so it answers its own machine only, and {peer} is another; "
        "its operator makes a key with `multitalk keys add`",
        "ko": "이 서버에는 키가 없어 같은 컴퓨터에서 온 요청에만 답하는데, {peer}은(는) 다른 "
        "컴퓨터입니다. 키는 운영자가 `multitalk keys add`로 만듭니다.",
    },
    "key_unknown": {
        "en": "this key is not known here, or was revoked",
        "ko": "등록되지 않았거나 취소된 키입니다.",
    },
    "host_refused": {
        "en": "{host} is not a name of this server; ask it as localhost or 127.0.0.1, or start it "
        "with --base-url",
        "ko": "{host}은(는) 이 서버의 이름이 아닙니다. localhost나 127.0.0.1로 접속하거나 "
        "--base-url로 "
        "서버를 시작해 주세요.",
    },
    "origin_refused": {
        "en": "a page of {origin} may not use this server; its operator can allow it with "
        "--cors-origin",
        "ko": "{origin}의 페이지는 이 서버를 쓸 수 없습니다. 운영자가 --cors-origin으로 허용할 "
        "수 있습니다.",
    },
    "address_not_found": {
        "en": "there is nothing here; /docs lists this server's addresses",
        "ko": "이 주소에는 아무것도 없습니다. 이 서버의 주소 목록은 /docs에 있습니다.",
    },
    "subtitles_not_found": {
        "en": "this job has no subtitles; only voices that are given as text have them",
        "ko": "이 작업에는 자막이 없습니다. 자막은 텍스트로 준 목소리에서 만들어집니다.",
    },
    "video_not_found": {
        "en": "no such video; it was never made, or its time is over",
        "ko": "그런 영상이 없습니다. 만들어진 적이 없거나 보관 기간이 지났습니다.",
    },
    "upload_not_found": {
        "en": "no such upload; it never was, is another key's, or its time is over",
        "ko": "그런 업로드가 없습니다. 없던 파일이거나, 다른 키의 파일이거나, 보관 기간이 "
        "지났습니다.",
    },
    "link_refused": {
        "en": "this link is not whole, or its time is over; ask /status for a new one, or send the "
        "key",
        "ko": "링크가 온전하지 않거나 기한이 지났습니다. /status에서 새 링크를 받거나 키를 보내 "
        "주세요.",
    },
    "body_cut": {
        "en": "the connection ended before the whole body had come; send it again",
        "ko": "본문을 다 받기 전에 연결이 끊겼습니다. 다시 보내 주세요.",
    },
    "body_too_large": {
        "en": "more than {limit:g} MB; send large files to /uploads and name them as upload://ID",
        "ko": "{limit:g}MB를 넘었습니다. 큰 파일은 /uploads로 보내고 upload://ID로 지정해 주세요.",
    },
    "rate_limited": {
        "en": "more than {count} of these requests in {window:g} s; ask again in {seconds:g} s",
        "ko": "{window:g}초 동안 이 요청이 {count}번을 넘었습니다. {seconds:g}초 뒤에 다시 "
        "요청해 주세요.",
    },
    "too_many_waiting": {
        "en": "{waiting} jobs of this key wait already, and at most {limit} may; ask again in "
        "{seconds:g} s, or cancel some",
        "ko": "이 키의 작업 {waiting}개가 이미 기다리고 있습니다(최대 {limit}개). "
        "{seconds:g}초 뒤에 다시 요청하거나 일부를 취소해 주세요.",
    },
    "quota_exceeded": {
        "en": "with this the key would have {used:.2f} GB stored on this server, in uploads, jobs "
        "and videos; it may have {limit:g} GB: delete talks that are not needed (/delete/ID, or on "
        "the page), wait until older ones expire, or ask the operator for more (--quota)",
        "ko": "저장하면 이 키가 이 서버에 업로드, 작업, 영상으로 {used:.2f}GB를 갖게 됩니다. "
        "한도는 {limit:g}GB입니다. 필요 없는 영상을 지우거나(/delete/ID 또는 페이지에서), 오래된 "
        "것이 만료될 때까지 기다리거나, 운영자에게 더 요청해 주세요(--quota).",
    },
    "upload_too_large": {
        "en": "more than {limit:g} MiB (MULTITALK_MAX_AUDIO_BYTES); send a smaller file",
        "ko": "{limit:g} MiB를 넘었습니다 (MULTITALK_MAX_AUDIO_BYTES). 더 작은 파일을 보내 주세요.",
    },
    "base_url_refused": {
        "en": "{value} is not the address of a server; write scheme://host[:port] with http or "
        "https and nothing after it, such as https://talks.example.com",
        "ko": "{value}은(는) 서버의 주소가 아닙니다. https://talks.example.com처럼 http나 https로 "
        "시작하는 scheme://host[:port]만 적고 그 뒤에는 아무것도 붙이지 마세요.",
    },
    "proxy_refused": {
        "en": "{value} is neither an address nor a network; write one as 127.0.0.1 or 10.0.0.0/8",
        "ko": "{value}은(는) 주소도 네트워크도 아닙니다. 127.0.0.1이나 10.0.0.0/8처럼 적어 주세요.",
    },
    "cors_origin_refused": {
        "en": "{value} is not the origin of a page; write scheme://host[:port] with http or https "
        "and nothing after it, such as https://studio.example, once for each",
        "ko": "{value}은(는) 페이지의 출처(origin)가 아닙니다. https://studio.example처럼 http나 "
        "https로 시작하는 scheme://host[:port]만 하나씩 적어 주세요.",
    },
    "cors_origin_spelled": {
        "en": "no browser sends {value}; write {near}",
        "ko": "브라우저는 {value}을(를) 보내지 않습니다. {near}(으)로 적어 주세요.",
    },
    "public_without_key": {
        "en": "{host} can be reached by others, so the server needs a key: make one with "
        "`multitalk keys add NAME --data {directory}`, or use 127.0.0.1",
        "ko": "{host}은(는) 다른 컴퓨터에서도 접속할 수 있으므로 키가 필요합니다. `multitalk "
        "keys add 이름 --data {directory}`로 키를 만들거나 127.0.0.1에서 실행해 주세요.",
    },
    "data_in_use": {
        "en": "another server uses {directory}; end it, or name another directory",
        "ko": "다른 서버가 {directory} 폴더를 쓰고 있습니다. 그 서버를 끝내거나 다른 폴더를 지정해 "
        "주세요.",
    },
    "data_unusable": {
        "en": "{directory} cannot be used ({reason}); name another directory, here or in "
        "MULTITALK_STATE_DIRECTORY",
        "ko": "{directory} 폴더를 쓸 수 없습니다 ({reason}). 여기나 MULTITALK_STATE_DIRECTORY에 "
        "다른 폴더를 지정해 주세요.",
    },
    "cannot_listen": {
        "en": "cannot listen at {host}, port {port} ({reason}); choose another port, such as "
        "--port {other}, or --port 0 for any that is free",
        "ko": "{host}의 {port}번 포트를 쓸 수 없습니다 ({reason}). --port {other}처럼 다른 포트를 "
        "고르거나, --port 0으로 비어 있는 포트를 쓰세요.",
    },
    "host_not_here": {
        "en": "{host} is not an address of this machine ({reason}); 127.0.0.1 is for this machine "
        "only, 0.0.0.0 for others too",
        "ko": "{host}은(는) 이 컴퓨터의 주소가 아닙니다 ({reason}). 이 컴퓨터에서만 쓰려면 "
        "127.0.0.1, 다른 컴퓨터에서도 쓰려면 0.0.0.0을 쓰세요.",
    },
    "too_many_connections": {
        "en": "the server has too many connections; try again in a moment",
        "ko": "서버에 연결이 너무 많습니다. 잠시 뒤에 다시 시도해 주세요.",
    },
    "headers_too_large": {
        "en": "the request's headers have more than {limit} kB; send fewer or shorter ones",
        "ko": "요청 헤더가 {limit} kB를 넘었습니다. 헤더를 줄여 주세요.",
    },
    "headers_too_many": {
        "en": "the request has more than {limit} headers; send fewer",
        "ko": "요청 헤더가 {limit}개를 넘었습니다. 헤더를 줄여 주세요.",
    },
    "headers_too_slow": {
        "en": "the request's headers took more than {limit:g} s; send them at once",
        "ko": "요청 헤더가 {limit:g}초 안에 오지 않았습니다. 한 번에 보내 주세요.",
    },
    "body_too_slow": {
        "en": "the request's body stopped for {limit:g} s, or came too slowly; send it again, over "
        "a faster connection",
        "ko": "요청 본문이 {limit:g}초 동안 오지 않았거나 너무 느렸습니다. 더 빠른 연결로 다시 "
        "보내 주세요.",
    },
    "server_stopping": {
        "en": "the server is stopping; send the request again when it is back",
        "ko": "서버가 종료되는 중입니다. 서버가 다시 시작되면 요청을 다시 보내 주세요.",
    },
    "server_crashed": {
        "en": "the server failed on this request; its log has the cause",
        "ko": "서버가 이 요청을 처리하지 못했습니다. 원인은 서버의 로그에 있습니다.",
    },
    "expected_list": {
        "en": 'must be a list of 1 to {limit} jobs: {{"jobs": [{{"input": ...}}]}}',
        "ko": '작업을 1개에서 {limit}개까지 담은 목록이어야 합니다: {{"jobs": [{{"input": ...}}]}}',
    },
    "duration_of_service": {
        "en": "how long this text lasts is only known when the speech service has spoken it",
        "ko": "음성 서비스가 이 텍스트를 얼마나 길게 말할지는 말해 보아야 알 수 있습니다.",
    },
    "duration_guessed": {
        "en": "{field}: the length is a guess, made with another voice; the speech service was not "
        "asked",
        "ko": "{field}: 길이는 다른 음성으로 어림한 값입니다. 음성 서비스에는 묻지 않았습니다.",
    },
    "duration_of_url": {
        "en": "how long a voice at a URL lasts is known only once it is fetched",
        "ko": "URL에 있는 음성의 길이는 내려받아야 알 수 있습니다.",
    },
    "duration_unreadable": {
        "en": "how long this voice lasts cannot be read from its file",
        "ko": "이 음성의 길이를 파일에서 알아낼 수 없습니다.",
    },
    "duration_sampled": {
        "en": "{field}: the length is an estimate, made from {limit} characters of all texts",
        "ko": "{field}: 길이는 전체 텍스트 가운데 {limit}자를 말해 보고 어림한 값입니다.",
    },
    "reading_too_costly": {
        "en": "reading this takes more than {seconds} s of computing time or {memory:.0f} MiB of "
        "memory, so it was given up; send a smaller or simpler one",
        "ko": "이것을 읽는 데 계산 시간 {seconds}초 또는 메모리 {memory:.0f} MiB가 넘게 들어 "
        "중단했습니다. 더 작거나 단순한 것을 보내 주세요.",
    },
    "reading_broken": {
        "en": "it cannot be read: whatever tried broke off; save it anew with another program and "
        "send that",
        "ko": "읽다가 중단되어 읽을 수 없습니다. 다른 프로그램으로 다시 저장해 보내 주세요.",
    },
    "reader_busy_with_yours": {
        "en": "{count} pictures, estimates or texts of this key are being worked on or wait; ask "
        "again in {seconds:g} s",
        "ko": "이 키의 이미지, 예상 시간, 텍스트 {count}개를 처리하는 중이거나 기다리고 있습니다. "
        "{seconds:g}초 뒤에 다시 요청해 주세요.",
    },
    "reader_busy": {
        "en": "the server is busy with pictures, estimates and texts; ask again in {seconds:g} s",
        "ko": "서버가 이미지, 예상 시간, 텍스트를 처리하느라 바쁩니다. {seconds:g}초 뒤에 다시 "
        "요청해 주세요.",
    },
    "pace_unknown": {
        "en": "this server has finished no talk like this yet, so how long it takes is not known",
        "ko": "이 서버에서 이런 영상을 끝낸 적이 없어 걸리는 시간을 아직 모릅니다.",
    },
    "large_video_costs": {
        "en": "the diffusion engine takes about 3.6 times as long at 720p as at 480p",
        "ko": "diffusion 엔진에서 720p는 480p보다 약 3.6배 오래 걸립니다.",
    },
    "price_unknown": {
        "en": "the operator has set no price (--price-per-hour)",
        "ko": "운영자가 가격을 정하지 않았습니다 (--price-per-hour).",
    },
    # Worker ------------------------------------------------------------------------------------
    "engine_unavailable": {
        "en": "the {engine} engine cannot run here: {reason}",
        "ko": "여기서는 {engine} 엔진을 사용할 수 없습니다: {reason}",
    },
    "plot_without_library": {
        "en": "a plot needs matplotlib, which is not installed here (pip install '.[plot]' in the "
        "project's directory); or leave the plot out",
        "ko": "그래프에는 matplotlib이 필요하지만 설치되어 있지 않습니다 (프로젝트 폴더에서 "
        "pip install '.[plot]'). 아니면 그래프를 생략해 주세요.",
    },
    "diffusion_needs_packages": {
        "en": "the diffusion engine needs {packages}, not installed on this machine (pip install "
        "'.[diffusion]' in the project's directory); or leave engine out, or send auto or warp",
        "ko": "diffusion 엔진에 필요한 {packages}이(가) 설치되어 있지 않습니다 (프로젝트 폴더에서 "
        "pip install '.[diffusion]'). 아니면 engine을 생략하거나 auto 또는 warp를 보내 주세요.",
    },
    "diffusion_needs_weights": {
        "en": "the diffusion engine needs its weights: `multitalk fetch` gets them, and "
        "MULTITALK_WEIGHTS names their directory (docs/weights.md); or leave engine out, or send "
        "auto or warp",
        "ko": "diffusion 엔진에는 가중치가 필요합니다. `multitalk fetch`로 내려받아 폴더를 "
        "MULTITALK_WEIGHTS로 지정하거나(docs/weights.md), engine을 생략하거나 auto 또는 warp를 "
        "보내 "
        "주세요.",
    },
    "diffusion_weights_unusable": {
        "en": "the weights in MULTITALK_WEIGHTS cannot be used ({problems}); docs/diffusion.md "
        "says how they are laid out",
        "ko": "MULTITALK_WEIGHTS의 가중치를 쓸 수 없습니다 ({problems}). 폴더 구성은 "
        "docs/diffusion.md에 있습니다.",
    },
    "diffusion_out_of_memory": {
        "en": "the GPU's memory does not suffice for this size; send resolution 480p, or use a "
        "larger GPU",
        "ko": "이 크기를 만들기에는 GPU 메모리가 부족합니다. resolution을 480p로 보내거나 더 큰 "
        "GPU를 쓰세요.",
    },
    "attention_unavailable": {
        "en": "MULTITALK_ATTENTION={attention} does not work here: {problem}; set auto, or install "
        "what it needs",
        "ko": "여기서는 MULTITALK_ATTENTION={attention}을(를) 쓸 수 없습니다: {problem}. auto로 "
        "설정하거나 필요한 패키지를 설치하세요.",
    },
    "fp8_products_unavailable": {
        "en": "MULTITALK_FP8_PRODUCTS does not work here: {problem}; or set it to false",
        "ko": "여기서는 MULTITALK_FP8_PRODUCTS를 쓸 수 없습니다: {problem}. 아니면 false로 "
        "설정하세요.",
    },
    "compile_shared": {
        "en": "MULTITALK_COMPILE does not work where several processes share a talk; set it to "
        "false, or start one process",
        "ko": "여러 프로세스가 영상 하나를 나누어 만들 때는 MULTITALK_COMPILE을 쓸 수 없습니다. "
        "false로 설정하거나 프로세스를 하나만 시작하세요.",
    },
    "parallel_needs_diffusion": {
        "en": "several processes were started, and only the diffusion engine shares a talk among "
        "them; ask for diffusion, or start one process",
        "ko": "프로세스가 여러 개 시작되었지만 영상 하나를 나누어 만드는 엔진은 diffusion뿐입니다. "
        "diffusion을 지정하거나 프로세스를 하나만 시작하세요.",
    },
    "parallel_needs_gpus": {
        "en": "process {number} on this machine has no GPU of its own, there being {devices}; "
        "start as many processes as there are GPUs (torchrun --nproc-per-node)",
        "ko": "이 컴퓨터의 GPU는 {devices}개라서 {number}번째 프로세스가 쓸 GPU가 없습니다. GPU "
        "수만큼만 프로세스를 시작하세요 (torchrun --nproc-per-node).",
    },
    "parallel_heads": {
        "en": "{processes} processes cannot share the network's {heads} attention heads evenly; "
        "start one of {numbers} (torchrun --nproc-per-node)",
        "ko": "프로세스 {processes}개로는 신경망의 어텐션 헤드 {heads}개를 똑같이 나눌 수 "
        "없습니다. {numbers}개 중 하나로 시작하세요 (torchrun --nproc-per-node).",
    },
    "parallel_failed": {
        "en": "another of the GPUs that share this talk failed, and its log says how; try again",
        "ko": "이 영상을 함께 만들던 다른 GPU에서 오류가 났습니다. 자세한 내용은 그 프로세스의 "
        "로그에 있습니다. 다시 시도해 주세요.",
    },
    "parallel_lost": {
        "en": "another of the processes that share each talk is gone or does not answer, so "
        "nothing can be rendered here any more; start them all again",
        "ko": "영상을 함께 만드는 다른 프로세스가 사라졌거나 응답하지 않아 더는 렌더링할 수 "
        "없습니다. 모든 프로세스를 다시 시작하세요.",
    },
    "lora_unusable": {
        "en": "{file} in MULTITALK_LORAS cannot be used ({problems}); take a LoRA of Wan2.1's 14B "
        "network",
        "ko": "MULTITALK_LORAS의 {file}을(를) 쓸 수 없습니다 ({problems}). Wan2.1 14B 모델용 "
        "LoRA를 지정해 주세요.",
    },
    "lora_on_merged_weights": {
        "en": "the weights have {merged} merged in already; take {file} out of MULTITALK_LORAS, or "
        "use weights without it",
        "ko": "가중치에 이미 {merged}이(가) 합쳐져 있습니다. MULTITALK_LORAS에서 {file}을(를) "
        "빼거나 합쳐지지 않은 가중치를 쓰세요.",
    },
    "profile_not_offered": {
        "en": "{value} is no profile of this worker's weights; it has {names}",
        "ko": "{value}은(는) 이 워커의 가중치에 없는 프로필입니다. 쓸 수 있는 프로필: {names}",
    },
    "continue_not_taken": {
        "en": "the {engine} engine renders every talk anew, which takes it seconds; leave "
        "continue_from out",
        "ko": "{engine} 엔진은 매번 처음부터 만들며 몇 초면 됩니다. continue_from을 빼 주세요.",
    },
    "earlier_talks_not_kept": {
        "en": "no earlier jobs are kept here; leave continue_from out, or send the job to a server "
        "that keeps them (multitalk serve)",
        "ko": "여기에는 이전 작업이 보관되지 않습니다. continue_from을 빼거나 이전 작업을 보관하는 "
        "서버(multitalk serve)로 보내 주세요.",
    },
    "earlier_job_gone": {
        "en": "no earlier job {value} of which windows are kept; it never was, is another key's, "
        "failed, is over its time, or has one window only",
        "ko": "구간이 보관된 이전 작업 {value}이(가) 없습니다. 없던 작업이거나, 다른 키의 "
        "작업이거나, 실패했거나, 보관 기간이 지났거나, 구간이 하나뿐인 작업입니다.",
    },
    "windows_not_saved": {
        "en": "{file} was not written: only the diffusion engine has windows, and a talk of one "
        "window has none that another could begin with",
        "ko": "{file}을(를) 쓰지 않았습니다. 구간은 diffusion 엔진에만 있고, 구간이 하나뿐인 "
        "영상에는 이어 쓸 구간이 없습니다.",
    },
    "earlier_talk_differs": {
        "en": "the earlier job was made with another {fields}; send the same, or leave "
        "continue_from out",
        "ko": "이전 작업과 {fields} 값이 다릅니다. 같은 값을 보내거나 continue_from을 빼 주세요.",
    },
    "earlier_talk_shorter": {
        "en": "{value} windows are more than are kept of the earlier job; it has {count}",
        "ko": "이전 작업에서 보관된 구간은 {count}개인데 {value}개를 요청했습니다.",
    },
    "earlier_talk_unreadable": {
        "en": "the file of the earlier talk's windows is damaged, or none; make that talk again",
        "ko": "이전 영상의 구간 파일이 손상되었거나 구간 파일이 아닙니다. 그 영상을 다시 만들어 "
        "주세요.",
    },
    "diffusion_not_finite": {
        "en": "the network's numbers became infinite, so there is no picture; try again, with "
        "another seed or lower guidance scales",
        "ko": "신경망의 계산값이 무한대가 되어 영상을 만들지 못했습니다. 다른 seed나 더 낮은 "
        "guide_scale로 다시 시도해 주세요.",
    },
    "stream_broken": {
        "en": "the platform did not take a piece of the video, so the stream has a hole; send the "
        "job again",
        "ko": "플랫폼이 영상 조각을 받지 않아 스트림이 끊겼습니다. 작업을 다시 보내 주세요.",
    },
    "result_refused": {
        "en": "the platform refused a result of {size:.1f} MB; its operator lowers "
        "MULTITALK_MAX_REPLY_BYTES or sets up a bucket; or ask for less (a shorter speech or 480p)",
        "ko": "플랫폼이 {size:.1f} MB 결과를 받지 않았습니다. 운영자가 MULTITALK_MAX_REPLY_BYTES를 "
        "낮추거나 버킷을 설정해야 합니다. 아니면 더 짧은 음성이나 480p로 요청해 주세요.",
    },
    "diffusion_gpu_lost": {
        "en": "the worker's GPU failed and the worker is replaced; send the job again",
        "ko": "워커의 GPU에 문제가 생겨 워커를 바꿉니다. 작업을 다시 보내 주세요.",
    },
    "engine_out_of_memory": {
        "en": "the worker ran out of memory and is replaced; send the job again, or ask for less "
        "(a shorter speech, a smaller picture or 480p)",
        "ko": "워커의 메모리가 부족해 다른 워커로 바꿉니다. 작업을 다시 보내거나 더 짧은 음성, 더 "
        "작은 사진, 480p로 요청해 주세요.",
    },
    "engine_stuck": {
        "en": "the engine stopped answering and its worker is replaced; send the job again",
        "ko": "엔진이 응답하지 않아 워커를 바꿉니다. 작업을 다시 보내 주세요.",
    },
    "engine_not_loaded": {
        "en": "this worker runs the {loaded} engine, not {asked}; leave engine out or send auto",
        "ko": "이 워커는 {asked} 엔진이 아니라 {loaded} 엔진을 실행합니다. engine을 생략하거나 "
        "auto를 보내 주세요.",
    },
    "output_unwritable": {
        "en": "the output cannot be written there ({reason}); choose another place",
        "ko": "출력 파일을 그곳에 쓸 수 없습니다 ({reason}). 다른 곳을 선택해 주세요.",
    },
    "output_misnamed": {
        "en": "{name} is not the name of a video; give it a name that ends in {suffix}",
        "ko": "{name}은(는) 동영상 이름이 아닙니다. {suffix}로 끝나는 이름을 써 주세요.",
    },
    "work_directory_unusable": {
        "en": "the worker's directory for jobs cannot be used ({reason}); its operator sets it "
        "(MULTITALK_WORK_DIRECTORY)",
        "ko": "워커의 작업 폴더를 쓸 수 없습니다 ({reason}). 운영자가 "
        "MULTITALK_WORK_DIRECTORY로 정합니다.",
    },
    "local_disk_full": {
        "en": "the disk takes nothing more ({reason}): free some space, or choose another place "
        "for the output, or for files in work (MULTITALK_WORK_DIRECTORY)",
        "ko": "디스크에 더 쓸 수 없습니다 ({reason}). 공간을 비우거나, 출력 파일이나 작업 "
        "폴더(MULTITALK_WORK_DIRECTORY)를 다른 곳으로 정해 주세요.",
    },
    "work_directory_full": {
        "en": "the worker's disk takes nothing more ({reason}); send the job again later. Its "
        "operator frees space, or sets another directory for jobs (MULTITALK_WORK_DIRECTORY)",
        "ko": "워커의 디스크에 더 쓸 수 없습니다 ({reason}). 나중에 작업을 다시 보내 주세요. "
        "운영자가 공간을 비우거나 다른 작업 폴더(MULTITALK_WORK_DIRECTORY)를 정해야 합니다.",
    },
    "server_disk_low": {
        "en": "the server's disk has {free:.0f} MiB left and keeps {needed:.0f} MiB free, so "
        "nothing new is stored; try again later, or delete talks that nobody needs. Its operator "
        "frees space, or shortens --retention",
        "ko": "서버 디스크에 {free:.0f} MiB가 남았고 {needed:.0f} MiB는 비워 두어야 하므로 새로 "
        "저장하지 않습니다. 나중에 다시 시도하거나 필요 없는 영상을 지워 주세요. 운영자는 공간을 "
        "비우거나 --retention을 줄일 수 있습니다.",
    },
    "server_disk_failed": {
        "en": "the server's disk takes nothing more ({reason}), so nothing was stored; try again "
        "later. Its operator has to look after the disk",
        "ko": "서버 디스크에 더 쓸 수 없어({reason}) 저장하지 못했습니다. 나중에 다시 시도해 "
        "주세요. 운영자가 디스크를 살펴야 합니다.",
    },
    "work_directory_low": {
        "en": "the worker's directory for jobs has {free:.0f} MiB left, but a job may need "
        "{needed:.0f} MiB; free some, or set MULTITALK_WORK_DIRECTORY, "
        "MULTITALK_MAX_VIDEO_BYTES or MULTITALK_MAX_AUDIO_BYTES",
        "ko": "워커의 작업 폴더에 {free:.0f} MiB가 남았지만 작업에는 {needed:.0f} MiB가 필요할 수 "
        "있습니다. 공간을 비우거나 MULTITALK_WORK_DIRECTORY, MULTITALK_MAX_VIDEO_BYTES 또는 "
        "MULTITALK_MAX_AUDIO_BYTES를 바꿔 주세요.",
    },
    # The queue ---------------------------------------------------------------------------------
    "job_unknown": {
        "en": "there is no job {job_id}; it was never sent, was purged, or was forgotten after its "
        "result had been kept for a while",
        "ko": "작업 {job_id}이(가) 없습니다. 보낸 적이 없거나, 비워졌거나, 보관 기간이 지났습니다.",
    },
    "job_key_reused": {
        "en": "this key was sent before with another request; send a new key, or the same request",
        "ko": "이 키는 다른 요청과 함께 이미 쓰였습니다. 새 키를 쓰거나 같은 요청을 보내 주세요.",
    },
    "job_not_retryable": {
        "en": "the job is {status}; only a job that is FAILED or TIMED_OUT can be sent again",
        "ko": "작업 상태가 {status}입니다. FAILED이거나 TIMED_OUT인 작업만 다시 보낼 수 있습니다.",
    },
    "job_not_ended": {
        "en": "the job is {status}; only a job that has ended can be deleted: cancel it first",
        "ko": "작업 상태가 {status}입니다. 끝난 작업만 삭제할 수 있으니 먼저 취소해 주세요.",
    },
    "job_quarantined": {
        "en": "{attempts} workers in turn ended without an answer while they rendered this job, so "
        "it is not tried again; their logs have the cause under job id {job_id}",
        "ko": "워커 {attempts}개가 이 작업을 처리하던 중 응답 없이 끝나서 더 시도하지 않습니다. "
        "원인은 작업 ID {job_id}의 로그에 있습니다.",
    },
    "job_expired": {
        "en": "the job did not end within {seconds:g} s of being sent (policy.ttl); send it again, "
        "with a longer ttl if the queue is long",
        "ko": "작업이 보낸 지 {seconds:g}초(policy.ttl) 안에 끝나지 않았습니다. 다시 보내 주세요. "
        "대기열이 길면 ttl을 늘려 주세요.",
    },
    "queue_full": {
        "en": "the queue's disk is full, so nothing was stored; its operator has to free space",
        "ko": "대기열의 디스크가 가득 차서 저장하지 못했습니다. 운영자가 공간을 비워야 합니다.",
    },
    "queue_failed": {
        "en": "the queue of jobs cannot be used ({reason}); try again later",
        "ko": "작업 대기열을 쓸 수 없습니다 ({reason}). 나중에 다시 시도해 주세요.",
    },
    "queue_url_refused": {
        "en": "{value} is not a queue; write sqlite:///path/to/queue.db or nats://host:4222",
        "ko": "{value}은(는) 대기열 주소가 아닙니다. sqlite:///경로/queue.db 또는 "
        "nats://호스트:4222 "
        "형식으로 써 주세요.",
    },
    "queue_without_library": {
        "en": "a queue on NATS needs nats-py; pip install 'nats-py>=2.10,<3'",
        "ko": "NATS 대기열에는 nats-py가 필요합니다. pip install 'nats-py>=2.10,<3'",
    },
    "upload_unknown": {
        "en": "there is no upload of this name for this job; upload it again",
        "ko": "이 작업에는 그런 이름의 업로드가 없습니다. 다시 업로드해 주세요.",
    },
    "deadline_exceeded": {
        "en": "the job took longer than {limit:g} s (MULTITALK_JOB_SECONDS, or the job's own "
        "executionTimeout); send a shorter speech",
        "ko": "작업이 {limit:g}초(MULTITALK_JOB_SECONDS 또는 작업의 executionTimeout)보다 오래 "
        "걸렸습니다. 더 짧은 음성을 보내 주세요.",
    },
    "cancelled": {"en": "the job was cancelled", "ko": "작업이 취소되었습니다."},
    "internal_error": {
        "en": "the worker failed on this job; its log has the cause under job id {job_id}",
        "ko": "워커가 이 작업을 처리하지 못했습니다. 원인은 작업 ID {job_id}의 로그에 있습니다.",
    },
}


def sentence(key: str, locale: Locale = "en", **parameters: object) -> str:
    """The sentence named `key` in `locale`, its placeholders filled from `parameters`.

    It is one line, and shows whatever a caller's text in it would hide.
    """
    if locale == "ko":
        parameters = {
            name: value.korean if isinstance(value, Translated) else value
            for name, value in parameters.items()
        }
    return visible(SENTENCES[key][locale].format(**parameters))


def visible(text: str) -> str:
    """A text with the codes of all characters that show nothing or turn the direction of reading.

    What a caller wrote could otherwise end a line of the log and forge the next one, or make a
    sentence read as another one (U+202E).
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
