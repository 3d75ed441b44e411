"""The mark in the picture: a faint pattern in the blue difference (Cb) of every frame.

A tile of 32 x 32 cells is repeated over the frame; half of the cells carry the pilot, the others
the payload. A cell adds or takes one level of 255, the smallest step there is, and is never
changed in time, so that a video codec keeps it once it has coded it. Cb is where the eye sees
least, and where pictures have the least detail of their own to hide the pattern from a detector.
This is additive spread-spectrum marking (Cox et al., "Secure Spread Spectrum Watermarking for
Multimedia", IEEE Trans. Image Processing 6, 1997) on a repeated tile (Kalker et al., "A Video
Watermarking System for Broadcast Monitoring", SPIE 3657, 1999), in blue as by Kutter et al.
("Digital Signature of Color Images Using Amplitude Modulation", SPIE 3022, 1997).

Detection takes from Cb what luma and Cr predict of it, and correlates the rest with the pilot at
every place and scale.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.watermark.detection import Finding, decide
from multitalk.watermark.keys import SYMBOL_VALUES, SYMBOLS, Payload, random_order, random_signs

Plane = NDArray[np.uint8]  # [H, W]
Spectrum = NDArray[np.complexfloating]

SIDE = 256  # pixels of the shorter side of a plane that is looked at; other lengths relate to it
LONGEST_SIDE = 2048  # pixels of the other side: a strip is looked at in less detail, and not found
TILE = 256  # pixels of a tile's side
CELLS = 32  # along a tile's side
CELL = TILE // CELLS  # pixels: smaller ones do not survive half the size, larger ones are too few
PILOT_CELLS = CELLS * CELLS // 2
SYMBOL_CELLS = CELLS * CELLS // 2 // SYMBOLS

# The pattern is looked for in what differs from the surroundings, as wide as a cell.
LOCAL_SIGMA = float(CELL)
FIT_FLOOR = np.float32(0.1)  # variance, in levels squared, below which nothing is predicted
CONTRAST_FLOOR = np.float32(0.25)  # levels
CLIP = 2.5  # of a whitened pixel, in standard deviations
SPECTRUM_SIGMA = 4.0  # frequency steps over which a spectrum is smoothed to whiten it
SPECTRUM_POWER = 1.5  # 1 leaves to each frequency what the codec left of it, 2 makes up for it
# Scales of a picture that was cropped or framed after it was marked, as a part of its own.
SCALES = tuple(float(scale) for scale in np.geomspace(0.7, 1.8, 48))
NEAR = 2  # pixels by which a picture that was only resized is off
CANDIDATES = 6  # places whose payload is read


class PictureMark:
    """Adds one payload's pattern to the frames of a video.

    Args:
        payload: What the mark says.
    """

    def __init__(self, payload: Payload) -> None:
        self._tile = _tile(_cells(payload.symbols))
        self._up: Plane = np.zeros((0, 0), np.uint8)
        self._down = self._up

    def apply(self, blue: Plane) -> None:
        """Mark a frame's Cb in its place, uint8 [H, W], of full or halved resolution."""
        if self._up.shape != blue.shape:
            pattern = _over_plane(self._tile, *blue.shape)
            self._up = (pattern > 0.0).astype(np.uint8)
            self._down = np.uint8(1) - self._up
        cv2.add(blue, self._up, dst=blue)
        cv2.subtract(blue, self._down, dst=blue)


