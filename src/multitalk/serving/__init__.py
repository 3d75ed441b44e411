"""The doors through which jobs come in."""
