"""Which of the 478 mesh points is what: the indices of MediaPipe's refined face mesh.

Right and left are the person's own; a face that looks at the camera has its right side at the left
of the picture. Curves run from the person's right to the left. Source of the numbering: MediaPipe's
canonical face model (`canonical_face_model_uv_visualization.png`) and `face_mesh_connections.py`.
"""

NUM_POINTS = 478

FOREHEAD_TOP = 10
CHIN = 152
RIGHT_CHEEK = 234  # the widest place of the face, in front of the ear
LEFT_CHEEK = 454
NOSE_BRIDGE = 168
NOSE_TIP = 1

# Lips: each ring is an upper and a lower curve that share the mouth's corners.
RIGHT_MOUTH_CORNER = 61
LEFT_MOUTH_CORNER = 291
INNER_UPPER_LIP = 13  # middle of the upper lip's lower edge
INNER_LOWER_LIP = 14  # middle of the lower lip's upper edge
OUTER_UPPER_LIP = 0
OUTER_LOWER_LIP = 17
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

# Eyes: from the right-hand corner of each eye to its left-hand one would differ per eye, so here
# each curve runs from the outer corner (at the temple) to the inner one (at the nose).
RIGHT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_EYE_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_EYE_OUTER = 33
LEFT_EYE_OUTER = 263

# Irises: the centre, then four points on the rim.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)

# Brows: from the temple to the nose, upper and lower edge.
RIGHT_BROW_UPPER = (70, 63, 105, 66, 107)
RIGHT_BROW_LOWER = (46, 53, 52, 65, 55)
LEFT_BROW_UPPER = (300, 293, 334, 296, 336)
LEFT_BROW_LOWER = (276, 283, 282, 295, 285)

# Bare skin, under the eyes and beside the nose; on both sides.
CHEEKS = (50, 280, 101, 330, 205, 425)

# The outline, closed, from the forehead's top over the person's left side and the chin.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