def size_to_look_at(width: int, height: int) -> tuple[int, int]:
    """Width and height, in pixels, at which a detector takes a picture of a size."""
    scale = min(SIDE / min(width, height), LONGEST_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class PictureDetector:
    """Looks for a mark in frames of one video, all of one size."""

    def __init__(self) -> None:
        self._sum: Array | None = None

    def add(self, luma: Plane, blue: Plane, red: Plane) -> None:
        """Take a frame into account: Y, Cb and Cr, uint8 [H, W] of `size_to_look_at` each."""
        white = _white(*(plane.astype(np.float32) for plane in (luma, blue, red)))
        self._sum = white if self._sum is None else self._sum + white

    def find(self) -> Finding:
        """The best finding in the frames so far."""
        found = decide("picture", 0.0, ())
        for finding in self.findings():
            found = min(found, finding, key=lambda one: one.chance)
            if found.is_marked:
                break
        return found

    def findings(self) -> Iterator[Finding]:
        """Findings with the mark in its place, as if not cropped, then with the mark anywhere.

        Both for the picture as it is and for its mirror image.
        """
        if self._sum is None:
            return
        sides = (self._sum, np.ascontiguousarray(self._sum[:, ::-1]))
        for side in sides:
            whole = _spectrum(side, 1.0)
            scores = _read(whole, _best_place(whole, NEAR)[1])
            yield decide("picture", *scores, is_searched=False)
        for side in sides:
            yield _search(side)


def _search(picture: Array) -> Finding:
    """The finding in a whitened picture at the scale and place that fit best."""
    found: list[tuple[float, float, tuple[int, int]]] = []
    for scale in SCALES:
        score, place = _best_place(_spectrum(picture, scale))
        found.append((score, scale, place))
    found.sort(reverse=True)
    candidates = [
        decide("picture", *_read(_spectrum(picture, scale), place))
        for _, scale, place in found[:CANDIDATES]
    ]
    return max(candidates, key=lambda finding: finding.score)


@cache
def _pilot() -> Array:
    return random_signs("picture, pilot", PILOT_CELLS)


@cache
def _sequences() -> Array:
    """[SYMBOLS, SYMBOL_VALUES, SYMBOL_CELLS], -1 or 1."""
    return random_signs("picture, symbols", SYMBOLS, SYMBOL_VALUES, SYMBOL_CELLS)


@cache
def _parts() -> tuple[NDArray[np.intp], ...]:
    """The cells of the pilot and of each symbol, as indices into a tile's cells."""
    order = random_order("picture, cells", CELLS * CELLS)
    bounds = [0, *(PILOT_CELLS + k * SYMBOL_CELLS for k in range(SYMBOLS + 1))]
    return tuple(order[start:end] for start, end in pairwise(bounds))


def _cells(symbols: Sequence[int]) -> Array:
    """A tile's cells, [CELLS, CELLS]: -1, 1, or 0 where there is no symbol."""
    cells = np.zeros(CELLS * CELLS, np.float32)
    pilot, *others = _parts()
    cells[pilot] = _pilot()
    for part, sequences, symbol in zip(others, _sequences(), symbols, strict=False):
        cells[part] = sequences[symbol]
    return cells.reshape(CELLS, CELLS)


def _tile(cells: Array) -> Array:
    """Cells as a smooth tile of pixels, [TILE, TILE], that fits itself on all sides."""
    nine = np.tile(cells, (3, 3))
    pixels = cv2.resize(nine, (3 * TILE, 3 * TILE), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(pixels[TILE : 2 * TILE, TILE : 2 * TILE])


def _over_plane(tile: Array, height: int, width: int) -> Array:
    """A tile repeated over a plane of any size, from its top left corner, [height, width]."""
    scale = SIDE / min(height, width)
    rows = ((np.arange(height, dtype=np.float32) + 0.5) * scale - 0.5) % TILE + 1.0
    columns = ((np.arange(width, dtype=np.float32) + 0.5) * scale - 0.5) % TILE + 1.0
    padded = np.pad(tile, 1, mode="wrap")
    across, down = np.meshgrid(columns, rows)
    return np.asarray(cv2.remap(padded, across, down, cv2.INTER_LINEAR), np.float32)


def _white(luma: Array, blue: Array, red: Array) -> Array:
    """The part of Cb that luma and Cr do not predict, high-passed, of one local contrast, [H, W].

    The prediction is linear, by the least squares around each pixel.
    """

    def mean(values: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), LOCAL_SIGMA), np.float32)

    y, b, r = (plane - cv2.GaussianBlur(plane, (0, 0), LOCAL_SIGMA) for plane in (luma, blue, red))
    yy, rr, yr = mean(y * y) + 4 * FIT_FLOOR, mean(r * r) + FIT_FLOOR, mean(y * r)
    by, br = mean(b * y), mean(b * r)
    determinant = yy * rr - yr * yr
    rest = b - (by * rr - br * yr) / determinant * y - (br * yy - by * yr) / determinant * r
    contrast = np.sqrt(mean(rest * rest))
    white: Array = np.clip(rest / (contrast + CONTRAST_FLOOR), -CLIP, CLIP)
    return white


def _spectrum(picture: Array, scale: float) -> Spectrum:
    """The whitened spectrum of a picture that is scaled and folded into one tile."""
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.float32)
    rows, columns = (-(-length // TILE) for length in picture.shape)
    folded = np.zeros((rows * TILE, columns * TILE), np.float32)
    folded[: picture.shape[0], : picture.shape[1]] = picture
    spectrum = np.fft.rfft2(folded.reshape(rows, TILE, columns, TILE).sum((0, 2)))
    amplitude = np.fft.fftshift(np.abs(spectrum), 0).astype(np.float32)
    smooth = np.fft.ifftshift(cv2.GaussianBlur(amplitude, (0, 0), SPECTRUM_SIGMA), 0)
    return spectrum / np.maximum(smooth, np.float32(1e-9)) ** np.float32(SPECTRUM_POWER)


@cache
def _pilot_spectrum() -> Spectrum:
    return np.conj(np.fft.rfft2(_tile(_cells(()))))


@cache
def _cell_spectrum() -> Spectrum:
    """Spectrum of one cell at the tile's corner."""
    cells = np.zeros((CELLS, CELLS), np.float32)
    cells[0, 0] = 1.0
    return np.conj(np.fft.rfft2(_tile(cells)))


def _best_place(spectrum: Spectrum, near: int | None = None) -> tuple[float, tuple[int, int]]:
    """The best fit of the pilot: standard deviations above the mean, and the tile's corner.

    With `near`, only so many pixels from the picture's own corner are looked at.
    """
    fit = np.fft.irfft2(spectrum * _pilot_spectrum(), s=(TILE, TILE))
    fit = (fit - fit.mean()) / (fit.std() or 1.0)
    if near is not None:
        away = np.minimum(np.arange(TILE), TILE - np.arange(TILE)) > near
        fit[away] = fit[:, away] = -np.inf
    row, column = np.unravel_index(int(fit.argmax()), fit.shape)
    return float(fit[row, column]), (int(row), int(column))


def _read(spectrum: Spectrum, place: tuple[int, int]) -> tuple[float, list[NDArray[np.floating]]]:
    """The pilot's score and each symbol's, by value, of a tile that begins at a place."""
    response = np.fft.irfft2(spectrum * _cell_spectrum(), s=(TILE, TILE))
    cells = np.roll(response, (-place[0], -place[1]), (0, 1))[::CELL, ::CELL].ravel()
    cells = (cells - cells.mean()) / (cells.std() or 1.0)
    pilot, *others = _parts()
    scores = [
        sequences @ cells[part] / np.sqrt(SYMBOL_CELLS)
        for part, sequences in zip(others, _sequences(), strict=True)
    ]
    return float(_pilot() @ cells[pilot]) / np.sqrt(PILOT_CELLS), scores
