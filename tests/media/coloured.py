"""Pictures whose right colours are known: sRGB put into other colour spaces, the way there only.

Everything here is written from the standards and shares nothing with what it is to test.
"""

import struct
import zlib

import av
import cv2
import numpy as np

SRGB_POINTS = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
POINTS = {  # ITU-T H.273, table 2: red, green, blue, white
    1: SRGB_POINTS,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), (0.3127, 0.3290)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), (0.3127, 0.3290)),
}
ADOBE_POINTS = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
D50 = (0.3457, 0.3585)
SDR_WHITE = 203.0  # cd/m2 (ITU-R BT.2408)


def palette(saturation=1.0):
    """Colours of the whole sRGB cube, uint8 [27, 54, 3]; greys fill the right half."""
    steps = np.linspace(0, 255, 9)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    grey = cube.mean(axis=-1, keepdims=True)
    cube = grey + saturation * (cube - grey)
    greys = np.linspace(0, 255, 27 * 27).reshape(27, 27, 1).repeat(3, axis=2)
    return np.round(np.concatenate([cube, greys], axis=1)).astype(np.uint8)


def linear(srgb):
    """Light of sRGB uint8, 0 to 1."""
    coded = srgb / 255.0
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _xyz(x, y):
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(points):
    """Linear RGB to XYZ."""
    columns = np.stack([_xyz(x, y) for x, y in points[:3]], axis=1)
    return columns @ np.diag(np.linalg.inv(columns) @ _xyz(*points[3]))


def adaptation(source, target):
    """XYZ of one white point to XYZ of another, by Bradford."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    gain = (cones @ _xyz(*target)) / (cones @ _xyz(*source))
    return np.linalg.inv(cones) @ np.diag(gain) @ cones


def in_primaries(light, points):
    """Linear sRGB as linear RGB of other primaries."""
    matrix = np.linalg.inv(to_xyz(points)) @ adaptation(SRGB_POINTS[3], points[3])
    return np.clip(light @ (matrix @ to_xyz(SRGB_POINTS)).T, 0, None)


def _bt709(light):
    return np.where(
        light < 0.018053968510807,
        4.5 * light,
        1.099296826809442 * light**0.45 - 0.099296826809442,
    )


def _smpte240(light):
    return np.where(
        light < 0.022821585529445,
        4.0 * light,
        1.111572195921731 * light**0.45 - 0.111572195921731,
    )


def _pq(light):
    power = np.clip(light * SDR_WHITE / 10_000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light):
    """From the light of a display of 1000 cd/m2 to HLG, in BT.2020's primaries."""
    display = light * SDR_WHITE / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    root = np.sqrt(3 * scene)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, root, bright)


def _srgb(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


CURVES = {  # ITU-T H.273, table 3
    1: _bt709,
    4: lambda light: light ** (1 / 2.2),
    5: lambda light: light ** (1 / 2.8),
    6: _bt709,
    7: _smpte240,
    8: lambda light: light,
    13: _srgb,
    14: _bt709,
    16: _pq,
    17: lambda light: (48 * light / 52.37) ** (1 / 2.6),
    18: _hlg,
}


def coded(srgb, primaries, transfer, bits, *, narrow=False):
    """SRGB uint8 in another space, as whole numbers of so many bits."""
    values = CURVES[transfer](in_primaries(linear(srgb), POINTS[primaries]))
    return quantized(values, bits, narrow=narrow)


def quantized(values, bits, *, narrow=False):
    """Values of 0 to 1 as whole numbers."""
    if narrow:
        values = (219 * values + 16) * 2 ** (bits - 8) / (2**bits - 1)
    return np.round(np.clip(values, 0, 1) * (2**bits - 1)).astype(
        np.uint8 if bits == 8 else np.uint16
    )


def video_frame(values, matrix, pixels, *, full=False):
    """RGB of 0 to 1 [H, W, 3] by a matrix of H.273, as a frame that names nothing."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[
        matrix
    ]
    luma = values @ np.array([red, 1 - red - blue, blue])
    from_blue = (values[..., 2] - luma) / (2 * (1 - blue))
    from_red = (values[..., 0] - luma) / (2 * (1 - red))
    yuv = np.stack([luma, from_blue + 0.5, from_red + 0.5], axis=-1)
    if not full:
        yuv = (yuv * (219, 224, 224) + 16) / 256
    numbers = np.round(np.clip(yuv, 0, 1) * 65535).astype("<u2")
    return av.VideoFrame.from_ndarray(numbers, format="yuv444p16le").reformat(format=pixels)


# Files -------------------------------------------------------------------------------------------


def chunk(name, content):
    """A chunk of a PNG."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def gama(exponent):
    return chunk(b"gAMA", struct.pack(">I", round(exponent * 100_000)))


def chrm(points):
    numbers = [number for point in (points[3], *points[:3]) for number in point]
    return chunk(b"cHRM", struct.pack(">8I", *(round(number * 100_000) for number in numbers)))


def cicp(primaries, transfer, *, full=1):
    return chunk(b"cICP", bytes([primaries, transfer, 0, full]))


def iccp(profile):
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


def png(pixels, *chunks, palette=None):
    """A PNG of uint8 or uint16 [H, W] or [H, W, 1 to 4], or of indices into a palette."""
    height, width = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    kind = 3 if palette is not None else {1: 0, 2: 4, 3: 2, 4: 6}[pixels[0, 0].size]
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in pixels)
    colours = () if palette is None else (chunk(b"PLTE", palette.astype(np.uint8).tobytes()),)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)),
            *chunks,
            *colours,
            chunk(b"IDAT", zlib.compress(rows, 1)),
            chunk(b"IEND", b""),
        ]
    )


