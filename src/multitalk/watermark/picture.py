"""The mark in the picture: a faint pattern that is added to the luma of every frame.

A tile of 48 x 48 cells is repeated over the frame; half of the cells carry the pilot, the others
the payload. The pattern does not change in time, so that a video codec keeps it once it has coded
it. Its strength follows the picture's local contrast, where the eye sees it least, and is lower
where the picture moves, where it costs most. This is additive spread-spectrum marking (Cox et al.,
"Secure Spread Spectrum Watermarking for Multimedia", IEEE Trans. Image Processing 6, 1997) on a
repeated tile (Kalker et al., "A Video Watermarking System for Broadcast Monitoring", SPIE 3657,
1999). Detection whitens the picture and correlates it with the pilot at every place and scale.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.watermark.detection import Finding, decide
from multitalk.watermark.keys import SYMBOL_VALUES, SYMBOLS, Payload, random_order, random_signs

Luma = NDArray[np.uint8]  # [H, W]

SHORT_SIDE = 512  # pixels of a frame's shorter side, to which the other lengths relate
TILE = 256  # pixels of a tile's side
CELLS = 48  # along a tile's side
CELL = TILE / CELLS  # pixels: smaller ones do not survive half the size, of larger ones are too few
PILOT_CELLS = CELLS * CELLS // 2
SYMBOL_CELLS = CELLS * CELLS // 2 // SYMBOLS

# Noise of variance n in a window of variance v changes SSIM to 1 - n / (2 v + SSIM_C2).
SSIM_C2 = (0.03 * 255) ** 2
LOSS_OF_SSIM = 0.125**2
MAX_LEVELS = 4.0  # luma levels that a pixel changes by at most
CONTRAST_SIGMA = 3.0  # pixels over which local contrast is measured
MARGIN = 9  # pixels around what is smooth in which the pattern is as weak as there
LOOK_FRAMES = 25  # from one look at contrast and movement to the next
MOTION_WEIGHT = np.float32(0.2)  # of the latest difference in the running mean
MOTION_FRAMES = 5  # between the frames that are compared
MOTION_SCALE = 4  # movement is looked for in a picture so much smaller
MOTION_SIGMA = 6.0  # pixels of that, over which movement is spread
MOVING_LEVELS = 1.5  # mean difference of two frames where a picture moves
MOVING_STRENGTH = 0.6

WHITE_SIGMA = CELL / 2  # pixels: what is wider than this is no part of the pattern
CONTRAST_FLOOR = 1.0  # luma levels
CLIP = 2.5  # of a whitened pixel, in standard deviations
SPECTRUM_SIGMA = 3.0  # frequency steps over which a spectrum is smoothed to whiten it
# Scales of a picture that was cropped after it was marked, as a part of its own.
SCALES = (1.0, *np.arange(0.8, 1.26, 0.0075))
NEAR = 2  # pixels by which a picture that was only resized is off
CANDIDATES = 6  # places whose payload is read


class PictureMark:
    """Adds one payload's pattern to the frames of a video, in order.

    Args:
        payload: What the mark says.
    """

    def __init__(self, payload: Payload) -> None:
        self._tile = _tile(_cells(payload.symbols))
        self._pattern: Array = np.zeros((0, 0), np.float32)
        self._up: Luma = np.zeros((0, 0), np.uint8)
        self._down = self._up
        self._motion: Array | None = None
        self._small: Array | None = None
        self._count = 0

    def apply(self, luma: Luma) -> None:
        """Mark a frame's luma in its place, uint8 [H, W]; all frames have one size."""
        if self._pattern.shape != luma.shape:
            self._pattern = _over_frame(self._tile, *luma.shape)
            self._motion = self._small = None
            self._count = 0
        if self._count % MOTION_FRAMES == 0:
            self._watch(luma)
        if self._count % LOOK_FRAMES == 0:
            self._look(luma)
        self._count += 1
        cv2.add(luma, self._up, dst=luma)
        cv2.subtract(luma, self._down, dst=luma)

    def _watch(self, luma: Luma) -> None:
        """Note where the picture moves, as a running mean of differences."""
        size = (max(1, luma.shape[1] // MOTION_SCALE), max(1, luma.shape[0] // MOTION_SCALE))
        small = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
        if self._small is not None:
            change: Array = np.abs(small - self._small)
            if self._motion is None:
                self._motion = change
            else:
                self._motion += MOTION_WEIGHT * (change - self._motion)
        self._small = small

    def _look(self, luma: Luma) -> None:
        """Set the pattern's strength by the picture's contrast and movement."""
        strength = _strength(luma)
        if self._motion is not None:
            blurred = cv2.GaussianBlur(self._motion, (0, 0), MOTION_SIGMA)
            size = (luma.shape[1], luma.shape[0])
            moving = np.asarray(cv2.resize(blurred, size), np.float32) / MOVING_LEVELS
            strength *= 1.0 - (1.0 - MOVING_STRENGTH) * np.minimum(moving, 1.0)
        change = np.rint(np.clip(self._pattern * strength, -MAX_LEVELS, MAX_LEVELS))
        self._up = np.maximum(change, 0.0).astype(np.uint8)
        self._down = np.maximum(-change, 0.0).astype(np.uint8)


class PictureDetector:
    """Looks for a mark in frames of one video, all of one size."""

    def __init__(self) -> None:
        self._sum: Array | None = None

    def add(self, luma: Luma) -> None:
        """Take a frame's luma, uint8 [H, W], into account."""
        scale = SHORT_SIDE / min(luma.shape)
        size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
        smaller = scale < 1.0
        resized = cv2.resize(
            luma, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )
        white = _white(resized.astype(np.float32))
        self._sum = white if self._sum is None else self._sum + white

    def find(self) -> Finding:
        """What the frames so far say."""
        return min(self.findings(), key=lambda finding: finding.chance)

    def findings(self) -> tuple[Finding, Finding]:
        """What they say if the picture was not cropped, and wherever the mark may be."""
        if self._sum is None:
            nothing = decide("picture", 0.0, ())
            return nothing, nothing
        whole = _spectrum(self._sum, 1.0)
        uncropped = _read(whole, _best_place(whole, NEAR)[1])
        found: list[tuple[float, float, tuple[int, int]]] = []
        for scale in SCALES:
            score, place = _best_place(_spectrum(self._sum, float(scale)))
            found.append((score, float(scale), place))
        found.sort(reverse=True)
        candidates = [
            decide("picture", *_read(_spectrum(self._sum, scale), place))
            for _, scale, place in found[:CANDIDATES]
        ]
        return (
            decide("picture", *uncropped, is_searched=False),
            max(candidates, key=lambda finding: finding.score),
        )


def _strength(luma: Luma) -> Array:
    """Luma levels by which each pixel may change, [H, W]: a loss of SSIM that is the same all over.

    (Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.)
    """
    pixels = luma.astype(np.float32)
    mean = cv2.GaussianBlur(pixels, (0, 0), CONTRAST_SIGMA)
    variance = cv2.GaussianBlur(pixels * pixels, (0, 0), CONTRAST_SIGMA) - mean * mean
    strength = np.sqrt(LOSS_OF_SSIM * (2.0 * np.maximum(variance, 0.0) + SSIM_C2))
    return cv2.erode(strength, np.ones((MARGIN, MARGIN), np.uint8)).astype(np.float32)


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


def _over_frame(tile: Array, height: int, width: int) -> Array:
    """A tile repeated over a frame of any size, from its top left corner, [height, width]."""
    scale = SHORT_SIDE / min(height, width)
    rows = ((np.arange(height, dtype=np.float32) + 0.5) * scale - 0.5) % TILE + 1.0
    columns = ((np.arange(width, dtype=np.float32) + 0.5) * scale - 0.5) % TILE + 1.0
    padded = np.pad(tile, 1, mode="wrap")
    across, down = np.meshgrid(columns, rows)
    # The root mean square of a tile of cubic splines through -1 and 1 is about 0.8.
    return cv2.remap(padded, across, down, cv2.INTER_LINEAR) / np.float32(0.8)


def _white(luma: Array) -> Array:
    """A picture without what is wider than a cell, of one local contrast, [H, W]."""
    fine = luma - cv2.GaussianBlur(luma, (0, 0), WHITE_SIGMA)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), CELL))
    return np.clip(fine / (contrast + CONTRAST_FLOOR), -CLIP, CLIP)


