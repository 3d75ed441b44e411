"""Expressions: displacements of all landmarks in the head's own axes.

An expression is an array [468, 3] in pixels, scaled by a weight and added. The sum is rotated and
projected with the head, which covers three-quarter views.
"""

import numpy as np

from multitalk.array_types import DoubleArray
from multitalk.engines.warp.amplitudes import AMPLITUDES
from multitalk.engines.warp.face_frame import HeadFrame, MouthLayout, distance_inside_outline
from multitalk.engines.warp.smoothing import ramp, smoothstep
from multitalk.engines.warp.upper_face import upper_face_shapes
from multitalk.face import mesh

EXPRESSIONS = (
    *("seal", "open", "spread", "round", "funnel", "press", "tuck", "lift"),
    *("brow", "lean", "smile", "squint", "frown", "relax"),
)

# Proportions of a relaxed mouth, measured on photographs of closed, unsmiling mouths.
RELAXED_WIDTH = 0.37  # face widths; a wider mouth smiles
BROAD_SMILE = 0.47  # face widths: a full smile
ROUND_WIDTH = 0.68  # of a relaxed mouth: rounded lips
GAPE_NARROWS = 0.10  # share by which a gaping mouth is narrower than at rest, at most
SMILE_KEPT = 0.86  # of a smile's width: how broad a smiling mouth rests

# From these lip gaps (mouth widths) a photograph's mouth is open, and so wide open that its jaw
# must rise for it to close; over `JAW_RISE` the jaw's part grows.
PARTED = 0.02
WIDE_OPEN, JAW_RISE = 0.17, 0.20
TURNED_DEGREES = 35  # of yaw beyond which a jaw rises half as much: its outline would move
# Share of the gap that the upper lip closes, and by how much less where the jaw rises.
UPPER_LIP_CLOSES, UPPER_LIP_SPARED = 0.34, 0.18
JAW_CLOSES, JAW_CLOSES_WIDE = 0.33, 0.05  # of the gap: the chin; in addition where it rises
LEVELLED = 0.75  # share of a smile's curve that goes when its lips close
CHEEKS_SINK = 0.5  # of their way down from a smile: in `seal`; `round` and `relax` go the rest

# Falloffs, all set by eye. `_SIDE` and `_DOWN`: `MouthLayout.side` and `below` (mouth widths) of
# the centre and the standard falloff. `_THIN`: share by which a lip's outer edge moves less.
OPEN_LOWER_THIN, OPEN_UPPER_THIN = 0.12, 0.28
# Of parted lips' inner edges: (1 - side^2) to this power. On films openings are bells that end in a
# thin line: .85, .72, .58, .44 of the middle's gap at 0.4, 0.5, 0.6 and 0.7 of the way to a corner.
PARTING_EXPONENT = 1.1
OPEN_SKIN_FADE, OPEN_SKIN_DOWN, OPEN_SKIN_REACH, OPEN_BELOW_LIP = 0.4, 0.4, 1.2, 0.245
# As the mouth opens the nose's base goes up, by this share of the lips' gap: on films a nose is
# shorter by 3 % for a gap of 0.1 face heights. Falloff beside it, face widths; `below` at its end.
OPEN_NOSE_RISES, OPEN_NOSE_SIDE, OPEN_NOSE_ENDS = 0.12, 0.17, (-0.2, 0.0)
SEAL_LOWER_THIN, SEAL_UPPER_THIN, CLOSING_THIN = 0.10, 0.35, 0.15
LEVEL_REACH, LEVEL_SKIN_STARTS, LEVEL_SKIN_SIDE, LEVEL_SKIN_DOWN = 1.1, 0.9, 0.5, 0.4
SIDEWAYS_REACH, SIDEWAYS_FADE = 1.25, 0.5
SPREAD_CORNER_SIDE, SPREAD_CORNER_DOWN = (1, 0.45), 0.3
# Where cheeks rise, and go aside, as a mouth widens: fitted to films (docs/experiments.md).
WIDE_CHEEK_SIDE, WIDE_CHEEK_DOWN = (1.5, 1.0), (-0.6, 0.45)
CHEEK_ASIDE_SIDE, CHEEK_ASIDE_DOWN = (1.8, 0.7), (-0.35, 0.45)
CHEEKS_UP, CHEEKS_ASIDE = 0.25, 0.22  # shares of the corners' way out
# Shares of the corners' way in by which a rounded mouth sinks, and its corners beyond that.
ROUND_SINKS, ROUND_CORNERS_SINK = 0.3, 0.2
ROUND_SIDE, ROUND_THIN = 0.50, 0.7
FUNNEL_SIDE = 0.55  # `side` beyond which funnelled lips meet
TUCK_LOWER_THIN, TUCK_UPPER_THIN, LIFT_THIN = 0.1, 0.3, 0.4
UNDER_NOSE_SIDE, UNDER_NOSE_DOWN = 0.8, (-0.25, 0.12)
SMILE_CORNER_SIDE, SMILE_CORNER_DOWN, SMILE_CHEEK_DOWN = (1.05, 0.55), 0.35, (-0.55, 0.30)
SINKING_CHEEK_SIDE, SINKING_CHEEK_DOWN = (1.35, 0.55), (-0.55, 0.40)
OUTLINE_MARGIN = 0.11  # face widths inside the outline over which expressions are damped
DAMPED_LIP = 0.35  # share of an expression that remains of lips at the outline
DAMPED = ("spread", "round", "tuck", "lift", "smile", "relax")


