"""Pictures in other colour spaces come out as the sRGB that they were made from."""

import contextlib
import io
import os
import struct

import av
import coloured
import cv2
import numpy as np
import pytest
from coloured import (
    ADOBE_POINTS,
    D50,
    POINTS,
    SDR_WHITE,
    SRGB_POINTS,
    avif,
    chrm,
    cicp,
    gama,
    gamma_curve,
    iccp,
    in_primaries,
    linear,
    palette,
    png,
    profile,
    quantized,
    table_curve,
)
from PIL import Image, ImageCms

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.colour_spaces import BLOCK_PIXELS
from multitalk.media.image import load_picture

LEVELS = 3  # of 255
P3, BT2020 = POINTS[12], POINTS[9]
# Of H.273: P3 and BT.2020 hold all of sRGB's colours, the others only the paler ones.
WIDE = [(9, 13), (9, 14), (9, 16), (9, 18), (12, 1), (12, 13), (12, 16), (11, 17)]
OTHERS = [(1, 1), (1, 4), (1, 5), (1, 7), (1, 8), (4, 4), (5, 5), (6, 6), (22, 7)]


def load(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    return load_picture(tmp_path / "a", field="image_path", max_pixels=10**6)


def off_by(tmp_path, data, wanted):
    """The largest difference from what is wanted, in levels."""
    found = load(tmp_path, data).pixels.astype(int)
    assert found.shape == wanted.shape
    return int(np.abs(found - wanted).max())


def in_gamma(srgb, points, exponent, bits):
    return quantized(in_primaries(linear(srgb), points) ** (1 / exponent), bits)


# Code points ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("points", "saturation"), [
    *((points, 1.0) for points in WIDE),
    *((points, 0.5) for points in OTHERS),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["png", "avif"])
def test_code_points_at_full_depth(tmp_path, points, saturation, kind):
    wanted = palette(saturation)
    bits = 16 if kind == "png" else 12
    saved = coloured.coded(wanted, *points, bits)
    data = png(saved, cicp(*points)) if kind == "png" else avif(saved, bits, points)
    assert off_by(tmp_path, data, wanted) <= LEVELS


@pytest.mark.parametrize("points", [(9, 13), (9, 14), (9, 18), (12, 1), (12, 13), (1, 4), (1, 1)])
@pytest.mark.parametrize("kind", ["png", "avif"])
def test_code_points_in_8_bits(tmp_path, points, kind):
    wanted = palette(0.5)
    saved = coloured.coded(wanted, *points, 8)
    data = png(saved, cicp(*points)) if kind == "png" else avif(saved, 8, points)
    assert off_by(tmp_path, data, wanted) <= LEVELS


@pytest.mark.parametrize("points", [(9, 16), (9, 18), (12, 16), (12, 13)])
def test_code_points_in_10_bits(tmp_path, points):
    wanted = palette(0.5)
    saved = coloured.coded(wanted, *points, 10)
    assert off_by(tmp_path, avif(saved, 10, points), wanted) <= LEVELS


@pytest.mark.parametrize("points", [(1, 13), (2, 2), (0, 0), (2, 13), (200, 201)])
@pytest.mark.parametrize("kind", ["png", "avif"])
def test_what_says_srgb_or_nothing_stays_as_it_is(tmp_path, points, kind):
    wanted = palette()
    data = png(wanted, cicp(*points)) if kind == "png" else avif(wanted, 8, points)
    np.testing.assert_array_equal(load(tmp_path, data).pixels, wanted)


