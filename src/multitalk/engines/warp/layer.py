"""Layer of one head: its pixels with their transparency, displaced and put onto a frame.

Only the columns where the person is in a frame are sampled, band by band, and only the edges are
blended: between them the layer is opaque, beyond them the frame stays.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.engines.warp.displacement import Grid, invert, upsample
from multitalk.engines.warp.quality import RenderQuality

BAND_ROWS = 12  # lattice rows of a band
STRIP_ROWS, STRIP_MARGIN = 48, 8  # pixels enlarged at once, and more beside them for filters
MARGIN = 2  # pixels by which filters spread an edge
NOTHING = (0, 0, 0, 255)  # a pixel that shows what is behind the person
SHOWN = b"\1"  # True among an array's bytes


class _Band(NamedTuple):
    """Rows of the lattice, and the columns of them that show the person.

    Attributes:
        rows: First and last; bands share these.
        columns: First and last.
        solid: First and last of those between which the layer is opaque; the same: nowhere.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    solid: tuple[int, int]

    def overlaps(self, rows: slice) -> bool:
        """Whether it has any of some lattice rows."""
        return bool(self.rows[0] < rows.stop and rows.start <= self.rows[1])


@dataclass(frozen=True)
class Cover:
    """Where a displaced layer covers a frame.

    Attributes:
        around: The most transparency and the most opacity around each point of the lattice, uint8
            [rows, columns, 2]: none of the first is opaque, none of the second shows nothing.
    """

    around: NDArray[np.uint8]

    def bands(self) -> list[_Band]:
        """The bands that show anything of the layer."""
        count = len(self.around)
        tops = np.arange(0, count - 1, BAND_ROWS)
        bottoms = np.minimum(tops + BAND_ROWS, count - 1)
        most = np.maximum(np.maximum.reduceat(self.around, tops), self.around[bottoms])
        bands = []
        for top, bottom, one in zip(tops.tolist(), bottoms.tolist(), most, strict=True):
            shown = (one[:, 1] > 0).tobytes()
            first, last = shown.find(SHOWN), shown.rfind(SHOWN)
            if first >= 0:
                left, right = max(first - 1, 0), min(last + 1, len(shown) - 1)
                start, end = _longest_run(one[left : right + 1, 0] == 0)
                solid = left + start, left + max(end - 1, start)
                bands.append(_Band((top, bottom), (left, right), solid))
        return bands