def avif(pixels, bits, points=None):
    """A lossless AVIF of RGB or RGBA, or of grey, with code points in its `colr` box."""
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.ndim == 3 else slice(None)
    options = [
        *(cv2.IMWRITE_AVIF_DEPTH, bits),
        *(cv2.IMWRITE_AVIF_QUALITY, 100),
        *(cv2.IMWRITE_AVIF_SPEED, 10),
    ]
    done, data = cv2.imencode(".avif", np.ascontiguousarray(pixels[..., order]), options)
    assert done
    data = data.tobytes()
    at = data.index(b"nclx") + 4
    if points is None:
        return data
    return data[:at] + struct.pack(">HH", *points) + data[at + 4 :]


def profile(points, curve, *, kind=b"RGB ", extra=()):
    """An ICC profile of a matrix and one curve, or of a grey curve.

    Args:
        points: Red, green, blue and white.
        curve: The content of a `curv` or `para` tag.
        kind: Its colour space.
        extra: More tags: names and contents.
    """
    white = to_xyz(((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), D50)) @ np.ones(3)
    tags = [(b"wtpt", _xyz_tag(white)), (b"desc", _text("test")), (b"cprt", _text("none")), *extra]
    if kind == b"GRAY":
        tags.append((b"kTRC", curve))
    else:
        colorants = adaptation(points[3], D50) @ to_xyz(points)
        for name, column in zip((b"r", b"g", b"b"), colorants.T, strict=True):
            tags += [(name + b"XYZ", _xyz_tag(column)), (name + b"TRC", curve)]
    return icc_file(kind, b"XYZ ", tags, b"mntr")


def icc_file(kind, between, tags, device):
    """A whole profile from its tags."""
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, tag in tags:
        padded = tag + bytes(-len(tag) % 4)
        table += struct.pack(">4sII", name, start + len(content), len(tag))
        content += padded
    illuminant = struct.pack(">3i", *(round(65536 * part) for part in (0.9642, 1.0, 0.8249)))
    header = struct.pack(
        ">I4sI4s4s4s", start + len(content), b"", 0x04300000, device, kind, between
    )
    header += bytes(12) + b"acsp" + bytes(28) + illuminant
    return header + bytes(128 - len(header)) + table + content


def gamma_curve(exponent):
    """`curv` of one number."""
    return struct.pack(">4s4xIH", b"curv", 1, round(exponent * 256))


def table_curve(exponent, count=1024):
    """`curv` of many numbers."""
    values = np.round(np.linspace(0, 1, count) ** exponent * 65535).astype(int)
    return struct.pack(f">4s4xI{count}H", b"curv", count, *values)


def srgb_curve():
    """`para` of the third kind: sRGB's curve."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return struct.pack(">4s4xHxx5i", b"para", 3, *(round(65536 * number) for number in numbers))


def _xyz_tag(values):
    return struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in values))


def _text(text):
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded
