"""Face detection, landmarks, orientation and assignment."""
