"""The time base of every talk: 25 frames a second over 16 kHz speech, in windows of 81 frames."""

SAMPLE_RATE = 16_000  # Hz, what speech models expect
FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640, exactly
CLIP_FRAMES = 81  # in mode `clip`; a window of the generative model, as it was trained
