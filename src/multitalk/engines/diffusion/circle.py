"""Processes that work together: what they do succeeds in all of them, or ends with an error in all.

They compare notes at the points that all of them come to. Whoever failed in between says so at the
next point, where the others wait.
"""

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from multitalk.engines.diffusion.notes import Note, Notes
from multitalk.errors import EngineBroken, EngineFailed

logger = logging.getLogger(__name__)


class TalkLeftError(Exception):
    """The first process ended the talk: nothing is wrong here."""


class Circle:
    """The processes of a team, or of a half of it, seen from one of them."""

    def __init__(self, notes: Notes, *, follows: bool) -> None:
        """Meet the others.

        Args:
            notes: Between them.
            follows: Whether this is not the team's first process.
        """
        self.notes = notes
        self._follows = follows
        self._stretch = 0  # number of the work in hand
        self._is_open = False  # whether the others are in it, too

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that all do: it has succeeded on all, or ends with an error on all.

        Raises:
            OutOfMemoryError: PyTorch's: here or in another process.
            EngineFailed: Another process failed.
            TalkLeftError: The first process has left the work.
            EngineBroken: Another process is gone.
        """
        self._stretch += 1
        mine, self._is_open = self._stretch, True
        try:
            yield
            self.ask()
        except BaseException as error:
            if self._is_open and mine == self._stretch:
                self._tell(error)
            raise
        self._is_open = False

    def ask(self, what: str = "") -> None:
        """Come to a point of the work, and hear whether all go on.

        Args:
            what: Is done next; who does not do the same has lost its way.

        Raises:
            OutOfMemoryError, EngineFailed, TalkLeftError, EngineBroken: As `together`.
        """
        heard = self._exchange(Note.GO_ON, what)
        if heard is not Note.GO_ON:
            raise _error_of(heard)

    def begin(self) -> None:
        """The others are in the work from now on."""
        self._is_open = True

    def leave(self) -> None:
        """Have the others leave work that was left without a word."""
        if self._is_open:
            self._exchange(Note.LEFT)

    def lose(self) -> None:
        """One of them is gone, as another circle has noticed: nobody is waited for any more."""
        self.notes.is_lost = True
        self._is_open = False

    def _tell(self, error: BaseException) -> None:
        """Say what ended the work here; what was worse elsewhere is raised."""
        note = Note.FAILED if self._follows else Note.LEFT
        if isinstance(error, torch.OutOfMemoryError):
            note = Note.OUT_OF_MEMORY
        heard = self._exchange(note)
        if heard is not note:
            raise _error_of(heard) from error

    def _exchange(self, note: Note, what: str = "") -> Note:
        try:
            heard, is_same_place = self.notes.exchange(note, zlib.crc32(what.encode()))
        except EngineBroken:
            self._is_open = False
            raise
        if heard is Note.GO_ON and not is_same_place:
            logger.error("the processes of a talk have lost each other, here before: %s", what)
            heard = Note.FAILED
        if heard is not Note.GO_ON:
            self._is_open = False
        return heard


def _error_of(note: Note) -> Exception:
    if note is Note.OUT_OF_MEMORY:
        return torch.OutOfMemoryError("out of memory in another process")
    if note is Note.FAILED:
        return EngineFailed("parallel_failed")
    return TalkLeftError()
