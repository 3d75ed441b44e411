"""What a hostile or a broken client sends: bodies, texts for paths and queries, headers."""

import json
import random
from collections.abc import Iterator

PAIR = {"prompt": "x", "image_path": "/nope.jpg", "audio_paths": {"a": "/nope.wav"}}
ORDER = {"input": PAIR, "policy": {"ttl": 20_000}, "s3Config": {}, "webhook": None}


def _of_input(**fields: object) -> bytes:
    return json.dumps({"input": {**PAIR, **fields}}).encode()


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


BODIES = (
    *(b"", b" ", b"null", b"true", b"1", b'"x"', b"[]", b"{}", b'{"input":', b"{'input': {}}"),
    *(b'{"input": null}', b'{"input": 1}', b'{"input": "x"}', b'{"input": [1]}', b'{"jobs": {}}'),
    *(b'{"input": {}} x', b'{"input": {},}', b'{"input": {}, "input": {}}', b'{"jobs": [null]}'),
    *(b'{"input": {"seed": %s}}' % number for number in (b"1e999", b"-1e999", b"NaN", b"Infinity")),
    *(b'{"input": {"seed": %s}}' % (b"9" * digits) for digits in (20, 399, 401, 5000)),
    *(b'{"input": {"seed": 1.%s}}' % (b"9" * 100_000), b'{"input": 1e999}', b'{"policy": 1e999}'),
    *(b'{"input": %s}' % _nested(depth) for depth in (40, 64, 65, 254, 255, 256, 950, 5000)),
    *(b'{"input": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}" for depth in (64, 255, 1000)),
    *(b'{"input": {}, "policy": %s}' % _nested(depth) for depth in (60, 255, 1000)),
    b"[" * 100_000,
    b'{"input": [' + b"{}," * 50_000 + b"1]}",
    json.dumps({"input": {f"prompx{n}": 1 for n in range(500)}}).encode(),
    json.dumps({f"prompx{n}": 1 for n in range(5000)}).encode(),
    json.dumps({"input": {"x" * 100_000: 1}}).encode(),
    json.dumps({"x" * 100_000: 1, "input": PAIR}).encode(),
    *(  # halves of surrogate pairs, as names and as values
        text.encode()
        for text in (
            '{"input": {"prompt": "\\ud800"}}',
            '{"input": {"\\ud800": 1}}',
            '{"input": {}, "\\ud800": 1}',
            '{"input": {"image_path": "upload://\\ud800"}}',
            '{"input": {"audio_paths": {"\\udfff": "x"}}}',
            '{"input": {}, "webhook": "http://\\ud800.example/"}',
            '{"input": {}, "policy": {"\\ud800": 1}}',
            '{"input": {}, "s3Config": {"endpointUrl": "https://\\ud800"}}',
            '{"image_path": "upload://\\ud800"}',
            '{"\\ud800": "\\udfff"}',
            '{"jobs": [{"input": {"\\ud800": 1}}]}',
        )
    ),
    *(b'{"input": {"prompt": "%s"}}' % raw for raw in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80")),
    *(b'\xef\xbb\xbf{"input": {}}', b'\xff\xfe{\x00"', b'{"input": {"prompt": "\x01"}}'),
    *('{"input": {}}'.encode(name) for name in ("utf-16", "utf-32", "utf-16-be")),
    *(
        json.dumps({**ORDER, **more}).encode()
        for more in (
            {"policy": "x"},
            {"policy": {"ttl": 10**30}},
            {"policy": {"ttl": -1}},
            {"webhook": 1},
            {"webhook": "http://[::1/"},
            {"webhook": "http://a:99999/"},
            {"webhook": "http://a/\r\nX: y"},
            {"webhook": "file:///etc/passwd"},
            {"s3Config": [1]},
            {"owner": "key-1"},
            {"job_id": "../x"},
            {"s3Config": {"endpointUrl": {"a": [1]}, "accessId": "a", "accessSecret": "b"}},
            {"s3Config": {"endpointUrl": "\u00a0http://h", "accessId": "a", "accessSecret": "b"}},
            {"s3Config": {"endpointUrl": "https://[", "accessId": "a", "accessSecret": "b"}},
        )
    ),
    *(
        _of_input(image_path=source)
        for source in (
            1,
            ["x"],
            {"text": "x"},
            "/etc/passwd",
            "/x\0y",
            "/" + "a" * 5000,
            "//etc/passwd",
            "~/x",
            "upload://../../queue.db",
            "upload://\0",
            "upload:",
            "upload://" + "0" * 32,
            "http://[",
            "data:image/png;base64,!!!",
            "data:,",
            "data:,%ZZ",
            "http://a:99999999999/",
            "http://\u202e/",
            "https://" + "a" * 300,
            "concat:/etc/passwd",
            "http://a..b/",
            "http://xn--a/",
            "http://%00/",
        )
    ),
    *(
        _of_input(audio_paths=voices)
        for voices in (
            ["x"],
            "x",
            {},
            {"": "/x"},
            {"\u202eevil": "/x"},
            {"a\nb": "/x"},
            {"../../x": {"text": "hi"}},
            {"a": {"text": "x", "language": "../../etc"}},
            {"a": {"text": "x", "voice": "tts:\0"}},
            {"a": [{"text": "x", "x": 1}] * 40},
            {"a": []},
            {"a": [[]]},
            {"a": {"text": "\u200b"}},
            {str(n): "/x" for n in range(60)},
            {"\u00e9": "/x", "e\u0301": "/y"},
            {"a": "/x", "a.b": 1},
        )
    ),
    *(_of_input(bbox=box) for box in ("x", {"a": [1]}, {"a": [[1], 0, 1, 1]}, {"\u202e": [0] * 4})),
    *(
        _of_input(**{field: value})
        for field in ("locale", "mode", "delivery", "engine", "seed")
        for value in ("\u202e" * 50, -1, 1.5, True, {}, "x" * 100_000)
    ),
    *(
        json.dumps({"input": said, **more}).encode()
        for said, more in (
            ("", {}),
            ("\ud800", {}),
            ("x", {"speed": 1e308}),
            ("x", {"voice": "\u202e" * 99}),
            ("x", {"language": "\0"}),
            ("x", {"response_format": "../x"}),
            ("x" * 6000, {}),
            ("x", {"pitch": 10**300}),
            ("x", {"voice": ["a"]}),
        )
    ),
)

TEXTS = (  # percent-encoded, for a path or a query
    *("x", "%00", "%FF", "%ED%A0%80", "%F0%9F%98%80", "..%2F..%2Fetc", "%2e%2e", "a" * 3000, "'--"),
    *("%E2%80%AE", "%0Ax%0D", "-1", "0", "1e9", "NaN", "9" * 14, "9" * 400, "9" * 5000, "1.0"),
    *(
        "%D9%A1%D9%A2%D9%A3%D9%A4",
        "%C2%B2",
        "%",
        "%zz",
        "*",
        "a.b.>",
        "{job_id}",
        "%5B",
        "a%20b",
        "",
    ),
)

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    *(
        (b"content-type", kind)
        for kind in (
            b"",
            b"text/plain",
            b"application/json; charset=x",
            b"multipart/form-data",
            b"application/x-www-form-urlencoded",
            b"\xff",
            b"image/png",
        )
    ),
    *((b"content-length", length) for length in (b"x", b"-1", b"\xb2", b"9" * 18, b"9" * 5000)),
    *((b"idempotency-key", key) for key in (b"", b"a" * 300, b"\xff\xe9", b"\x00")),
    *(
        (b"range", b"bytes=" + part)
        for part in (
            b"9" * 5000 + b"-",
            b"-" + b"9" * 5000,
            b"0-" + b"9" * 5000,
            b"9" * 18 + b"-",
            b"5-1",
            b"-",
            b"-0",
            b"0-0,2-3",
            b"\xb2-",
            b"x",
        )
    ),
    *(
        (b"host", name)
        for name in (
            b"",
            b"[",
            b"[::1",
            b"a:b",
            b"localhost:99999999",
            b"\xff",
            b"a" * 5000,
            b"127.0.0.1:\xb2",
            b"a\x00b",
        )
    ),
    *(
        (b"origin", page)
        for page in (
            b"",
            b"null",
            b"http://[",
            b"http://[::1",
            b"\xff",
            b"a" * 5000,
            b"http://a:b",
            b"http://\xe2\x80\xae",
        )
    ),
    *(
        (b"authorization", key)
        for key in (b"", b"Bearer", b"Bearer \xff", b"x" * 5000, b"Basic eDp5")
    ),
    *(
        (b"accept-language", b"ko" * 3000),
        (b"accept-language", b"\xff"),
        (b"expect", b"100-continue"),
    ),
    *((b"if-none-match", b"\xff" * 99), (b"if-range", b"x"), (b"if-modified-since", b"\xff")),
    *((b"if-modified-since", b"Thu, 99 Foo 99999 99:99:99 GMT"), (b"cookie", b"\xff=\x00")),
    *(
        (b"x-forwarded-for", b"\xff"),
        (b"x-forwarded-proto", b"javascript"),
        (b"transfer-encoding", b"x"),
    ),
    *((b"sec-fetch-site", b"cross-site"), (b"access-control-request-method", b"\xff")),
)


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Bodies of `/run` with a few bytes changed, doubled, cut out or put in."""
    chance = random.Random(seed)
    whole = json.dumps(ORDER).encode()
    pieces = (
        b'"',
        b"\\",
        b"\\ud800",
        b"\xed\xa0\x80",
        b"{",
        b"[",
        b"]",
        b"}",
        b",",
        b":",
        b"1e999",
    )
    for _ in range(count):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(body))
            end = min(len(body), start + chance.choice((0, 0, 1, 2, 9)))
            body[start:end] = chance.choice((*pieces, body[start:end] * 3, chance.randbytes(2)))
        yield bytes(body)