@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (16, 1), (8, 2), (16, 2), (8, 4), (16, 4)])
def test_code_points_of_a_png_of_any_kind(tmp_path, bits, channels):
    wanted = palette(0.5 if channels == 4 else 0.0)
    wanted = wanted if channels == 4 else wanted[..., :1].repeat(3, axis=2)
    saved = coloured.coded(wanted, 9, 14, bits)
    saved = saved[..., :3] if channels == 4 else saved[..., :1]
    if channels in (2, 4):
        opaque = np.full_like(saved[..., :1], 2**bits - 1)
        opaque[:3] = 0
        saved = np.concatenate([saved, opaque], axis=2)
        wanted = np.where(np.arange(27)[:, None, None] < 3, 128, wanted)
    assert off_by(tmp_path, png(saved, cicp(9, 14)), wanted) <= LEVELS


def test_code_points_of_an_avif_with_alpha(tmp_path):
    wanted = palette(0.5)
    saved = coloured.coded(wanted, 9, 16, 10)
    opaque = np.full_like(saved[..., :1], 1023)
    opaque[:3] = 0
    data = avif(np.concatenate([saved, opaque], axis=2), 10, (9, 16))
    wanted = np.where(np.arange(27)[:, None, None] < 3, 128, wanted)
    assert off_by(tmp_path, data, wanted) <= LEVELS


def test_code_points_of_a_grey_avif(tmp_path):
    wanted = palette(0.0)
    saved = coloured.coded(wanted, 1, 5, 10)[..., 1]
    assert off_by(tmp_path, avif(saved, 10, (1, 5)), wanted) <= LEVELS


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_in_the_range_of_video(tmp_path, bits):
    wanted = palette(0.5)
    saved = coloured.coded(wanted, 12, 13, bits, narrow=True)
    assert off_by(tmp_path, png(saved, cicp(12, 13, full=0)), wanted) <= LEVELS


def test_an_avif_without_a_colour_box_is_read_from_its_stream(tmp_path):
    wanted = np.full((64, 64, 3), (200, 140, 110), np.uint8)
    saved = coloured.coded(wanted, 9, 16, 16)
    file = io.BytesIO()
    with usual_scheduling(), av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libsvtav1", rate=1, options={"crf": "5", "preset": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9
        frame = coloured.video_frame(saved / 65535, 9, "yuv420p10le")
        packets = [*stream.encode(frame), *stream.encode()]
    whole = avif(np.zeros((64, 64, 3), np.uint16), 10)
    assert len(packets) == 1
    data = with_stream(whole, bytes(packets[0]))
    found = load(tmp_path, data).pixels.reshape(-1, 3).mean(axis=0)
    assert np.abs(found - (200, 140, 110)).max() <= LEVELS


@contextlib.contextmanager
def usual_scheduling():
    """SVT-AV1 gives root's process real-time priority, which would starve all other tests."""
    usual = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *usual)


def with_stream(data, stream):
    """An AVIF with another AV1 stream of its size, and without what its boxes say of it."""
    at = data.index(b"mdat")
    size = len(data) - at - 4
    length = data.index(struct.pack(">I", size))
    data = data.replace(b"colr", b"free")[: at - 4]
    data = data[:length] + struct.pack(">I", len(stream)) + data[length + 4 :]
    return data + struct.pack(">I", len(stream) + 8) + b"mdat" + stream


# HDR --------------------------------------------------------------------------------------------


def nits(values, transfer):
    """Linear BT.2020 in cd/m2 as a PNG of 16 bits, [1, N, 3]."""
    light = np.asarray(values, float).reshape(1, -1, 3) / SDR_WHITE
    return png(quantized(coloured.CURVES[transfer](light), 16), cicp(9, transfer))


@pytest.mark.parametrize("transfer", [16, 18])
def test_brighter_than_white_stays_white_without_a_step_back(tmp_path, transfer):
    ramp = np.geomspace(1, 1000, 500)[:, None].repeat(3, axis=1)
    found = load(tmp_path, nits(ramp, transfer)).pixels[0].astype(int)
    assert (np.diff(found[:, 0]) >= 0).all()
    assert (found[ramp[:, 0] > SDR_WHITE] == 255).all()
    assert (np.ptp(found, axis=1) == 0).all()


