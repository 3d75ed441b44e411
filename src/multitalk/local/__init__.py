"""Talks rendered on this machine, for the Python API and the command line.

studio        `Studio` and `render`: an engine that stays loaded, or is loaded for one talk; results
talk_options  the options of both, written once
arguments     pictures, voices and samples of Python as sources of a request
"""
