import contextlib
import io
import struct
import zlib

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.image import load_picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def load(path, max_pixels=1_000_000):
    portrait = load_picture(path, field="image_path", max_pixels=max_pixels).pixels
    assert portrait.dtype == np.uint8
    assert portrait.flags.c_contiguous
    assert portrait.flags.writeable
    return portrait


def halves(left, right, size=(64, 32)):
    """A picture of two colours, side by side."""
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def near(pixel, colour, tolerance=3):
    return np.abs(pixel.astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.bmp", "a.tiff", "a.gif"])
def test_each_format_gives_the_same_picture(tmp_path, name):
    halves((200, 30, 30), (30, 30, 200)).save(tmp_path / name)
    portrait = load(tmp_path / name)
    assert portrait.shape == (32, 64, 3)
    assert near(portrait[16, 10], (200, 30, 30), 12)
    assert near(portrait[16, 54], (30, 30, 200), 12)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp", "a.avif"])
def test_the_camera_orientation_is_applied(tmp_path, orientation, name):
    stored = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    upright = halves(RED, BLUE)
    upright.paste(GREEN, (0, 0, 16, 16))
    image = upright
    for step in stored[orientation]:
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"a.jpg": {"quality": 100, "subsampling": 0}, "a.webp": {"lossless": True}}
    options = lossless.get(name, {"quality": 100})
    image.save(tmp_path / name, exif=exif, **options)
    found = load(tmp_path / name)
    assert found.shape == (32, 64, 3)
    for x, y in ((8, 8), (8, 24), (56, 8), (56, 24)):
        assert near(found[y, x], upright.getpixel((x, y)))


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    halves(RED, BLUE).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert load(tmp_path / "a.jpg").shape == (32, 64, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "La", "RGBa"])
def test_what_is_transparent_lies_over_middle_grey(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 255))
    image.paste((255, 255, 255, 0), (0, 0, 4, 8))
    if mode == "P":
        palette = Image.new("P", (8, 8), 1)
        palette.putpalette([0, 0, 0, 255, 255, 255])
        palette.paste(0, (0, 0, 4, 8))
        palette.save(tmp_path / "a.png", transparency=0)
    elif mode in ("RGBA", "LA"):
        image.convert(mode).save(tmp_path / "a.png")
    else:
        image.convert({"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[mode]).save(tmp_path / "a.tiff")
        (tmp_path / "a.tiff").rename(tmp_path / "a.png")
    portrait = load(tmp_path / "a.png")
    assert tuple(portrait[4, 1]) == (128, 128, 128)
    assert tuple(portrait[4, 6]) == (255, 255, 255)


def test_one_grey_of_sixteen_bits_may_be_transparent(tmp_path):
    grey = np.full((8, 8), 65535, np.uint16)
    grey[:, :4] = 30000
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=30000)
    portrait = load(tmp_path / "a.png")
    assert tuple(portrait[4, 1]) == (128, 128, 128)
    assert tuple(portrait[4, 6]) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB"])
def test_each_mode_becomes_rgb(tmp_path, mode):
    image = Image.new("RGB", (8, 8), (255, 255, 255))
    image = Image.new("LAB", (8, 8), (255, 128, 128)) if mode == "LAB" else image.convert(mode)
    # Pillow 12 cannot read its own uncompressed YCbCr TIFFs (its #9770)
    as_jpeg = mode == "YCbCr" and int(PIL.__version__.split(".")[0]) < 13
    image.save(tmp_path / "a.tiff", compression="jpeg" if as_jpeg else None)
    assert near(load(tmp_path / "a.tiff")[4, 4], (255, 255, 255))


def test_sixteen_bits_are_scaled_not_cut(tmp_path):
    grey = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(2, axis=0)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load(tmp_path / "a.png")[0, :, 1], np.arange(256))


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (100.0, 100), (float("nan"), 0)])
def test_float_pictures_are_of_unit_or_byte_range(tmp_path, value, expected):
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "a.tiff")
    assert tuple(load(tmp_path / "a.tiff")[0, 0]) == (expected,) * 3


