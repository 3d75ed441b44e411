"""The time base of every talk: 25 frames a second over 16 kHz speech."""

SAMPLE_RATE = 16_000  # Hz, what speech models expect
FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640, exactly
