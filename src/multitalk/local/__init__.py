"""Talks rendered on this machine, for the Python API and the command line.

studio         `Studio` and `render`: an engine that stays loaded, or is loaded for one talk
talk_options   the options of both, written once
arguments      pictures, voices and samples of Python as sources of a request
job_input      a job's input from this machine: its paths, its prompt
rendered_talk  the result, which a notebook shows as a player
"""