def profile_with_red_and_blue_swapped():
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        name = bytes(profile[entry : entry + 4])
        swapped = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
        profile[entry : entry + 4] = swapped
    return bytes(profile)


def test_colours_are_converted_from_the_picture_s_profile(tmp_path):
    halves(RED, BLUE).save(tmp_path / "a.png", icc_profile=profile_with_red_and_blue_swapped())
    portrait = load(tmp_path / "a.png")
    assert near(portrait[4, 4], BLUE)
    assert near(portrait[4, 60], RED)


def test_a_profile_and_transparency_go_together(tmp_path):
    image = halves(RED, BLUE).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 8, 32))
    image.save(tmp_path / "a.png", icc_profile=profile_with_red_and_blue_swapped())
    portrait = load(tmp_path / "a.png")
    assert tuple(portrait[4, 4]) == (128, 128, 128)
    assert near(portrait[4, 60], RED)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_damaged_or_unfit_profile_is_left_out(tmp_path, mode):
    image = halves((200, 200, 200), (50, 50, 50)).convert(mode)
    for profile in (b"not a profile", profile_with_red_and_blue_swapped()[:200]):
        image.save(tmp_path / "a.jpg", icc_profile=profile, quality=95)
        assert near(load(tmp_path / "a.jpg")[4, 4], (200, 200, 200), 6)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, name):
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    first.save(tmp_path / name, save_all=True, append_images=[second], duration=100, lossless=True)
    assert near(load(tmp_path / name)[8, 8], RED)


def test_one_pixel_is_a_picture(tmp_path):
    Image.new("RGB", (1, 1), RED).save(tmp_path / "a.png")
    assert load(tmp_path / "a.png").shape == (1, 1, 3)


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", len(data)) + b"IDAT" + data
        + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    )  # fmt: skip


def test_too_many_pixels_are_refused_by_the_header_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(png_header(2000, 1000))
    with pytest.raises(LimitExceeded, match=r"image_path: 2000x1000 pixels.*1999999"):
        load(tmp_path / "a.png", max_pixels=1_999_999)


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_bomb_is_refused_whatever_the_limit(tmp_path, side):
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    with pytest.raises(LimitExceeded, match="MULTITALK_MAX_IMAGE_PIXELS"):
        load(tmp_path / "a.png", max_pixels=10**6)


@pytest.mark.filterwarnings("ignore:Image was not the expected size")
def test_an_icon_that_holds_more_than_it_says_is_refused(tmp_path):
    inside = io.BytesIO()
    Image.new("RGBA", (300, 300), RED).save(inside, "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside.getvalue()), 22)
    (tmp_path / "a.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + inside.getvalue())
    with pytest.raises(LimitExceeded, match="300x300"):
        load(tmp_path / "a.ico", max_pixels=1000)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.gif", "a.tiff"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.7])
def test_a_truncated_picture_is_named(tmp_path, name, part):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * part)])
    with pytest.raises(MediaUndecodable, match=r"^image_path: not a picture") as caught:
        load(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "unknown format"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "unknown format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown format"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, data, reason):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(MediaUndecodable) as caught:
        load(tmp_path / "a.jpg")
    assert caught.value.key == "image_undecodable"
    assert caught.value.field == "image_path"
    assert reason in str(caught.value)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    generator = np.random.default_rng(1)
    for name in ("a.jpg", "a.png", "a.webp", "a.gif", "a.tiff"):
        halves(RED, BLUE).save(tmp_path / name)
        clean = bytearray((tmp_path / name).read_bytes())
        for _ in range(60):
            damaged = bytearray(clean)
            for position in generator.integers(0, len(clean), 5):
                damaged[position] = generator.integers(0, 256)
            (tmp_path / name).write_bytes(damaged)
            # A warning is an error only in tests.
            with contextlib.suppress(MediaUndecodable, LimitExceeded, UserWarning):
                load(tmp_path / name)