def test_a_brighter_colour_keeps_its_hue_and_pales_smoothly(tmp_path):
    orange = np.array([1.0, 0.5, 0.25])
    strengths = np.geomspace(100, 10_000, 600)
    found = load(tmp_path, nits(strengths[:, None] * orange, 16)).pixels[0].astype(int)
    assert np.abs(np.diff(found, axis=0)).max() <= LEVELS
    over = found[strengths > SDR_WHITE]
    assert (np.diff(over[:, 2]) >= 0).all()
    assert (over[:-1, 0] >= over[:-1, 1]).all()
    assert (over[:, 1] >= over[:, 2]).all()
    assert over[-1].min() >= 250


def test_white_is_at_58_percent_of_pq_and_75_percent_of_hlg(tmp_path):
    for transfer, white in ((16, 0.5807), (18, 0.7500)):
        saved = quantized(np.full((2, 2, 3), white), 16)
        assert load(tmp_path, png(saved, cicp(9, transfer))).pixels.min() >= 254
        darker = quantized(np.full((2, 2, 3), white - 0.01), 16)
        assert load(tmp_path, png(darker, cicp(9, transfer))).pixels.max() < 252


def test_a_profile_that_says_pq_is_pq(tmp_path):
    wanted = palette()
    saved = coloured.coded(wanted, 9, 16, 16)
    tag = struct.pack(">4s4xBBBB", b"cicp", 9, 16, 0, 1)
    said = profile(BT2020, gamma_curve(2.2), extra=[(b"cicp", tag)])
    assert off_by(tmp_path, png(saved, iccp(said)), wanted) <= LEVELS


# PNG --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "exponent"), [(8, 1.8), (8, 2.2), (8, 2.6), (16, 1.0), (16, 1.8), (16, 2.6)]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_gamma_and_primaries(tmp_path, exponent, bits, channels):
    wanted = palette(0.5 if channels > 2 else 0.0)
    wanted = wanted if channels > 2 else wanted[..., :1].repeat(3, axis=2)
    saved = in_gamma(wanted, P3, exponent, bits)
    saved = saved if channels > 2 else saved[..., :1]
    if channels in (2, 4):
        saved = np.concatenate([saved, np.full_like(saved[..., :1], 2**bits - 1)], axis=2)
    data = png(saved, gama(1 / exponent), chrm(P3))
    assert off_by(tmp_path, data, wanted) <= LEVELS


@pytest.mark.parametrize("exponent", [1.0, 1.8, 2.6])
def test_a_gamma_alone_is_of_srgb_primaries(tmp_path, exponent):
    wanted = palette()
    saved = in_gamma(wanted, SRGB_POINTS, exponent, 16)
    assert off_by(tmp_path, png(saved, gama(1 / exponent)), wanted) <= LEVELS


def test_primaries_alone_have_srgb_s_curve(tmp_path):
    wanted = palette()
    saved = coloured.coded(wanted, 9, 13, 16)
    assert off_by(tmp_path, png(saved, chrm(BT2020)), wanted) <= LEVELS


def test_another_white_point_is_white(tmp_path):
    points = (*SRGB_POINTS[:3], D50)
    wanted = palette(0.5)
    saved = in_gamma(wanted, points, 2.2, 16)
    assert off_by(tmp_path, png(saved, gama(1 / 2.2), chrm(points)), wanted) <= LEVELS


@pytest.mark.parametrize("chunks", [
    [gama(0.45455)],
    [gama(0.45455), chrm(SRGB_POINTS)],
    [chrm(SRGB_POINTS)],
    [coloured.chunk(b"sRGB", b"\0"), gama(0.45455), chrm(SRGB_POINTS)],
    [gama(0.0)],
    [gama(0.5), chrm(((0.3, 0.3), (0.3, 0.3), (0.3, 0.3), (0.3, 0.3)))],
    [gama(0.5), chrm(((0.0, 0.0),) * 4)],
    [coloured.chunk(b"cICP", bytes([9, 16, 9, 1]))],
    [coloured.chunk(b"cICP", bytes([9, 16]))],
], ids=str)  # fmt: skip
def test_what_means_srgb_or_nothing_is_left_alone(tmp_path, chunks):
    wanted = palette()
    np.testing.assert_array_equal(load(tmp_path, png(wanted, *chunks)).pixels, wanted)


