"""Landmark indices of MediaPipe's refined face mesh: 468 points and two irises of 5.

Right and left are the person's own; a frontal face has its right side on the left of the picture.
Curves run from the person's right to the left. Source of the numbering: MediaPipe's canonical face
model (`canonical_face_model_uv_visualization.png`) and `face_mesh_connections.py`.
"""

NUM_POINTS = 478
NUM_FACE_POINTS = 468  # without the irises

FOREHEAD_TOP = 10
CHIN = 152
RIGHT_CHEEK = 234  # the widest point of the face, in front of the ear
LEFT_CHEEK = 454

# Lips: each ring is an upper and a lower curve that share the mouth's corners.
RIGHT_MOUTH_CORNER = 61
LEFT_MOUTH_CORNER = 291
RIGHT_INNER_CORNER = 78  # where the inner edges of the lips meet
LEFT_INNER_CORNER = 308
INNER_UPPER_LIP = 13  # middle of the upper lip's lower edge
INNER_LOWER_LIP = 14  # middle of the lower lip's upper edge
OUTER_UPPER_LIP = 0
OUTER_LOWER_LIP = 17
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# Two curves in the red of each lip, a third and two thirds of the way to its outer edge.
UPPER_LIP_RED_INNER = (183, 42, 41, 38, 12, 268, 271, 272, 407)
UPPER_LIP_RED_OUTER = (184, 74, 73, 72, 11, 302, 303, 304, 408)
LOWER_LIP_RED_INNER = (96, 89, 179, 86, 15, 316, 403, 319, 325)
LOWER_LIP_RED_OUTER = (77, 90, 180, 85, 16, 315, 404, 320, 307)
# Every landmark of the mouth belongs to one of these three.
MOUTH_CORNERS = (61, 76, 62, 78, 291, 306, 292, 308)
UPPER_LIP = (
    *LIPS_OUTER_UPPER[1:-1],
    *UPPER_LIP_RED_OUTER,
    *UPPER_LIP_RED_INNER,
    *LIPS_INNER_UPPER[1:-1],
)
LOWER_LIP = (
    *LIPS_OUTER_LOWER[1:-1],
    *LOWER_LIP_RED_OUTER,
    *LOWER_LIP_RED_INNER,
    *LIPS_INNER_LOWER[1:-1],
)

# Eyes: each curve runs from the outer corner (at the temple) to the inner one (at the nose).
RIGHT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_EYE_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_EYE_OUTER, RIGHT_EYE_INNER = 33, 133
LEFT_EYE_OUTER, LEFT_EYE_INNER = 263, 362
RIGHT_EYE_UNDER = (23, 110, 24)  # skin below the lower lid
LEFT_EYE_UNDER = (253, 339, 254)

# Irises: the centre, then four points on the rim.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)

# Brows: from the temple to the nose, upper and lower edge.
RIGHT_BROW_UPPER = (70, 63, 105, 66, 107)
RIGHT_BROW_LOWER = (46, 53, 52, 65, 55)
LEFT_BROW_UPPER = (300, 293, 334, 296, 336)
LEFT_BROW_LOWER = (276, 283, 282, 295, 285)
BROWS = (*RIGHT_BROW_UPPER, *RIGHT_BROW_LOWER, *LEFT_BROW_UPPER, *LEFT_BROW_LOWER)

# Bare skin, under the eyes and beside the nose; on both sides.
CHEEKS = (50, 280, 101, 330, 205, 425)
LOWER_CHEEKS = (50, 280, 205, 425)  # without those that glasses cover

# From the nostrils' wings past the mouth's corners, on the right and on the left.
RIGHT_NASOLABIAL_FOLD = (129, 203, 206, 216, 212, 202)
LEFT_NASOLABIAL_FOLD = (358, 423, 426, 436, 432, 422)
NOSE_ROOT, UNDER_NOSE = 168, 2  # between the eyes; where the nose meets the upper lip
NOSE_BASE = (129, 98, 2, 327, 358, 4)  # around nostrils and tip

# The outline, closed, from the forehead's top over the person's left side and the chin.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# Of these, the sides in front of the ears.
TEMPLES = (389, 356, 454, 323, 361, 132, 93, 234, 127, 162)
CROWN = (297, 338, 10, 109, 67)  # at the hair
JAW = (397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172)  # above the neck
