"""Connections that leave the house: to checked addresses only, and never longer than they may."""