def expression_displacements(frame: HeadFrame, layout: MouthLayout) -> dict[str, DoubleArray]:
    """Displacement of every landmark for each of `EXPRESSIONS`, pixels in head axes: [468, 3].

    `seal` closes the photograph's own gap; `open` parts the lips by `layout.max_gap` and drops
    the jaw; `spread` and `round` shape vowels; `funnel` as large as `open` makes its opening
    round: the lips meet at the sides; `press` presses the lips for bilabials; `tuck`
    brings the lower lip under the upper teeth (f, v); `lift` shows the upper teeth; `brow` raises
    the brows; `lean` the right one, and lowers the left one; `smile` raises the mouth's corners and
    the cheeks; `squint` narrows the eyes; `frown` draws the inner brows down and together; `relax`
    takes back what `seal` leaves of the photograph's smile. Negative weights do the opposite.
    """
    shapes = _Shapes(frame, layout).all()
    # Expressions near the outline of a turned head must not drag the background along.
    inside = distance_inside_outline(frame)
    weight = smoothstep(inside, 0.0, OUTLINE_MARGIN * frame.width)
    on_lips = DAMPED_LIP + (1 - DAMPED_LIP) * weight
    damping = np.where(layout.lip, on_lips, weight)[:, None]
    for name in DAMPED:
        shapes[name] *= damping
    return shapes


def closing_displacements(frame: HeadFrame, layout: MouthLayout) -> list[DoubleArray]:
    """One displacement per inner lip point between the corners that closes the lips there.

    Each is [468, 3]; `rig` combines them to correct what `seal` leaves open or overlaps.
    """
    inner = np.sort(layout.side[list(mesh.LIPS_INNER_UPPER)])
    moves = []
    for place in np.eye(len(inner))[1:-1]:
        hat = np.interp(layout.side, inner, place)
        near = frame.mouth_width * hat * (1 - CLOSING_THIN * layout.ring)
        d = _zeros()
        d[layout.upper, 1] = (UPPER_LIP_CLOSES * near)[layout.upper]
        d[layout.lower, 1] = ((UPPER_LIP_CLOSES - 1) * near)[layout.lower]
        moves.append(d)
    return moves


def smile_strength(frame: HeadFrame) -> float:
    """How broadly the photograph smiles: 0 not at all, 1 from cheek to cheek."""
    return ramp(frame.mouth_width / frame.width, RELAXED_WIDTH, BROAD_SMILE)


def upper_lip_share(frame: HeadFrame, layout: MouthLayout) -> float:
    """Share of the photograph's lip gap that the upper lip closes: where closed lips meet."""
    return UPPER_LIP_CLOSES - UPPER_LIP_SPARED * _jaw_rise(frame, layout)