def _spectrum(picture: Array, scale: float) -> NDArray[np.complex128]:
    """The whitened spectrum of a picture that is scaled and folded into one tile."""
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    rows, columns = (-(-length // TILE) for length in picture.shape)
    folded = np.zeros((rows * TILE, columns * TILE), np.float32)
    folded[: picture.shape[0], : picture.shape[1]] = picture
    spectrum = np.fft.rfft2(folded.reshape(rows, TILE, columns, TILE).sum((0, 2)))
    power = np.fft.fftshift(np.abs(spectrum), 0).astype(np.float32)
    smooth = np.fft.ifftshift(cv2.GaussianBlur(power, (0, 0), SPECTRUM_SIGMA), 0)
    return spectrum / np.maximum(smooth.astype(np.float64) ** 2, 1e-12)


@cache
def _pilot_spectrum() -> NDArray[np.complex128]:
    return np.conj(np.fft.rfft2(_tile(_cells(()))))


@cache
def _cell_spectrum() -> NDArray[np.complex128]:
    """Of one cell at the tile's corner."""
    cells = np.zeros((CELLS, CELLS), np.float32)
    cells[0, 0] = 1.0
    return np.conj(np.fft.rfft2(_tile(cells)))


def _best_place(
    spectrum: NDArray[np.complex128], near: int | None = None
) -> tuple[float, tuple[int, int]]:
    """Where the pilot fits best: standard deviations above the mean, and the tile's corner.

    With `near`, only so many pixels from the picture's own corner are looked at.
    """
    fit = np.fft.irfft2(spectrum * _pilot_spectrum(), s=(TILE, TILE))
    fit = (fit - fit.mean()) / (fit.std() or 1.0)
    if near is not None:
        away = np.minimum(np.arange(TILE), TILE - np.arange(TILE)) > near
        fit[away] = fit[:, away] = -np.inf
    row, column = np.unravel_index(int(fit.argmax()), fit.shape)
    return float(fit[row, column]), (int(row), int(column))


def _read(
    spectrum: NDArray[np.complex128], place: tuple[int, int]
) -> tuple[float, list[NDArray[np.floating]]]:
    """The pilot's score and each symbol's, by value, of a tile that begins at a place."""
    response = np.fft.irfft2(spectrum * _cell_spectrum(), s=(TILE, TILE)).astype(np.float32)
    steps = np.arange(CELLS, dtype=np.float32) * np.float32(CELL)
    across, down = np.meshgrid((steps + place[1]) % TILE, (steps + place[0]) % TILE)
    padded = np.pad(response, ((0, 1), (0, 1)), mode="wrap")
    cells = cv2.remap(padded, across, down, cv2.INTER_LINEAR).ravel()
    cells = (cells - cells.mean()) / (cells.std() or 1.0)
    pilot, *others = _parts()
    scores = [
        sequences @ cells[part] / np.sqrt(SYMBOL_CELLS)
        for part, sequences in zip(others, _sequences(), strict=True)
    ]
    return float(_pilot() @ cells[pilot]) / np.sqrt(PILOT_CELLS), scores
