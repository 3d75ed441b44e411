"""Every sentence a caller may read, in English and in Korean.

A sentence names the value, the limit and the way out. Placeholders are `str.format` fields; both
languages of a sentence use the same ones (a test checks it). Nothing here may carry a traceback,
a local path, base64 or a signed query: the parameters are chosen where the sentence is used.
"""

from typing import Literal

Locale = Literal["en", "ko"]

SENTENCES: dict[str, dict[Locale, str]] = {
    "missing_required": {
        "en": "Required input is missing: {missing}. A request needs prompt, image_path and "
        "audio_paths.",
        "ko": "필수 입력값(prompt, image_path, audio_paths)이 누락되었습니다.",
    },
    # Requests ----------------------------------------------------------------------------------
    "input_not_an_object": {
        "en": "the input must be an object with prompt, image_path and audio_paths; got {value}",
        "ko": "입력은 prompt, image_path, audio_paths를 담은 객체여야 합니다. 받은 값: {value}",
    },
    "json_broken": {
        "en": "not JSON that can be read ({reason})",
        "ko": "읽을 수 있는 JSON이 아닙니다 ({reason}).",
    },
    "json_key_twice": {
        "en": "given twice in one object; keep one of them",
        "ko": "한 객체에 두 번 들어 있습니다. 하나만 남겨 주세요.",
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
    "text_broken": {
        "en": "contains characters that are not text (NUL or half of a surrogate pair)",
        "ko": "텍스트가 아닌 문자(NUL 또는 깨진 서로게이트)가 들어 있습니다.",
    },
    "text_too_long": {
        "en": "{length} characters; the limit is {limit}",
        "ko": "{length}자입니다. 한계는 {limit}자입니다.",
    },
    "language_unknown": {
        "en": "{value} is not a language tag; write one such as ko, en or en-us",
        "ko": "{value}은(는) 언어 태그가 아닙니다. ko, en, en-us처럼 써 주세요.",
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
        "en": "no speaker is called {names}; the speakers in audio_paths are {speakers}",
        "ko": "{names}(이)라는 화자가 없습니다. audio_paths의 화자: {speakers}",
    },
    "pydantic_said": {"en": "{said} (got {value})", "ko": "{said} (받은 값: {value})"},
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
    # Faces -------------------------------------------------------------------------------------
    "no_face_found": {
        "en": "no face was found in the picture; send one in which each speaker's face is visible "
        "and at least {pixels} pixels high",
        "ko": "사진에서 얼굴을 찾지 못했습니다. 말하는 사람의 얼굴이 {pixels}픽셀 이상으로 보이는 "
        "사진을 보내 주세요.",
    },
    "too_few_faces": {
        "en": "{speakers} speakers but {faces} faces in the picture; send a picture with a face "
        "for each speaker, or fewer speakers",
        "ko": "화자는 {speakers}명인데 사진 속 얼굴은 {faces}개입니다. 화자마다 얼굴이 있는 사진을 "
        "보내거나 화자를 줄여 주세요.",
    },
    "no_face_in_box": {
        "en": "no face was found inside this box; boxes are [x_min, y_min, x_max, y_max] in pixels "
        "of the picture ({width}x{height})",
        "ko": "이 상자 안에서 얼굴을 찾지 못했습니다. 상자는 사진({width}x{height})의 픽셀 단위 "
        "[x_min, y_min, x_max, y_max]입니다.",
    },
    "face_too_small": {
        "en": "the face is {height:.0f} pixels high; it must be at least {limit} pixels to speak: "
        "send a larger picture or a closer crop",
        "ko": "얼굴 높이가 {height:.0f}픽셀입니다. 말하게 하려면 {limit}픽셀 이상이어야 합니다. "
        "더 큰 사진이나 더 가까운 사진을 보내 주세요.",
    },
    "mediapipe_missing": {
        "en": "finding faces needs {module}, which is not installed here: "
        "pip install --no-deps mediapipe==0.10.21",
        "ko": "얼굴을 찾으려면 {module}이(가) 필요하지만 설치되어 있지 않습니다: "
        "pip install --no-deps mediapipe==0.10.21",
    },
    # Warnings ----------------------------------------------------------------------------------
    "face_in_profile": {
        "en": "{speaker}: the face is turned {degrees:.0f} degrees; beyond {limit:.0f} the mouth "
        "may look wrong",
        "ko": "{speaker}: 얼굴이 {degrees:.0f}도 돌아가 있습니다. {limit:.0f}도를 넘으면 입 모양이 "
        "어색할 수 있습니다.",
    },
    "face_is_small": {
        "en": "{speaker}: the face is only {height:.0f} pixels high; from {limit} pixels on the "
        "lips look sharp",
        "ko": "{speaker}: 얼굴 높이가 {height:.0f}픽셀뿐입니다. {limit}픽셀부터 입술이 선명합니다.",
    },
    "prompt_not_acted": {
        "en": "the warp engine moves the picture that it is given: the prompt's acting, scene and "
        "camera directions need the diffusion engine",
        "ko": "warp 엔진은 주어진 사진만 움직입니다. 프롬프트의 연기, 장면, 카메라 지시는 "
        "diffusion 엔진이 필요합니다.",
    },
    # Worker ------------------------------------------------------------------------------------
    "engine_unavailable": {
        "en": "the {engine} engine cannot run here: {reason}",
        "ko": "여기서는 {engine} 엔진을 사용할 수 없습니다: {reason}",
    },
    "diffusion_not_included": {
        "en": "the diffusion engine is not part of this release; leave engine out, or send auto or "
        "warp",
        "ko": "diffusion 엔진은 이번 버전에 포함되어 있지 않습니다. engine을 생략하거나 auto 또는 "
        "warp를 보내 주세요.",
    },
    "engine_not_loaded": {
        "en": "this worker runs the {loaded} engine, not {asked}; leave engine out or send auto",
        "ko": "이 워커는 {asked} 엔진이 아니라 {loaded} 엔진을 실행합니다. engine을 생략하거나 "
        "auto를 보내 주세요.",
    },
    "deadline_exceeded": {
        "en": "the job took longer than {limit:g} s (MULTITALK_JOB_SECONDS); send a shorter speech",
        "ko": "작업이 {limit:g}초(MULTITALK_JOB_SECONDS)보다 오래 걸렸습니다. 더 짧은 음성을 보내 "
        "주세요.",
    },
    "cancelled": {"en": "the job was cancelled", "ko": "작업이 취소되었습니다."},
    "internal_error": {
        "en": "the worker failed on this job; its log has the cause under job id {job_id}",
        "ko": "워커가 이 작업을 처리하지 못했습니다. 원인은 작업 ID {job_id}의 로그에 있습니다.",
    },
}


def sentence(key: str, locale: Locale = "en", **parameters: object) -> str:
    """The sentence named `key` in `locale`, its placeholders filled from `parameters`."""
    return SENTENCES[key][locale].format(**parameters)
