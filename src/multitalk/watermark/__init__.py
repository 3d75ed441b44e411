"""An imperceptible mark in the picture and the sound of every video, and finding it again.

The mark says that a video was made by this program, with which version, and a number of the talk.
It is made without a network's weights. Its key is published (`keys`), so that anybody can detect
it; who knows the key can also remove the mark or put it into something else.
"""
