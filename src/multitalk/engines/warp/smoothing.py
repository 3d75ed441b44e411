"""Smooth functions of space and time: ramps, splines, thin plates, blur, filters, noise."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from multitalk.array_types import Array
from multitalk.timebase import FPS

# `SmoothNoise`: its sines' rates, spread of these, and amplitudes.
NOISE_RATES, NOISE_RATE_SPREAD = np.array([0.31, 0.53, 0.79, 1.13]), (0.9, 1.1)
NOISE_AMPLITUDES = np.array([1.0, 1.0, 0.8, 0.5])
MIN_SQUARED_DISTANCE = 1e-9  # of the thin plate's kernel, where its logarithm is singular
DISC_PIXELS = 15  # across, of the disc on the smaller picture of `close_shadows`
PLACES_AT_ONCE = 256  # at which a thin plate is evaluated
COARSEST = 4  # pixels of the smallest picture of a pyramid
FULL_WEIGHT = 0.5  # of known pixels in a window, from which their mean counts in full


def ramp(x: float, start: float, end: float) -> float:
    """0 below `start`, 1 above `end`, linear in between."""
    return float(np.clip((x - start) / (end - start), 0.0, 1.0))


def smoothstep(x: NDArray[np.floating], start: float, end: float) -> NDArray[np.floating]:
    """Cubic from 0 at `start` to 1 at `end`, constant outside: 3 t^2 - 2 t^3."""
    t: NDArray[np.floating] = np.clip((x - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def spline_through(points: NDArray[np.floating], *, steps: int) -> Array:
    """Catmull-Rom curve through points [N, 2], `steps` samples per span: [(N - 1) steps + 1, 2].

    E. Catmull, R. Rom, "A class of local interpolating splines", 1974.
    """
    p = np.asarray(points, np.float32)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = (np.arange(steps, dtype=np.float32) / steps)[None, :, None]
    a, b, c, d = (padded[i : len(p) - 1 + i, None] for i in range(4))
    spans = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.concatenate([spans.reshape(-1, p.shape[1]), p[-1:]])


def interpolate_monotone(
    x: NDArray[np.floating], xs: NDArray[np.floating], ys: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Monotone piecewise cubic through (xs, ys); constant outside.

    F. Fritsch, J. Butland, "A method for constructing local monotone piecewise cubic
    interpolants", 1984. `xs` must increase.
    """
    h = np.diff(xs)
    slope = np.diff(ys) / h
    inner = np.zeros(len(xs))
    left, right = slope[:-1], slope[1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = left * right > 0
    inner[1:-1][same] = (w1 + w2)[same] / (w1[same] / left[same] + w2[same] / right[same])
    inner[0], inner[-1] = slope[0], slope[-1]
    x = np.clip(x, xs[0], xs[-1])
    i = np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2)
    t = (x - xs[i]) / h[i]
    h00 = (1 + 2 * t) * (1 - t) ** 2
    h01 = t * t * (3 - 2 * t)
    return (
        h00 * ys[i]
        + h01 * ys[i + 1]
        + t * (1 - t) ** 2 * h[i] * inner[i]
        + t * t * (t - 1) * h[i] * inner[i + 1]
    )


def thin_plate(
    centres: NDArray[np.floating],
    values: NDArray[np.floating],
    places: NDArray[np.floating],
    *,
    smoothing: float,
    scale: float,
) -> Array:
    """Thin-plate spline through scattered values, evaluated at other places.

    Args:
        centres: [N, 2] pixels.
        values: [N, M].
        places: [K, 2] pixels.
        smoothing: As in `fit_thin_plate`.
        scale: Pixels per unit length, for conditioning.

    Returns:
        float32 [K, M].
    """
    weights = fit_thin_plate(centres, values, smoothing=smoothing, scale=scale)
    return evaluate_thin_plate(centres, weights, places, scale=scale)


def fit_thin_plate(
    centres: NDArray[np.floating],
    values: NDArray[np.floating],
    *,
    smoothing: float,
    scale: float,
) -> NDArray[np.float64]:
    """Weights of the centres [N, 2] and of the affine part of a spline, [N + 3, M].

    F. Bookstein, "Principal warps", 1989: the smoothest surface, kernel r^2 log r, with an
    affine part; `smoothing` trades exactness for smoothness, and is added to the kernel's
    diagonal, in units where `scale` is 1. The other arguments are those of `thin_plate`.
    """
    system = _thin_plate_system(centres, smoothing=smoothing, scale=scale)
    right = np.concatenate([values, np.zeros((3, values.shape[1]))])
    return np.asarray(np.linalg.solve(system, right), np.float64)


def fit_thin_plates_without(
    centres: NDArray[np.floating],
    values: NDArray[np.floating],
    left_out: Sequence[Sequence[int]],
    *,
    smoothing: float,
    scale: float,
) -> list[NDArray[np.float64]]:
    """Weights of splines of which each leaves out some of the centres, for hardly more than one.

    A centre that is left out takes whatever value gives it no weight: the solution of all changes
    by that of unit values there.

    Returns:
        For each, [N + 3, M] as from `fit_thin_plate`, 0 where a centre is left out.
    """
    count, width = values.shape
    units = np.concatenate([np.asarray(some, int) for some in left_out])
    right = np.zeros((count + 3, width + len(units)))
    right[:count, :width] = values
    right[units, width + np.arange(len(units))] = 1
    system = _thin_plate_system(centres, smoothing=smoothing, scale=scale)
    solved = np.linalg.solve(system, right)
    weights, start = [], width
    for some in left_out:
        rows, own = list(some), solved[:, start : start + len(some)]
        start += len(some)
        one = solved[:, :width] - own @ np.linalg.solve(own[rows], solved[rows, :width])
        one[rows] = 0
        weights.append(one)
    return weights


