"""How often speech is sampled and a frame is seen: every talk's time line (pure)."""

SAMPLE_RATE = 16_000  # Hz, what speech models expect
FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640, exactly