SAID = {
    "cICP": cicp(12, 13),
    "iCCP": iccp(profile(BT2020, coloured.srgb_curve())),
    "sRGB": coloured.chunk(b"sRGB", b"\0"),
    "gAMA": gama(1 / 1.8),
}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("names", "believed"), [
    (["cICP", "iCCP", "sRGB", "gAMA"], "cICP"),
    (["iCCP", "sRGB", "gAMA"], "iCCP"),
    (["iCCP", "gAMA"], "iCCP"),
    (["sRGB", "gAMA"], "sRGB"),
])  # fmt: skip
def test_of_several_chunks_the_first_of_the_standard_is_believed(tmp_path, names, believed, order):
    saved = palette(0.5)
    alone = load(tmp_path, png(saved, SAID[believed])).pixels
    data = png(saved, *(SAID[name] for name in names[::order]))
    np.testing.assert_array_equal(load(tmp_path, data).pixels, alone)
    if believed != "sRGB":
        assert np.abs(alone.astype(int) - saved).max() > 5


def test_code_points_of_srgb_go_before_a_profile(tmp_path):
    wanted = palette()
    data = png(wanted, cicp(1, 13), SAID["iCCP"])
    np.testing.assert_array_equal(load(tmp_path, data).pixels, wanted)


def test_a_palette_has_colours_of_a_space_too(tmp_path):
    colours = palette(0.5).reshape(-1, 3)[::6][:243]
    saved = in_gamma(colours, P3, 1.8, 8)
    indices = np.arange(243, dtype=np.uint8).reshape(27, 9)
    data = png(indices, gama(1 / 1.8), chrm(P3), palette=saved)
    assert off_by(tmp_path, data, colours.reshape(27, 9, 3)) <= LEVELS


# Profiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", [gamma_curve(1.8), table_curve(1.8)], ids=["gamma", "table"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_a_grey_profile_with_and_without_alpha(tmp_path, curve, bits, has_alpha):
    wanted = palette(0.0)[..., :1].repeat(3, axis=2)
    saved = in_gamma(wanted, SRGB_POINTS, 1.8, bits)[..., :1]
    if has_alpha:
        saved = np.concatenate([saved, np.full_like(saved, 2**bits - 1)], axis=2)
    data = png(saved, iccp(profile(SRGB_POINTS, curve, kind=b"GRAY")))
    assert off_by(tmp_path, data, wanted) <= LEVELS


def test_a_grey_picture_with_a_profile_of_colours(tmp_path):
    wanted = palette(0.0)[..., :1].repeat(3, axis=2)
    saved = Image.fromarray(in_gamma(wanted, P3, 1.8, 8)[..., 0])
    file = io.BytesIO()
    saved.save(file, "JPEG", quality=100, icc_profile=profile(P3, gamma_curve(1.8)))
    assert off_by(tmp_path, file.getvalue(), wanted) <= LEVELS


@pytest.mark.parametrize("points", [P3, ADOBE_POINTS, (*SRGB_POINTS[:3], D50)], ids=str)
@pytest.mark.parametrize("kind", ["png", "png16", "webp", "tiff", "tiff16", "jpeg", "avif"])
def test_a_profile_of_colours_in_every_format(tmp_path, points, kind):
    wanted = np.full((32, 32, 3), (210, 150, 120), np.uint8)
    wanted[:, 16:] = (60, 90, 120)
    bits = 16 if kind.endswith("16") else 8
    saved = in_gamma(wanted, points, 2.2, bits)
    said = profile(points, table_curve(2.2))
    lossy = kind in ("jpeg", "avif")
    assert off_by(tmp_path, in_format(saved, kind, said), wanted) <= LEVELS + lossy


