"""Outbound HTTP: connections to checked addresses only, bounded in time and size."""
