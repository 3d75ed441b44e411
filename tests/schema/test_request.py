"""The contract: every problem of a request told at once, by field, in both languages."""

import importlib.util
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.errors import InternalError, InvalidRequest, LimitExceeded
from multitalk.messages import LOCALES, SENTENCES
from multitalk.schema import (
    Delivery,
    ErrorDetails,
    ErrorReply,
    JobStatus,
    SpokenText,
    TalkRequest,
    TalkResult,
    parse_request,
    read_json,
    wanted_locale,
)
from multitalk.schema.validation import MAX_PROBLEMS, one_error
from multitalk.settings import Settings

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(max_speakers=3, max_text_characters=100)
LEAST = {"prompt": "a talk", "image_path": "a.png", "audio_paths": {"person1": "a.wav"}}
SEED_EXAMPLE = {
    "prompt": "A woman sings",
    "image_path": "https://example.com/portrait.png",
    "audio_paths": {"person1": "https://example.com/1.wav", "person2": "/workspace/2.wav"},
    "audio_type": "para",
    "sample_text_guide_scale": 1.0,
    "sample_audio_guide_scale": 2.0,
    "sample_steps": 8,
    "mode": "streaming",
}


def refused(**changes: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(LEAST | changes, settings=SETTINGS)
    return caught.value


def accepted(**changes: object) -> TalkRequest:
    return parse_request(LEAST | changes, settings=SETTINGS)


def test_the_seeds_request_is_taken_as_it_is():
    request = parse_request(SEED_EXAMPLE, settings=SETTINGS)
    assert request.model_dump(include=set(SEED_EXAMPLE)) == SEED_EXAMPLE


def test_the_seeds_defaults_are_ours():
    request = accepted()
    assert request.sample_text_guide_scale == 1.0
    assert request.sample_audio_guide_scale == 2.0
    assert request.sample_steps == 8
    assert request.mode == "streaming"
    assert request.quality == "standard"
    assert request.audio_type is request.seed is request.shift is None
    assert request.boxes == {}
    assert request.delivery == Delivery(type="auto")


def test_what_is_stated_is_told_from_what_is_left_to_the_profile():
    left = accepted()
    assert left.num_inference_steps is None
    assert left.text_guidance_scale is left.audio_guidance_scale is None
    stated = accepted(sample_steps=8, sample_text_guide_scale=1.0, sample_audio_guide_scale=2.0)
    assert stated.num_inference_steps == 8
    assert (stated.text_guidance_scale, stated.audio_guidance_scale) == (1.0, 2.0)


OPTIONAL = [name for name, field in TalkRequest.model_fields.items() if not field.is_required()]


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_leaves_an_optional_field_out(name):
    said_nothing = accepted(**{name: None})
    assert said_nothing == accepted()
    assert name not in said_nothing.model_fields_set


def test_null_leaves_out_what_is_optional_inside_a_field():
    voices = {"p": {"text": "hi", "voice": None, "language": None}}
    assert accepted(audio_paths=voices).audio_paths == {"p": SpokenText(text="hi")}
    assert accepted(delivery={"type": None}).delivery == Delivery(type="auto")
    assert refused(audio_paths={"p": {"text": None}}).field == "audio_paths.p.text"
    assert refused(moed=None).key == "unknown_field_near"


def test_the_json_schema_takes_null_where_the_model_does():
    schema = TalkRequest.model_json_schema(mode="validation")
    for model in (schema, *schema["$defs"].values()):
        for name, said in model["properties"].items():
            taken = {"type": "null"} in said.get("anyOf", [])
            assert taken == (name not in model.get("required", [])), name


@pytest.mark.parametrize(
    ("audio_type", "order"),
    [
        (None, "parallel"),
        ("para", "parallel"),
        ("speech", "parallel"),
        ("singing", "parallel"),
        ("add", "sequential"),
    ],
)
def test_only_add_puts_the_voices_in_turn(audio_type, order):
    assert accepted(audio_type=audio_type).speaker_order == order


def test_speakers_keep_the_callers_order():
    names = ["z", "가나", "a b", "person.1"]
    request = parse_request(
        LEAST | {"audio_paths": dict.fromkeys(names, "a.wav")}, settings=Settings()
    )
    assert list(request.audio_paths) == names


def test_a_voice_is_a_source_or_a_text_or_several_texts():
    voices = {
        "a": "a.wav",
        "b": {"text": "hello", "voice": "x", "language": "en-us"},
        "c": [{"text": "안녕", "language": "ko"}, {"text": "hi"}],
    }
    request = accepted(audio_paths=voices)
    assert request.audio_paths["a"] == "a.wav"
    assert request.audio_paths["b"] == SpokenText(text="hello", voice="x", language="en-us")
    assert [text.text for text in request.audio_paths["c"]] == ["안녕", "hi"]


def test_a_request_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        accepted().prompt = "other"


def test_a_request_made_in_python_has_no_worker_s_limits():
    voices = {f"person{n}": {"text": "x" * 9000} for n in range(20)}
    assert len(TalkRequest.model_validate(LEAST | {"audio_paths": voices}).audio_paths) == 20


# What is missing --------------------------------------------------------------------------------

SEEDS_SENTENCE = "필수 입력값(prompt, image_path, audio_paths)이 누락되었습니다."
NOTHING = {"prompt": ["", "  ", None], "image_path": ["", None], "audio_paths": [{}, None, ""]}


@pytest.mark.parametrize("name", NOTHING)
def test_a_required_field_that_says_nothing_is_missing(name):
    empty = [LEAST | {name: value} for value in NOTHING[name]]
    absent = {key: value for key, value in LEAST.items() if key != name}
    for given_input in [*empty, absent]:
        with pytest.raises(InvalidRequest) as caught:
            parse_request(given_input, settings=SETTINGS)
        assert caught.value.text("ko") == SEEDS_SENTENCE
        assert caught.value.text().startswith(f"Required input is missing: {name}.")


def test_an_empty_input_lacks_all_three():
    with pytest.raises(InvalidRequest) as caught:
        parse_request({}, settings=SETTINGS)
    assert "missing: prompt, image_path, audio_paths." in str(caught.value)
    assert caught.value.text("ko") == SEEDS_SENTENCE


@pytest.mark.parametrize("value", [None, 5, "text", ["list"], [], True, 1.5])
def test_an_input_that_is_no_object_is_refused(value):
    with pytest.raises(InvalidRequest, match="must be an object"):
        parse_request(value, settings=SETTINGS)


# What is wrong ----------------------------------------------------------------------------------

WRONG = [
    ("prompt", 5, "prompt: must be text; got 5"),
    ("prompt", ["a"], "prompt: must be text; got […]"),
    ("prompt", "x" * 10_001, "prompt: 10001 characters; the limit is 10000"),
    ("prompt", "a\0b", "prompt: contains characters that are not text"),
    ("prompt", "\ud800", "prompt: contains characters that are not text"),
    ("image_path", {"url": "x"}, "image_path: must be text; got {…}"),
    ("audio_paths", "a.wav", 'audio_paths: must be an object {name: value}; got "a.wav"'),
    ("audio_paths", ["a.wav"], "audio_paths: must be an object"),
    ("audio_paths", {"p": 3}, "audio_paths.p: must be text; got 3"),
    ("audio_paths", {"p": None}, "audio_paths.p: must be text; got null"),
    ("audio_paths", {"p": " "}, "audio_paths.p: must not be blank"),
    ("audio_paths", {5: "a"}, "audio_paths.5: must be text; got 5"),
    ("audio_paths", {"": "a"}, "audio_paths.: a speaker's name must be printable"),
    ("audio_paths", {" p": "a"}, "audio_paths. p: a speaker's name must be printable"),
    ("audio_paths", {"a\nb": "a"}, 'audio_paths."a\\nb": a speaker\'s name must be printable'),
    ("audio_paths", {"p" * 65: "a"}, "a speaker's name of 65 characters; the limit is 64"),
    ("audio_paths", {"é": "a", "e\u0301": "b"}, "audio_paths: two speakers have the same name"),
    ("audio_paths", dict.fromkeys("abcd", "x"), "audio_paths: 4 speakers; this worker accepts 3"),
    ("audio_paths", {"p": {}}, "audio_paths.p.text: missing"),
    ("audio_paths", {"p": {"text": "  "}}, "audio_paths.p.text: must not be blank"),
    ("audio_paths", {"p": {"text": "x" * 101}}, "audio_paths.p.text: 101 characters; the limit is"),
    ("audio_paths", {"p": {"txt": "x", "text": "x"}}, "audio_paths.p.txt: not a field; did you"),
    (
        "audio_paths",
        {"p": {"text": "x", "language": "k" * 65}},
        "audio_paths.p.language: 65 characters; the limit is 64",
    ),
    (
        "audio_paths",
        {"p": {"text": "x", "speed": 0.4}},
        "p.speed: 0.4 is too low; the limit is 0.5",
    ),
    ("audio_paths", {"p": {"text": "x", "speed": "2"}}, 'p.speed: must be a number; got "2"'),
    ("audio_paths", {"p": {"text": "x", "pitch": 13}}, "p.pitch: 13 is too high; the limit is 12"),
    ("audio_paths", {"p": {"text": "x", "voice": "tts:sky"}}, "p.voice: tts:sky needs a speech"),
    (
        "audio_paths",
        {"p": [{"text": "x", "voice": "tts:sky", "pitch": 1}]},
        "p.0.voice: tts:sky needs a speech service",
    ),
    ("audio_paths", {"p": []}, "audio_paths.p: 0 texts; give one speaker 1 to 32"),
    ("audio_paths", {"p": [{"text": "x"}] * 33}, "audio_paths.p: 33 texts"),
    ("audio_paths", {"p": [{"text": "x"}, "y"]}, "audio_paths.p.1: must be an object"),
    ("audio_paths", {"p": [{"text": "x"}, {"text": ""}]}, "audio_paths.p.1.text: must not be"),
    ("audio_type", "paraa", 'audio_type: "paraa" is not a choice; choose one of para, add, speech'),
    ("audio_type", 3, "audio_type: 3 is not a choice"),
    ("sample_text_guide_scale", "1.0", 'sample_text_guide_scale: must be a number; got "1.0"'),
    ("sample_text_guide_scale", math.nan, "sample_text_guide_scale: must be a finite number; got"),
    ("sample_audio_guide_scale", math.inf, "sample_audio_guide_scale: must be a finite number"),
    ("sample_audio_guide_scale", True, "sample_audio_guide_scale: must be a number; got true"),
    ("sample_audio_guide_scale", -0.5, "sample_audio_guide_scale: -0.5 is too low; the limit is 0"),
    ("sample_audio_guide_scale", 21, "sample_audio_guide_scale: 21 is too high; the limit is 20"),
    ("sample_audio_guide_scale", 10**400, "sample_audio_guide_scale: must be a number; got > 1e16"),
    ("sample_steps", True, "sample_steps: must be a whole number; got true"),
    ("sample_steps", 1.5, "sample_steps: must be a whole number; got 1.5"),
    ("sample_steps", "8", 'sample_steps: must be a whole number; got "8"'),
    ("sample_steps", math.nan, "sample_steps: must be a whole number; got NaN"),
    ("sample_steps", 0, "sample_steps: 0 is too low; the limit is 1"),
    ("sample_steps", 101, "sample_steps: 101 is too high; the limit is 100"),
    ("sample_steps", 10**100, "sample_steps: > 1e16 is too high; the limit is 100"),
    ("mode", "stream", 'mode: "stream" is not a choice; choose one of streaming, clip'),
    ("seed", -1, "seed: -1 is too low; the limit is 0"),
    ("seed", 2**53, "seed: 9007199254740992 is too high"),
    ("negative_prompt", "\0", "negative_prompt: contains characters that are not text"),
    ("sample_shift", 0, "sample_shift: 0 is too low"),
    ("resolution", "1080p", 'resolution: "1080p" is not a choice; choose one of 480p, 720p'),
    ("quality", "best", 'quality: "best" is not a choice; choose one of draft, standard, fine'),
    ("bbox", [1, 2, 3, 4], "bbox: must be an object"),
    ("bbox", {"person1": "1,2,3,4"}, "bbox.person1: must be four numbers"),
    ("bbox", {"person1": [1, 2, 3]}, "bbox.person1: must be four numbers"),
    ("bbox", {"person1": [1, 2, 3, 4, 5]}, "bbox.person1: must be four numbers"),
    ("bbox", {"person1": [1, 2, 3, "4"]}, 'bbox.person1.3: must be a number; got "4"'),
    ("bbox", {"person1": [-1, 2, 3, 4]}, "bbox.person1.0: -1 is too low; the limit is 0"),
    ("bbox", {"person1": [1, math.nan, 3, 4]}, "bbox.person1.1: must be a finite number"),
    ("bbox", {"person1": [3, 2, 1, 4]}, "bbox.person1: x_min must be below x_max"),
    ("bbox", {"person1": [1, 2, 3, 2]}, "bbox.person1: x_min must be below x_max"),
    ("bbox", {"person2": [1, 2, 3, 4]}, "bbox: no speaker is called person2; the speakers"),
    ("engine", "cuda", 'engine: "cuda" is not a choice; choose one of auto, warp, diffusion'),
    ("profile", "fast", "choose one of fusionx, lightx2v, realtime, quality"),
    ("color_correction", 1.5, "color_correction: 1.5 is too high; the limit is 1"),
    ("label", "인공지능", "label: a label can have letters, digits and signs of ASCII only"),
    ("label", "AI\n", "label: a label can have letters, digits and signs of ASCII only"),
    ("label", " ", "label: "),
    ("label", "A" * 25, "label: "),
    ("locale", "fr", f'locale: "fr" is not a choice; choose one of {", ".join(LOCALES)}'),
    ("delivery", "bucket", 'delivery: must be an object {name: value}; got "bucket"'),
    ("delivery", {"type": "s3"}, 'delivery.type: "s3" is not a choice'),
    ("delivery", {"typ": "auto"}, "delivery.typ: not a field; did you mean type?"),
    ("image_pth", "x", "image_pth: not a field; did you mean image_path?"),
    ("Prompt", "x", "Prompt: not a field; did you mean prompt?"),
    ("zzzz", 1, "zzzz: not a field; the fields are prompt, image_path"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_is_told_by_field_value_limit_and_way_out(name, value, said):
    error = refused(**{name: value})
    assert said in str(error)
    assert "\n" not in str(error)
    assert error.others == ()
    assert re.search("[가-힣]", error.text("ko")), "not told in Korean"


def test_every_problem_is_told_at_once_the_missing_first():
    wrong = {"prompt": "", "sample_steps": 0, "mode": "x", "bbox": {"q": [1, 2]}, "promt": "x"}
    error = refused(**wrong)
    lines = str(error).split("\n")
    assert len(lines) == 5
    assert lines[0].startswith("Required input is missing: prompt.")
    for name in ("sample_steps", "mode", "bbox.q", "promt"):
        assert any(line.startswith(f"{name}: ") for line in lines)
    assert len(error.text("ko").split("\n")) == 5


def test_an_answer_names_no_more_problems_than_can_be_read():
    error = refused(**{f"field_{n}": n for n in range(60)})
    lines = str(error).split("\n")
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1] == f"... and {60 - MAX_PROBLEMS} problems more; put these right first"


def test_no_base64_reaches_a_message():
    payload = "data:image/png;base64," + "QUJD" * 1000
    for name in ("mode", "sample_steps", "engine", "bbox", "unknown", "audio_paths"):
        assert "QUJD" not in str(refused(**{name: payload}))
    assert "QUJD" not in str(refused(**{payload: 1}))
    assert "QUJD" not in str(refused(audio_paths={payload: "a"}))


def test_a_kind_of_error_without_a_sentence_is_told_in_pydantics_words():
    item = {"type": "future_kind", "loc": ("seed",), "msg": "Is odd", "input": 3}
    error = one_error([item], known_fields=lambda parent: [])
    assert str(error) == "seed: Is odd (got 3)"
    assert error.text("ko") == "seed: Is odd (받은 값: 3)"


def test_whole_floats_are_whole_numbers():
    assert accepted(sample_steps=8.0).sample_steps == 8
    assert accepted(seed=7.0).seed == 7


def test_a_number_too_long_to_print_is_told_all_the_same():
    assert str(refused(sample_steps=-(10**5000))).startswith("sample_steps: ")


def test_boxes_are_tuples_of_numbers():
    request = accepted(bbox={"person1": [1, 2.5, 3, 4]})
    assert request.boxes == {"person1": (1.0, 2.5, 3.0, 4.0)}


def test_a_stranger_s_box_waits_until_the_speakers_are_right():
    error = refused(audio_paths={"p": 3}, bbox={"q": [1, 2, 3, 4]})
    assert [error.field, *(other.field for other in error.others)] == ["audio_paths.p"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(sorted(TalkRequest.model_fields)) | st.text()


@given(st.dictionaries(fields, anything, max_size=8) | anything)
def test_any_input_is_either_valid_or_refused_in_both_languages(value):
    try:
        parse_request(value, settings=SETTINGS)
    except InvalidRequest as error:
        for locale in ("en", "ko"):
            reply = ErrorReply.of(error, locale).reply()
            json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()


# JSON -------------------------------------------------------------------------------------------


def test_json_is_read_as_it_is():
    assert read_json(b'{"input": {"prompt": "\xec\x95\x88"}}') == {"input": {"prompt": "안"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": {"b": 1, "b": 2}}', '"b" is given twice'),
        ('{"a": NaN}', "not JSON that can be read"),
        ('{"a": -Infinity}', "not JSON that can be read"),
        ('{"a": 1,}', "not JSON that can be read"),
        ("", "not JSON that can be read (Expecting value, 1:1)"),
        (b"\xff\xff\xff", "not JSON that can be read"),
        ("[" * 10_000, "nested too deeply"),
        ('{"a": 1e999}', "not JSON that can be read"),
    ],
)
def test_json_that_says_two_things_or_none_is_refused(text, said):
    with pytest.raises(InvalidRequest) as caught:
        read_json(text)
    assert said in str(caught.value)
    caught.value.text("ko").encode()


# Answers ----------------------------------------------------------------------------------------

DONE = {
    "width": 640,
    "height": 480,
    "fps": 25.0,
    "num_frames": 50,
    "duration_seconds": 2.0,
    "seed": 1,
    "engine": "warp",
}


def test_a_result_says_where_the_video_is_and_nothing_empty():
    result = TalkResult(**DONE, video_base64="AAAA", warnings=["w"], timings={"render": 1.5})
    assert result.reply() == {
        "status": "success",
        "video_base64": "AAAA",
        "filename": "generated_video.mp4",
        "warnings": ["w"],
        "timings": {"render": 1.5},
        **DONE,
    }


@pytest.mark.parametrize("where", [{}, {"video_base64": "AAAA", "video_url": "https://a"}])
def test_a_result_has_exactly_one_video(where):
    with pytest.raises(ValueError, match="exactly one"):
        TalkResult(**DONE, **where)


def test_an_error_reply_names_code_and_field():
    error = LimitExceeded("speech_too_long", field="audio_paths.person1", limit=60.0)
    reply = ErrorReply.of(error, "en").reply()
    assert reply == {
        "error": "audio_paths.person1: more than 60 s of audio; this worker accepts 60 s "
        "(MULTITALK_MAX_SPEECH_SECONDS)",
        "details": {
            "problems": [
                {
                    "field": "audio_paths.person1",
                    "reason": "speech_too_long",
                    "message": "more than 60 s of audio; this worker accepts 60 s "
                    "(MULTITALK_MAX_SPEECH_SECONDS)",
                }
            ]
        },
        "code": "limit_exceeded",
        "field": "audio_paths.person1",
    }
    assert "초" in ErrorReply.of(error, "ko").error


def test_an_error_without_a_field_has_none():
    reply = ErrorReply.of(InternalError("internal_error", job_id="j"), "en").reply()
    assert set(reply) == {"error", "details", "code"}
    (problem,) = reply["details"]["problems"]
    assert set(problem) == {"reason", "message"}


def details_of(given, locale="en"):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(given, settings=SETTINGS)
    return ErrorReply.of(caught.value, locale).reply()["details"]


def test_details_name_each_wrong_field_by_itself_with_what_was_given():
    problems = details_of({**LEAST, "sample_steps": 500, "mode": "fast", "seeed": 1})["problems"]
    assert [(one["field"], one["reason"], one.get("value")) for one in problems] == [
        ("sample_steps", "too_high", "500"),
        ("mode", "expected_one_of", '"fast"'),
        ("seeed", "unknown_field_near", None),
    ]
    assert all(one["message"] and one["field"] not in one["message"] for one in problems)


def test_details_name_each_missing_field_by_itself():
    problems = details_of({"prompt": "a"}, locale="ko")["problems"]
    assert [one["field"] for one in problems] == ["image_path", "audio_paths"]
    assert {one["reason"] for one in problems} == {"field_missing"}
    assert "필요" in problems[0]["message"]


def test_details_hold_no_more_of_what_was_given_than_the_sentence():
    secret = "A" * 2000 + "?signature=secret"
    details = details_of({**LEAST, "mode": secret, "seed": secret, "audio_paths": [secret]})
    told = json.dumps(details)
    assert "secret" not in told
    assert "A" * 50 not in told


def test_the_error_that_the_docs_show_is_what_is_answered():
    shown = next(
        json.loads(block.split("```")[0])
        for block in (ROOT / "docs/api.md").read_text(encoding="utf-8").split("```json\n")[1:]
        if block.startswith('{\n  "error"')
    )
    with pytest.raises(InvalidRequest) as caught:
        parse_request({**LEAST, "sample_steps": 500, "mode": "fast"}, settings=SETTINGS)
    assert ErrorReply.of(caught.value, "en").reply() == shown


@pytest.mark.parametrize(
    ("value", "locale"), [({"locale": "ko"}, "ko"), ({"locale": 3}, "en"), ([], "en"), (None, "en")]
)
def test_even_a_wrong_input_chooses_its_language(value, locale):
    assert wanted_locale(value) == locale


# Documents --------------------------------------------------------------------------------------


def documented(heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading of docs/api.md, by their first column."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    section = text.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in rows}


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Request", TalkRequest),
        ("Voices", SpokenText),
        ("Delivery", Delivery),
        ("Result", TalkResult),
        ("Error", ErrorReply),
        ("Details", ErrorDetails),
    ],
)
def test_docs_name_every_field_in_order(heading, model):
    rows = list(documented(heading))
    assert rows[: len(model.model_fields)] == list(model.model_fields)


def test_docs_give_every_default():
    for name, (_, default, *_) in documented("Request").items():
        field = TalkRequest.model_fields[name]
        if field.is_required():
            assert default == "required"
            continue
        value = field.get_default(call_default_factory=True)
        shown = value.model_dump() if isinstance(value, Delivery) else value
        if isinstance(shown, str | dict):
            text = shown if isinstance(shown, str) and shown else json.dumps(shown)
            assert default == f"`{text}`"
        else:
            assert default == ("-" if shown is None else str(shown))


def test_docs_name_every_state():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert all(f"`{status.value}`" in text for status in JobStatus)


def test_the_json_schemas_in_docs_are_the_models():
    tool = importlib.util.spec_from_file_location("write_schemas", ROOT / "tools/write_schemas.py")
    module = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(module)
    for name, text in module.schemas().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run the tool"


def test_the_seeds_sentence_is_exact():
    assert SENTENCES["missing_required"]["ko"] == SEEDS_SENTENCE