def in_format(saved, kind, said):
    if kind.startswith("png"):
        return png(saved, iccp(said))
    file = io.BytesIO()
    if kind == "tiff16":
        options = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
        return with_tiff_profile(
            cv2.imencode(".tiff", saved[..., ::-1], options)[1].tobytes(), said
        )
    options = {
        "webp": {"lossless": True},
        "jpeg": {"quality": 100, "subsampling": 0},
        "avif": {"quality": 100, "subsampling": "4:4:4"},
    }.get(kind, {})
    Image.fromarray(saved).save(file, kind.upper(), icc_profile=said, **options)
    return file.getvalue()


def with_tiff_profile(data, said):
    """A little-endian TIFF with one more entry (34675) in its directory, which moves to the end."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = data[at + 2 : at + 2 + 12 * count]
    data += bytes(len(data) % 2)
    entry = struct.pack("<HHII", 34675, 7, len(said), len(data))
    data += said + bytes(len(said) % 2)
    directory = struct.pack("<H", count + 1) + entries + entry + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory


def test_a_linear_profile_of_16_bits_loses_nothing_in_the_dark(tmp_path):
    wanted = palette()
    saved = in_gamma(wanted, P3, 1.0, 16)
    for said in (profile(P3, gamma_curve(1.0)), profile(P3, struct.pack(">4s4xI", b"curv", 0))):
        assert off_by(tmp_path, png(saved, iccp(said)), wanted) <= LEVELS


def parametric(kind, *numbers):
    """`para` of a kind of ISO 15076-1, table 68."""
    fixed = (round(65536 * number) for number in numbers)
    return struct.pack(f">4s4xHxx{len(numbers)}i", b"para", kind, *fixed)


@pytest.mark.parametrize("curve", [
    parametric(0, 1.8),
    parametric(1, 2.4, 1.1, -0.1),
    parametric(2, 2.0, 0.9, 0.1, -0.01),
    parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    parametric(4, 2.2, 0.9, 0.1, 0.5, 0.05, 0.0107, 0.0),
], ids=range(5))  # fmt: skip
def test_deep_pictures_are_converted_as_littlecms_converts_8_bits(tmp_path, curve):
    said = profile(P3, curve)
    shallow = palette(0.5)
    by_lcms = load(tmp_path, png(shallow, iccp(said))).pixels
    deep = shallow.astype(np.uint16) * 257
    assert off_by(tmp_path, png(deep, iccp(said)), by_lcms) <= 1


def test_a_profile_of_cmyk_is_applied(tmp_path):
    inks = [Image.new("CMYK", (16, 16), ink) for ink in ((0, 0, 0, 0), (255, 0, 0, 0))]
    papers = []
    for ink in inks:
        file = io.BytesIO()
        ink.save(file, "JPEG", quality=100, icc_profile=cmyk_profile())
        papers.append(load(tmp_path, file.getvalue()).pixels[8, 8].astype(int))
    grey = round(coloured._srgb(np.array(0.1841865)) * 255)  # of L* = 50
    assert np.abs(papers[0] - 255).max() <= LEVELS
    assert np.abs(papers[1] - grey).max() <= LEVELS


def cmyk_profile():
    """One for which any full ink is a middle grey, by a `lut8` of two points for each ink."""
    straight = bytes(range(256))
    grid = b"".join(bytes([255 if corner == 0 else 128, 128, 128]) for corner in range(16))
    lut = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2)
    lut += struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    lut += straight * 4 + grid + straight * 3
    return coloured.icc_file(b"CMYK", b"Lab ", [(b"A2B0", lut)], b"prtr")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_profile_that_cannot_be_used_is_a_notice_and_the_next_is_believed(tmp_path, bits):
    wanted = palette(0.5)
    saved = in_gamma(wanted, P3, 1.8, bits)
    for said in (b"no profile", profile(P3, gamma_curve(1.8))[:200], cmyk_profile()):
        picture = load(tmp_path, png(saved, iccp(said), gama(1 / 1.8), chrm(P3)))
        assert np.abs(picture.pixels.astype(int) - wanted).max() <= LEVELS
        assert [notice.key for notice in picture.notices] == ["profile_not_usable"]


def test_damaged_profiles_never_escape_as_errors(tmp_path):
    generator = np.random.default_rng(0)
    clean = profile(P3, parametric(4, 2.2, 0.9, 0.1, 0.5, 0.05, 0.01, 0.002))
    saved = palette()[:4].astype(np.uint16) * 257
    for _ in range(150):
        damaged = bytearray(clean)
        for position in generator.integers(0, len(clean), 4):
            damaged[position] = generator.integers(0, 256)
        assert load(tmp_path, png(saved, iccp(bytes(damaged)))).pixels.shape == (4, 54, 3)


def test_damaged_boxes_never_escape_as_errors(tmp_path):
    generator = np.random.default_rng(0)
    clean = avif(coloured.coded(palette(0.5), 9, 16, 10), 10, (9, 16))
    for _ in range(100):
        damaged = bytearray(clean)
        for position in generator.integers(8, clean.index(b"mdat"), 3):
            damaged[position] = generator.integers(0, 256)
        (tmp_path / "a").write_bytes(damaged)
        try:
            load_picture(tmp_path / "a", field="image_path", max_pixels=10**5)
        except (MediaUndecodable, LimitExceeded):
            continue


# Cameras ----------------------------------------------------------------------------------------


def test_a_camera_s_adobe_rgb_is_read_from_exif_alone(tmp_path):
    wanted = np.full((16, 16, 3), (210, 150, 120), np.uint8)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    exif[0x0112] = 1
    saved = Image.fromarray(in_gamma(wanted, ADOBE_POINTS, 563 / 256, 8))
    file = io.BytesIO()
    saved.save(file, "JPEG", quality=100, subsampling=0, exif=exif)
    assert off_by(tmp_path, file.getvalue(), wanted) <= LEVELS


def test_of_exif_and_a_profile_the_profile_is_believed(tmp_path):
    wanted = np.full((16, 16, 3), (210, 150, 120), np.uint8)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    said = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(wanted).save(
        file, "JPEG", quality=100, subsampling=0, exif=exif, icc_profile=said
    )
    assert off_by(tmp_path, file.getvalue(), wanted) <= 1


# Size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [[cicp(9, 16)], [gama(1 / 1.8)], [SAID["iCCP"]]], ids=range(3))
@pytest.mark.parametrize("alpha", [False, True])
def test_a_picture_of_many_blocks_is_converted_as_one(tmp_path, said, alpha):
    tile = palette(0.5)
    saved = np.tile(tile, (21, 6, 1))
    if alpha:
        opacity = np.arange(256, dtype=np.uint8).repeat(saved.size // 3 // 256 + 1)
        opacity = opacity[: saved.size // 3].reshape(*saved.shape[:2], 1)
        saved = np.concatenate([saved, opacity], axis=2)
    assert saved.shape[0] * saved.shape[1] > BLOCK_PIXELS
    whole = load(tmp_path, png(saved, *said)).pixels
    strips = [
        load(tmp_path, png(saved[top : top + 100], *said)).pixels for top in range(0, 567, 100)
    ]
    np.testing.assert_array_equal(whole, np.concatenate(strips))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_and_colours_go_together(tmp_path, orientation):
    wanted = palette(0.5)
    stored = np.rot90(wanted, {3: 2, 6: 1, 8: 3}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(in_gamma(stored, P3, 2.2, 8)).save(
        file, "PNG", exif=exif, icc_profile=profile(P3, gamma_curve(2.2))
    )
    assert off_by(tmp_path, file.getvalue(), wanted) <= LEVELS
