"""Colour correction of long talks: frames get the picture's statistics in CIE Lab.

Each window starts from frames that were generated, so small shifts of colour would add up.
Conversions follow scikit-image: sRGB (IEC 61966-2-1), illuminant D65, the 2 degree observer.
"""

import torch
from torch import Tensor

# Linear sRGB to XYZ, rows X, Y, Z.
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE_D65 = (0.95047, 1.0, 1.08883)
# CIE 15: below this share of white the cube root goes over into a line.
LINEAR_BELOW = 0.008856
LINEAR_SLOPE, LINEAR_OFFSET = 7.787, 16 / 116
LINEAR_BELOW_ROOT = 0.2068966
# A channel whose spread is below this, in Lab units, is flat: float32 noise, not a picture.
FLAT = 1e-3


def match_colours(frames: Tensor, reference: Tensor, *, strength: float) -> Tensor:
    """Give every frame the mean and the spread of the reference, channel by channel in Lab.

    Args:
        frames: RGB in [-1, 1], [3, T, H, W].
        reference: RGB in [-1, 1], [3, h, w].
        strength: 0 leaves the frames as they are; 1 replaces them by the matched ones.

    Returns:
        [3, T, H, W]; in [-1, 1] unless the strength is 0.
    """
    if strength == 0:
        return frames
    target = _statistics(lab_from_rgb(_to_unit_range(reference)))
    # one frame at a time: Lab takes many times a frame's memory
    matched = [_matched(frame, *target, strength) for frame in frames.unbind(1)]
    return torch.stack(matched, dim=1)


def _matched(frame: Tensor, target_mean: Tensor, target_spread: Tensor, strength: float) -> Tensor:
    """One frame [3, H, W] with a mean and a spread of its Lab channels, [3, 1, 1] each."""
    rgb = _to_unit_range(frame)
    lab = lab_from_rgb(rgb)
    mean, spread = _statistics(lab)
    scale = torch.where(spread > FLAT, target_spread / spread.clamp(min=FLAT), 0.0)
    blended = torch.lerp(rgb, rgb_from_lab((lab - mean) * scale + target_mean), strength)
    return (blended * 2 - 1).to(frame.dtype)


def _to_unit_range(rgb: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], clipped."""
    return ((rgb.float() + 1) / 2).clamp(0, 1)


def _statistics(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of colours [3, H, W], each [3, 1, 1]."""
    deviation, mean = torch.std_mean(lab.flatten(1), dim=1, correction=0)
    return mean[:, None, None], deviation[:, None, None]


def lab_from_rgb(rgb: Tensor) -> Tensor:
    """SRGB [3, ...] in [0, 1] to CIE Lab [3, ...], L in [0, 100]."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _matrix(rgb) @ linear.flatten(1)
    share = xyz.unflatten(1, rgb.shape[1:]) / _white(rgb)
    root = share.clamp(min=LINEAR_BELOW) ** (1 / 3)
    x, y, z = torch.where(share > LINEAR_BELOW, root, LINEAR_SLOPE * share + LINEAR_OFFSET)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def rgb_from_lab(lab: Tensor) -> Tensor:
    """CIE Lab [3, ...] to sRGB [3, ...], clipped to [0, 1]."""
    y = (lab[0] + 16) / 116
    root = torch.stack([y + lab[1] / 500, y, (y - lab[2] / 200).clamp(min=0)])
    line = (root - LINEAR_OFFSET) / LINEAR_SLOPE
    share = torch.where(root > LINEAR_BELOW_ROOT, root**3, line)
    linear = torch.linalg.inv(_matrix(lab)) @ (share * _white(lab)).flatten(1)
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    rgb = torch.where(linear > 0.0031308, curve, linear * 12.92)
    return rgb.unflatten(1, lab.shape[1:]).clamp(0, 1)


def _matrix(like: Tensor) -> Tensor:
    return torch.tensor(XYZ_FROM_RGB, dtype=like.dtype, device=like.device)


def _white(like: Tensor) -> Tensor:
    white = torch.tensor(WHITE_D65, dtype=like.dtype, device=like.device)
    return white.reshape(3, *(1,) * (like.dim() - 1))
