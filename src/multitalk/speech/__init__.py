"""Speech, and what an engine is driven by: mouth shapes from a waveform, and speech from text."""