def _thin_plate_system(
    centres: NDArray[np.floating], *, smoothing: float, scale: float
) -> NDArray[np.float64]:
    """The matrix of which `fit_thin_plate` solves, [N + 3, N + 3]."""
    c = np.asarray(centres, np.float64) / scale
    n = len(c)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _thin_plate_kernel(c, c)
    system.reshape(-1)[: n * (n + 3) : n + 4] += smoothing
    system[:n, n] = 1
    system[:n, n + 1 :] = c
    system[n:, :n] = system[:n, n:].T
    return system


def evaluate_thin_plate(
    centres: NDArray[np.floating],
    weights: NDArray[np.float64],
    places: NDArray[np.floating],
    *,
    scale: float,
) -> Array:
    """The spline of some weights at places [K, 2], pixels: float32 [K, M]."""
    n, middle = len(centres), centres.mean(0)  # around which single precision is enough
    made = (weights[n] + places / scale @ weights[n + 1 :]).astype(np.float32)
    of_centres = weights[:n].astype(np.float32)
    c, p = (((points - middle) / scale).astype(np.float32) for points in (centres, places))
    # In parts that stay in the processor's cache.
    for start in range(0, len(p), PLACES_AT_ONCE):
        part = slice(start, start + PLACES_AT_ONCE)
        made[part] += _thin_plate_kernel(p[part], c) @ of_centres
    return made


def _thin_plate_kernel(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """r^2 log r between each of a [K, 2] and each of b [N, 2]: [K, N]."""
    squared = a @ (-2 * b.T)
    squared += np.sum(a * a, 1)[:, None]
    squared += np.sum(b * b, 1)[None, :]
    np.maximum(squared, MIN_SQUARED_DISTANCE, out=squared)
    logarithm = np.log(squared)
    squared *= logarithm
    squared *= squared.dtype.type(0.5)
    return squared


def gaussian_blur(image: NDArray[np.floating], sigma: float) -> Array:
    """Gaussian blur of a float32 image with any number of channels; `sigma` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)


def push_pull(weighted: Array, known: Array) -> Array:
    """Continue colours smoothly over what is unknown: [h, w, C].

    Push and pull: means of the known pixels on ever coarser pictures fill the finer ones (S.
    Gortler and others, "The Lumigraph", 1996).

    Args:
        weighted: Colours times `known`, float32 [h, w, C].
        known: Weights, 0 .. 1, float32 [h, w].
    """
    if min(known.shape) <= COARSEST:
        total = max(float(known.sum()), 1e-6)
        return np.broadcast_to(weighted.sum((0, 1)) / total, weighted.shape).astype(np.float32)
    mean, share = cv2.pyrDown(weighted), cv2.pyrDown(known)
    weight = np.minimum(share / FULL_WEIGHT, 1).astype(np.float32)
    coarse = push_pull(mean / np.maximum(share, 1e-6)[..., None] * weight[..., None], weight)
    behind = cv2.pyrUp(coarse, dstsize=known.shape[::-1])
    return (weighted + behind * (1 - known)[..., None]).astype(np.float32)


def close_shadows(image: Array, across: float, *, blur: float) -> Array:
    """A picture without its shadows that are narrower than `across` pixels, blurred, [h, w, C].

    A morphological closing with a disc, on a smaller picture.

    Args:
        image: float32 [h, w, C].
        across: Pixels.
        blur: Standard deviation, pixels; most of `across`, or the smaller picture shows.
    """
    rows, columns = image.shape[:2]
    step = max(1, round(across / DISC_PIXELS))
    side = int(across / step) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    size = (-(-columns // step), -(-rows // step))
    few = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    closed = cv2.morphologyEx(few, cv2.MORPH_CLOSE, disc).astype(np.float32, copy=False)
    smooth = gaussian_blur(closed, blur / step)
    whole = cv2.resize(smooth, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


class SmoothNoise:
    """A smooth random signal of standard deviation 1 around a given rate (Hz).

    A sum of sines at incommensurate rates with random phases: stateless, without a visible period.
    """

    def __init__(self, rng: np.random.Generator, *, rate: float) -> None:
        self._rates = rate * NOISE_RATES * rng.uniform(*NOISE_RATE_SPREAD, 4)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._sizes = NOISE_AMPLITUDES / np.sqrt(np.sum(NOISE_AMPLITUDES**2) / 2)

    def at(self, seconds: float) -> float:
        """The signal at a time."""
        return float(self._sizes @ np.sin(2 * np.pi * self._rates * seconds + self._phases))


class LowPass:
    """Critically damped second-order low-pass filter, one frame per step.

    Two one-pole filters of the same time constant (seconds) in series.
    """

    def __init__(self, seconds: float) -> None:
        self._keep = float(np.exp(-1 / (seconds * FPS)))
        self._first = self._second = 0.0

    def step(self, value: float) -> float:
        """Filter one frame."""
        self._first += (1 - self._keep) * (value - self._first)
        self._second += (1 - self._keep) * (self._first - self._second)
        return self._second
