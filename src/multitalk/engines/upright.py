"""A scene set upright by its faces, with a notice for the caller where its picture was turned."""

from collections.abc import Callable
from dataclasses import replace

from multitalk.engines.base import Scene
from multitalk.face.search import Found
from multitalk.face.turning import turned_box
from multitalk.face.upright import Detector, find_upright
from multitalk.messages import Notice

# The scene as it is to be rendered, its faces in pixels of its portrait, and its notices.
Seen = tuple[Scene, Found, tuple[Notice, ...]]
Look = Callable[[Scene], Seen]


def set_upright(scene: Scene, detector: Detector) -> Seen:
    """Find a scene's faces, and turn its picture and its boxes where they are not upright.

    Footage stays as it is: a recording says itself which way up it is.
    """
    boxes = [speaker.box for speaker in scene.speakers if speaker.box is not None]
    expected = len(scene.speakers)
    if scene.footage is not None:
        search = detector.search(scene.portrait, expected=expected, boxes=boxes)
        return scene, search.closely(), ()
    upright = find_upright(detector, scene.portrait, expected=expected, boxes=boxes)
    if upright.quarters == 0:
        return scene, upright.found, ()
    shape = scene.portrait.shape
    speakers = tuple(
        speaker
        if speaker.box is None
        else replace(speaker, box=turned_box(speaker.box, upright.quarters, shape))
        for speaker in scene.speakers
    )
    turned = replace(scene, portrait=upright.picture, speakers=speakers)
    return turned, upright.found, (Notice("picture_turned", {"degrees": upright.degrees}),)