def _jaw_rise(frame: HeadFrame, layout: MouthLayout) -> float:
    """How far the photograph's jaw must rise for its mouth to close, 0..1."""
    rise = ramp(layout.parted, WIDE_OPEN, WIDE_OPEN + JAW_RISE)
    return 0.5 * rise if abs(frame.yaw_degrees) > TURNED_DEGREES else rise


class _Shapes:
    """The undamped expressions of one head."""

    def __init__(self, frame: HeadFrame, layout: MouthLayout) -> None:
        self._frame, self._layout = frame, layout
        units = {
            "lip gap": layout.max_gap,
            "mouth": frame.mouth_width,
            "face": frame.width,
            "height": frame.height,
        }
        #: Amplitudes in pixels.
        self._pixels = {name: one.share * units[one.unit] for name, one in AMPLITUDES.items()}
        self._jaw_rises = _jaw_rise(frame, layout)
        self._upper_share = upper_lip_share(frame, layout)
        self._curve = self._curve_of_closed_lips()
        self._parting = self._shape_of_parted_lips()
        relaxed = RELAXED_WIDTH * frame.width / frame.mouth_width
        self._relaxed_width = min(1.0, relaxed)  # of the photograph's mouth
        widest = 1 + GAPE_NARROWS * self._jaw_rises
        self._resting_width = float(np.clip(relaxed, SMILE_KEPT, widest))

    def all(self) -> dict[str, DoubleArray]:
        return {
            "seal": self._seal(),
            "open": self._open(),
            "spread": self._spread(),
            "round": self._round(),
            "funnel": self._funnel(),
            "press": self._press(),
            "tuck": self._tuck(),
            "lift": self._lift(),
            "smile": self._smile(),
            "relax": self._relax(),
            **upper_face_shapes(self._frame, self._pixels),
        }

    def _open(self) -> DoubleArray:
        layout, pixels = self._layout, self._pixels
        gap, smile = layout.max_gap, smile_strength(self._frame)
        # The corners of a smile come down farther, or an open mouth would laugh.
        of_smile = smile * AMPLITUDES["open smile's corners down"].share
        corners = AMPLITUDES["open corners down"].share + of_smile * (1 - layout.arch)
        lower = corners + AMPLITUDES["open lower lip"].share * self._parting
        upper = corners + AMPLITUDES["open upper lip"].share * self._parting
        d = _zeros()
        jaw = layout.jaw * AMPLITUDES["open jaw"].share
        beyond_jaw = np.maximum(lower * (1 - OPEN_LOWER_THIN) - jaw, 0) * (layout.jaw > 0)
        pushed = layout.arch * _bell(layout.below_lip, 0, OPEN_BELOW_LIP) * beyond_jaw
        d[:, 1] = (jaw + pushed + layout.cheek - OPEN_NOSE_RISES * self._at_nose()) * gap
        d[layout.lower, 1] = (lower * gap * (1 - OPEN_LOWER_THIN * layout.ring))[layout.lower]
        d[layout.upper, 1] = (upper * gap * (1 - OPEN_UPPER_THIN * layout.ring))[layout.upper]
        d[layout.corner, 1] = pixels["open corners down"] + of_smile * gap
        # As measured on films, a jaw that drops draws no corners in.
        beyond = np.clip(np.abs(layout.side) - 1, 0, None)
        skin = np.exp(-(beyond**2) / OPEN_SKIN_FADE) * _bell(layout.below, 0, OPEN_SKIN_DOWN)
        on_skin = np.clip(layout.side, -OPEN_SKIN_REACH, OPEN_SKIN_REACH) * skin
        outwards = np.where(layout.lip, np.clip(layout.side, -1, 1), on_skin)
        d[:, 0] = pixels["open corners out"] * outwards
        return d

    def _seal(self) -> DoubleArray:
        """Close the photograph's lips; in a wide-open mouth the jaw rises, too."""
        layout, q = self._layout, self._frame.local
        order = np.argsort(q[list(mesh.LIPS_INNER_UPPER), 0])
        inner_side = layout.side[list(mesh.LIPS_INNER_UPPER)][order]
        gaps = (q[list(mesh.LIPS_INNER_LOWER)] - q[list(mesh.LIPS_INNER_UPPER)])[order]  # [11, 3]
        side = np.clip(layout.side, -1, 1)
        gap = np.stack([np.interp(side, inner_side, gaps[:, axis]) for axis in range(3)], -1)
        rise, share, ring = self._jaw_rises, self._upper_share, layout.ring[:, None]
        d = _zeros()
        lower = -(1 - share) * gap * (1 - SEAL_LOWER_THIN * ring)
        d[layout.lower] = lower[layout.lower]
        d[layout.upper] = (share * gap * (1 - SEAL_UPPER_THIN * ring))[layout.upper]
        middle_gap = layout.rest_gap[len(layout.rest_gap) // 2]
        chin = layout.jaw * (JAW_CLOSES + JAW_CLOSES_WIDE * rise) * middle_gap
        d[:, 1] -= np.where(layout.lip, 0, chin)
        # A smile relaxes: corners come in and level out, and the cheeks sink.
        narrower = (1 - self._resting_width) * self._frame.mouth_width / 2
        d[:, 0] -= narrower * self._sideways()
        d[:, 1] += self._levelled() + CHEEKS_SINK * self._sinking_cheeks()
        return d

    def _spread(self) -> DoubleArray:
        layout, pixels = self._layout, self._pixels
        d = _zeros()
        d[:, 0] = pixels["spread corners out"] * self._sideways()
        d[:, 1] += pixels["spread corners up"] * self._at_corner()
        d[:, 1] += pixels["spread mouth up"] * layout.around
        d += pixels["spread corners out"] * self._cheeks_of_a_wide_mouth()
        d[layout.lower, 1] += (pixels["spread lower lip thinner"] * layout.ring)[layout.lower]
        d[layout.upper, 1] += (pixels["spread upper lip thinner"] * layout.ring)[layout.upper]
        return d

    def _round(self) -> DoubleArray:
        """Corners in, lips thicker and together at the sides: protrusion seen from the front."""
        layout, ring, pixels = self._layout, self._layout.ring, self._pixels
        drawn_in = self._resting_width - ROUND_WIDTH * self._relaxed_width
        d = _zeros()
        corners_in = drawn_in * self._frame.mouth_width / 2
        d[:, 0] = -corners_in * self._sideways()
        d[:, 1] += self._rest_of_a_smile()
        d[:, 1] += corners_in * (
            ROUND_SINKS * layout.around + ROUND_CORNERS_SINK * self._at_corner()
        )
        d -= corners_in * self._cheeks_of_a_wide_mouth()
        # The narrower the mouth, the thicker the lips. At the sides they meet: a round opening.
        fuller = layout.arch * drawn_in / (1 - ROUND_WIDTH)
        at_sides = (1 - _bell(layout.side, 0, ROUND_SIDE)) * (1 - ROUND_THIN * ring)
        pinched = pixels["round sides together"] * at_sides
        lower = pixels["round lower lip fuller"] * ring * fuller - pinched
        thicker = pixels["round upper lip down"] + pixels["round upper lip fuller"] * ring
        d[layout.lower, 1] += lower[layout.lower]
        d[layout.upper, 1] += (thicker * fuller + pinched)[layout.upper]
        d[:, 1] += np.where(layout.lip, 0, layout.jaw * pixels["round jaw"])
        # Towards the viewer: visible where the head is turned.
        d[:, 2] = pixels["round forwards"] * layout.around * layout.arch
        return d

    def _funnel(self) -> DoubleArray:
        """Bring the lips that `open` parts together at the sides: what is left is an ellipse."""
        layout, side = self._layout, np.minimum(np.abs(self._layout.side) / FUNNEL_SIDE, 1)
        closing = self._parting - np.sqrt(1 - side**2)
        pinched = self._pixels["funnel sides together"] * closing * (1 - ROUND_THIN * layout.ring)
        lower, upper = (AMPLITUDES[f"open {lip} lip"].share for lip in ("lower", "upper"))
        d = _zeros()
        d[layout.lower, 1] = (-lower * pinched)[layout.lower]
        d[layout.upper, 1] = (-upper * pinched)[layout.upper]
        return d

    def _press(self) -> DoubleArray:
        layout, pixels = self._layout, self._pixels
        rolled = layout.ring * layout.arch
        d = _zeros()
        d[layout.lower, 1] = (
            pixels["press lower lip rolled in"] * rolled + pixels["press lower lip"]
        )[layout.lower]
        d[layout.upper, 1] = (
            pixels["press upper lip rolled in"] * rolled + pixels["press upper lip"]
        )[layout.upper]
        d[:, 1] += np.where(layout.lip, 0, layout.jaw * pixels["press jaw"])
        return d

    def _tuck(self) -> DoubleArray:
        layout, ring, pixels = self._layout, self._layout.ring, self._pixels
        lower = pixels["tuck lower lip"] * layout.arch * (1 - TUCK_LOWER_THIN * ring)
        upper = pixels["tuck upper lip"] * layout.arch * (1 - TUCK_UPPER_THIN * ring)
        d = _zeros()
        d[layout.lower, 1] = lower[layout.lower]
        d[layout.upper, 1] = upper[layout.upper]
        under_nose = _bell(layout.side, 0, UNDER_NOSE_SIDE) * _bell(layout.below, *UNDER_NOSE_DOWN)
        skin = layout.jaw * pixels["tuck jaw"] + under_nose * pixels["tuck under nose"]
        d[:, 1] -= np.where(layout.lip, 0, skin)
        return d

    def _lift(self) -> DoubleArray:
        layout = self._layout
        raised = self._pixels["lift upper lip"] * self._parting * (1 - LIFT_THIN * layout.ring)
        d = _zeros()
        d[layout.upper, 1] = raised[layout.upper]
        d[layout.corner, 1] = self._pixels["lift corners"]
        return d

    def _smile(self) -> DoubleArray:
        layout, pixels = self._layout, self._pixels
        d = _zeros()
        d[:, 0] = pixels["smile corners out"] * self._sideways()
        beside = _bell(np.abs(layout.side), *SMILE_CORNER_SIDE)
        at_corner = beside * _bell(layout.below, 0, SMILE_CORNER_DOWN)
        on_lips = np.clip(np.abs(layout.side), 0, 1) ** 2
        d[:, 1] = pixels["smile corners up"] * np.where(layout.lip, on_lips, at_corner)
        d[layout.lower, 1] += (pixels["smile lower lip thinner"] * layout.ring)[layout.lower]
        d[layout.upper, 1] += (pixels["smile upper lip thinner"] * layout.ring)[layout.upper]
        cheek = _bell(layout.below, *SMILE_CHEEK_DOWN) * beside
        d[:, 1] += np.where(layout.lip, 0, pixels["smile cheeks up"] * cheek)
        return d

    def _relax(self) -> DoubleArray:
        smile_left = max(0.0, self._resting_width - self._relaxed_width)
        d = _zeros()
        d[:, 0] = -smile_left * self._frame.mouth_width / 2 * self._sideways()
        d[:, 1] = smile_strength(self._frame) * self._rest_of_a_smile()
        return d

    def _shape_of_parted_lips(self) -> DoubleArray:
        """1 at the middle of a lip, 0 at the corners: [468].

        The inner edges part less beside the middle than the outer ones, so lips meet and are thick
        towards the corners.
        """
        layout = self._layout
        inner = (1 - np.minimum(np.abs(layout.side), 1) ** 2) ** PARTING_EXPONENT
        return inner + (layout.arch - inner) * layout.ring

    def _curve_of_closed_lips(self) -> DoubleArray:
        """Pixels down that would make the line between closed lips level: [468].

        Positive at the corners of a smile, negative at corners that a dropped jaw has drawn down.
        """
        layout, q = self._layout, self._frame.local
        upper, lower = list(mesh.LIPS_INNER_UPPER), list(mesh.LIPS_INNER_LOWER)
        order = np.argsort(q[upper, 0])
        seam = (q[upper, 1] + self._upper_share * (q[lower, 1] - q[upper, 1]))[order]
        side = np.clip(layout.side, -LEVEL_REACH, LEVEL_REACH)
        at = np.interp(side, layout.side[upper][order], seam)
        level = np.interp(0.0, layout.side[upper][order], seam) - at
        beyond = np.clip(np.abs(layout.side) - LEVEL_SKIN_STARTS, 0, None)
        skin = _bell(beyond, 0, LEVEL_SKIN_SIDE) * _bell(layout.below, 0, LEVEL_SKIN_DOWN)
        return np.where(layout.lip, level, level * skin)

    def _levelled(self) -> DoubleArray:
        """The part of that curve that closed lips lose: of a smile less than of a dropped jaw."""
        of_jaw = LEVELLED + (1 - LEVELLED) * self._jaw_rises
        return np.where(self._curve < 0, of_jaw, LEVELLED) * self._curve

    def _rest_of_a_smile(self) -> DoubleArray:
        """Pixels by which corners and cheeks sink after `seal` until no smile is left: [468]."""
        return self._curve - self._levelled() + (1 - CHEEKS_SINK) * self._sinking_cheeks()

    def _sinking_cheeks(self) -> DoubleArray:
        """Pixels by which the raised cheeks of a smile sink when it ends: [468]."""
        layout = self._layout
        beside = _bell(np.abs(layout.side), *SINKING_CHEEK_SIDE)
        above = _bell(layout.below, *SINKING_CHEEK_DOWN)
        amplitude = AMPLITUDES["smile fades, cheeks down"].share
        raised = amplitude * smile_strength(self._frame) * self._frame.height
        return np.where(layout.lip, 0, raised * beside * above)

    def _cheeks_of_a_wide_mouth(self) -> DoubleArray:
        """How cheeks and folds rise and go aside for each pixel of the corners' way out: [468, 3].

        They do so beyond what the skin next to the corners does.
        """
        layout, away = self._layout, np.abs(self._layout.side)
        up = _bell(away, *WIDE_CHEEK_SIDE) * _bell(layout.below, *WIDE_CHEEK_DOWN)
        aside = _bell(away, *CHEEK_ASIDE_SIDE) * _bell(layout.below, *CHEEK_ASIDE_DOWN)
        d = _zeros()
        d[:, 0] = CHEEKS_ASIDE * aside * np.sign(layout.side)
        d[:, 1] = -CHEEKS_UP * up
        d[layout.lip] = 0
        return d

    def _at_corner(self) -> DoubleArray:
        """1 at the corners, fading along the lips and around: [468]."""
        layout = self._layout
        beside = _bell(np.abs(layout.side), *SPREAD_CORNER_SIDE)
        fading = beside * _bell(layout.below, 0, SPREAD_CORNER_DOWN)
        return np.where(layout.corner, 1, fading)

    def _sideways(self) -> DoubleArray:
        """Sign and size of a sideways pull, fading beyond the corners: [468]."""
        layout, distance = self._layout, np.abs(self._layout.side)
        fade = np.where(
            distance > SIDEWAYS_REACH, np.exp(-(distance - SIDEWAYS_REACH) / SIDEWAYS_FADE), 1
        )
        return np.sign(layout.side) * np.minimum(distance, SIDEWAYS_REACH) * layout.around * fade

    def _at_nose(self) -> DoubleArray:
        """1 on the base of the nose and below it, 0 at its root and beside it: [468]."""
        q = self._frame.local[: mesh.NUM_FACE_POINTS]
        root, base = q[mesh.NOSE_ROOT], q[mesh.UNDER_NOSE]
        down = smoothstep((q[:, 1] - root[1]) / max(base[1] - root[1], 1.0), 0, 1)
        above_mouth = 1 - smoothstep(self._layout.below, *OPEN_NOSE_ENDS)
        beside = (q[:, 0] - base[0]) / self._frame.width
        return down * above_mouth * _bell(beside, 0, OPEN_NOSE_SIDE)


def _zeros() -> DoubleArray:
    return np.zeros((mesh.NUM_FACE_POINTS, 3))


def _bell(x: DoubleArray, centre: float, spread: float) -> DoubleArray:
    """Gaussian falloff, 1 at the centre, 1/e at `spread` from it."""
    return np.exp(-(((x - centre) / spread) ** 2))