class Layer:
    """The pixels of one head.

    Attributes:
        source: Enlarged, uint8 [h, w, 4]: RGB times opacity, and transparency; may be repainted.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        box: tuple[int, int, int, int],
        grid: Grid,
        quality: RenderQuality,
    ) -> None:
        """Enlarge the source.

        Args:
            pixels: From `backdrop.cut_out`.
            box: Of the picture that moves: x0, y0, x1, y1 (ends excluded).
            grid: Lattice of the displacements, from the box's corner on.
            quality: Preset.
        """
        x0, y0, x1, y1 = box
        self._size = (y1 - y0, x1 - x0)
        self._grid = grid
        self._scale = quality.source_scale
        crop = pixels[y0:y1, x0:x1]
        self.source = _enlarged(crop, quality)
        self._nearby = _around(crop[..., 3], grid.step + MARGIN)
        self._drawn = np.zeros((*self._size, 4), np.uint8)
        # New memory for each band's sampling would cost more than to fill it.
        self._room = np.empty(2 * (BAND_ROWS + 1) * grid.shape[1] * grid.step**2, np.float32)

    def cover(self, inverse: Array) -> Cover:
        """Where the layer is in a frame; `inverse` is that of the displacement on the lattice."""
        places = inverse * np.float32(self._grid.step)
        near = cv2.remap(
            self._nearby,
            places,
            None,  # type: ignore[call-overload]
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return Cover(near.astype(np.uint8, copy=False))

    def draw(
        self, inverse: Array, cover: Cover, target: NDArray[np.uint8], painted: slice
    ) -> NDArray[np.uint8]:
        """Put the displaced layer onto a part of a frame, but for bands that will be painted.

        Args:
            inverse: Of the displacement on the lattice, from `invert`.
            cover: From `cover`.
            target: The box in a frame, RGB uint8 [box height, box width, 3].
            painted: Lattice rows of what is painted before `compose` puts it onto the frame.

        Returns:
            The layer, uint8 [box height, box width, 4], as `source`. Valid until the next call, and
            only where `compose` reads it.
        """
        for band in cover.bands():
            (top, bottom), (left, right), _ = band
            part = inverse[top : bottom + 1, left : right + 1]
            self._remap(part, self._grid, self._drawn[self._pixels(band)])
            if not band.overlaps(painted):  # while the processor's cache holds it
                self._put(band, target)
        return self._drawn

    def sample(self, displacement: Array, grid: Grid, part: Grid) -> NDArray[np.uint8]:
        """The displaced source in a part of a lattice, uint8 [h, w, 4].

        Args:
            displacement: On the lattice, pixels [rows, columns, 2].
            grid: The lattice.
            part: What is drawn of it, to the end of the box at most.
        """
        whole = self._grid
        inverse = _invert_around(displacement, grid, part)
        inverse += np.array([grid.x - whole.x, grid.y - whole.y], np.float32) / whole.step
        rows, columns = ((length - 1) * part.step + 1 for length in part.shape)
        size = (
            min(rows, self._size[0] - (part.y - whole.y)),
            min(columns, self._size[1] - (part.x - whole.x)),
        )
        drawn = np.empty((*size, 4), np.uint8)
        self._remap(inverse, part, drawn)
        return drawn

    def compose(self, cover: Cover, target: NDArray[np.uint8], painted: slice) -> None:
        """Put the bands that were painted onto a part of a frame; the arguments are `draw`'s."""
        for band in cover.bands():
            if band.overlaps(painted):
                self._put(band, target)

    def _put(self, band: _Band, target: NDArray[np.uint8]) -> None:
        """Put one band of the drawn layer onto a part of a frame, in place."""
        drawn, (rows, columns) = self._drawn, self._pixels(band)
        first, last = band.solid
        begin, end = first * self._grid.step, min(last * self._grid.step + 1, columns.stop)
        if first < last:
            cv2.cvtColor(drawn[rows, begin:end], cv2.COLOR_RGBA2RGB, dst=target[rows, begin:end])
        else:
            end = begin
        _blend(drawn[rows, columns.start : begin], target[rows, columns.start : begin])
        _blend(drawn[rows, end : columns.stop], target[rows, end : columns.stop])

    def _pixels(self, band: _Band) -> tuple[slice, slice]:
        """Rows and columns of the box that a band fills: rows that it shares are the next one's."""
        step, (height, width) = self._grid.step, self._size
        (top, bottom), (left, right), _ = band
        is_last = bottom == self._grid.shape[0] - 1
        rows = slice(top * step, min(bottom * step + is_last, height))
        return rows, slice(left * step, min(right * step + 1, width))

    def _remap(self, inverse: Array, grid: Grid, target: NDArray[np.uint8]) -> None:
        part = Grid(grid.x, grid.y, grid.step, (inverse.shape[0], inverse.shape[1]))
        sampling = upsample(inverse, part, scale=self._scale, room=self._room)
        self._read_ahead(inverse)
        cv2.remap(  # type: ignore[call-overload]
            self.source,
            sampling[: target.shape[0], : target.shape[1]],
            None,
            cv2.INTER_LINEAR,
            dst=target,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _read_ahead(self, inverse: Array) -> None:
        """Bring the part of the source that will be sampled into the processor's cache.

        Sampling jumps between rows and waits for each; reading them in order first takes a tenth
        of the time that this saves.
        """
        pixels = self._grid.step * self._scale
        left, top = (max(0, int(first)) for first in (inverse[0, 0] * pixels).tolist())
        right, bottom = (max(0, int(last)) for last in (inverse[-1, -1] * pixels).tolist())
        rows = self.source[top:bottom, left:right]
        if rows.size:
            cv2.norm(rows, cv2.NORM_INF)


def _invert_around(displacement: Array, grid: Grid, part: Grid) -> Array:
    """`invert` on a part of a lattice, in units of the lattice, from its first row and column.

    What arrives in the part comes from beside it, too: so much more is inverted.
    """
    top, left = (part.y - grid.y) // grid.step, (part.x - grid.x) // grid.step
    rows, columns = part.shape
    moved = displacement[top : top + rows, left : left + columns]
    beside = int(cv2.norm(np.ascontiguousarray(moved), cv2.NORM_INF) / grid.step) + 1
    first_row, first_column = max(0, top - beside), max(0, left - beside)
    last_row, last_column = (
        min(end + beside, most)
        for end, most in zip((top + rows, left + columns), grid.shape, strict=True)
    )
    around = grid.crop(first_row, last_row, first_column, last_column)
    more = displacement[first_row:last_row, first_column:last_column]
    inverse = invert(np.ascontiguousarray(more), around)
    inverse += np.array([first_column, first_row], np.float32)
    return inverse[top - first_row :, left - first_column :][:rows, :columns]


def _enlarged(crop: NDArray[np.uint8], quality: RenderQuality) -> NDArray[np.uint8]:
    """Pixels [h, w, 4], sharpened where they are opaque, and enlarged.

    Not rounded in between, or faint grain would not grow sharper.
    """
    scale, (near, far) = quality.source_scale, quality.sharpening
    height, width = crop.shape[:2]
    if scale == 1:
        return crop.copy()
    row = np.array([-far / 2, -near / 2, 1 + near + far, -near / 2, -far / 2], np.float32)
    around = np.ones((len(row), len(row)), np.uint8)
    enlarged = np.empty((height * scale, width * scale, 4), np.uint8)
    enlarged.view(np.uint32)[:] = np.array(NOTHING, np.uint8).view(np.uint32)  # 17 times as fast
    for top in range(0, height, STRIP_ROWS):
        first, last = max(0, top - STRIP_MARGIN), min(height, top + STRIP_ROWS + STRIP_MARGIN)
        seen = np.flatnonzero((crop[first:last, :, 3] < 255).any(axis=0))
        if not len(seen):
            continue
        left, right = max(0, int(seen[0]) - STRIP_MARGIN), int(seen[-1]) + 1 + STRIP_MARGIN
        strip = crop[first:last, left:right]
        sharp = cv2.sepFilter2D(strip, cv2.CV_32F, row, row)
        edge = cv2.dilate(strip[..., 3], around)  # a person's edge would get a light rim
        cv2.copyTo(strip.astype(np.float32), edge, sharp)
        size = (strip.shape[1] * scale, strip.shape[0] * scale)
        large = cv2.resize(sharp, size, interpolation=quality.source_filter)
        begin, end = (top - first) * scale, (min(top + STRIP_ROWS, height) - first) * scale
        target = enlarged[top * scale : (top + STRIP_ROWS) * scale, left * scale : right * scale]
        cv2.add(large[begin:end], 0, dst=target, dtype=cv2.CV_8U)  # type: ignore[call-overload]
    return enlarged


def _around(through: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """The most transparency and the most opacity within so many pixels of each, [h, w, 2]."""
    window = np.ones((2 * pixels + 1,) * 2, np.uint8)
    most = [cv2.dilate(one, window) for one in (through, 255 - through)]
    return cv2.merge(most).astype(np.uint8, copy=False)


def _longest_run(solid: NDArray[np.bool_]) -> tuple[int, int]:
    """First and one past the last of the longest row of True."""
    line = solid.tobytes()
    run = max(line.split(b"\0"), key=len)
    start = line.find(run) if run else 0
    return start, start + len(run)


def _blend(drawn: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    """Put a drawn layer over a part of a frame, in place: its colours and what shines through."""
    if not drawn.size:
        return
    through = cv2.cvtColor(cv2.extractChannel(drawn, 3), cv2.COLOR_GRAY2RGB)
    cv2.multiply(target, through, dst=through, scale=1 / 255)
    cv2.add(through, cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), dst=target)
