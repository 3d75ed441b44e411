"""The version of this software: written here and nowhere else."""

__version__ = "0.2.0"
