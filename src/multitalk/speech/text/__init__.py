"""The text front end of the synthesizer: from text as people write it to pieces for one voice each.

Markup removal, language identification, text normalization, Korean and Japanese pronunciation.
"""
