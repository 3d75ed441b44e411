"""JPEGs of more pixels than are decoded: read smaller, not refused."""

import struct

import numpy as np
import pytest
from PIL import Image

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.image import load_picture

LEFT, RIGHT = (200, 40, 40), (40, 40, 200)


def load(path, max_pixels):
    return load_picture(path, field="image_path", max_pixels=max_pixels)


def photo(width=400, height=300):
    image = Image.new("RGB", (width, height), LEFT)
    image.paste(RIGHT, (width // 2, 0, width, height))
    return image


def near(pixel, colour, tolerance=8):
    return np.abs(pixel.astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("max_pixels", "size"),
    [
        (120_000, (400, 300)),
        (119_999, (200, 150)),
        (30_000, (200, 150)),
        (29_999, (100, 75)),
        (7_499, (50, 38)),
    ],
)
def test_it_is_read_at_the_largest_size_that_is_allowed(tmp_path, progressive, max_pixels, size):
    photo().save(tmp_path / "a.jpg", progressive=progressive)
    picture = load(tmp_path / "a.jpg", max_pixels)
    assert picture.pixels.shape == (size[1], size[0], 3)
    assert near(picture.pixels[10, 10], LEFT)
    assert near(picture.pixels[10, -10], RIGHT)
    assert (picture.file_width, picture.file_height) == (400, 300)
    assert [notice.key for notice in picture.notices] == (
        [] if size == (400, 300) else ["picture_reduced"]
    )


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_read_smaller_too(tmp_path, mode):
    photo().convert(mode).save(tmp_path / "a.jpg")
    whole, small = (load(tmp_path / "a.jpg", limit).pixels for limit in (120_000, 30_000))
    assert small.shape == (150, 200, 3)
    assert near(small[10, 10], whole[20, 20])


def test_boxes_go_from_the_file_to_the_picture_and_back(tmp_path):
    photo().save(tmp_path / "a.jpg")
    picture = load(tmp_path / "a.jpg", 30_000)
    assert picture.from_file((40, 60, 400, 300)) == (20, 30, 200, 150)
    assert picture.to_file((20, 30, 200, 150)) == (40, 60, 400, 300)


def test_size_and_boxes_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(401, 300).save(tmp_path / "a.jpg", exif=exif)
    picture = load(tmp_path / "a.jpg", 40_000)
    assert picture.pixels.shape == (201, 150, 3)
    assert (picture.file_width, picture.file_height) == (300, 401)
    assert picture.from_file((0, 0, 300, 401)) == (0, 0, 150, 201)
    assert near(picture.pixels[10, 10], LEFT)
    assert near(picture.pixels[-10, 10], RIGHT)


def test_what_an_eighth_does_not_help_is_refused(tmp_path):
    photo().save(tmp_path / "a.jpg")
    with pytest.raises(LimitExceeded, match="400x300 pixels"):
        load(tmp_path / "a.jpg", 1_899)


def test_other_formats_are_refused_at_their_size(tmp_path):
    photo().save(tmp_path / "a.png")
    with pytest.raises(LimitExceeded, match="400x300 pixels"):
        load(tmp_path / "a.png", 119_999)


def test_pillow_s_own_limit_does_not_apply_to_what_is_read_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    photo().save(tmp_path / "a.jpg")
    assert load(tmp_path / "a.jpg", 30_000).pixels.shape == (150, 200, 3)


def resized(data, width, height):
    """A JPEG whose header says another size."""
    at = next(
        data.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind]) in data
    )
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def test_a_huge_progressive_one_is_refused_before_it_takes_memory(tmp_path):
    photo().save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(resized(data, 30_000, 30_000))
    with pytest.raises(LimitExceeded, match="30000x30000"):
        load(tmp_path / "a.jpg", 50_000_000)


def test_one_of_many_scans_is_refused_before_it_takes_time(tmp_path):
    photo().save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + 100 * data[last:-2] + data[-2:])
    with pytest.raises(LimitExceeded, match="400x300"):
        load(tmp_path / "a.jpg", 30_000)


@pytest.mark.parametrize("part", [0.02, 0.1, 0.6])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_one_that_is_cut_off_is_named(tmp_path, part, progressive):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", progressive=progressive)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * part)])
    with pytest.raises((MediaUndecodable, LimitExceeded)):
        load(tmp_path / "a.jpg", 2_000)


def test_damage_in_a_large_one_never_escapes_as_another_error(tmp_path):
    generator = np.random.default_rng(2)
    photo(64, 48).save(tmp_path / "a.jpg", progressive=True)
    clean = (tmp_path / "a.jpg").read_bytes()
    for _ in range(200):
        damaged = bytearray(clean)
        for position in generator.integers(0, min(len(clean), 700), 4):
            damaged[position] = generator.integers(0, 256)
        (tmp_path / "a.jpg").write_bytes(damaged)
        try:
            load(tmp_path / "a.jpg", 1_000)
        except (MediaUndecodable, LimitExceeded):
            continue
        except UserWarning:  # an error only in tests
            continue
