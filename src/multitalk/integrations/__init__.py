"""The live avatar in frameworks for voice agents; each is an extra (docs/live.md)."""
