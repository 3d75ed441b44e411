"""The espeak-ng synthesizer, run as a separate process.

    echo '{"pieces": [{"text": "hello", "voice": "en-us", "pitch": 50, "pitch_range": 50}],
           "words_per_minute": 160, "max_seconds": 60}' | python -m multitalk.speech.espeak_process

espeak-ng is licensed under the GPL-3, so it is never loaded into the caller's process. It is also
known to end by a signal at some texts, so it reads them in a confined process. One JSON object
comes in on stdin. Out go `READY` and one line of JSON; for speech it lists the pieces in order, and
is followed by the samples of all of them as little-endian int16. This file imports nothing of this
project but `confinement`, and needs the package espeakng-loader, whose wheel has the library and
its data.
"""

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

from multitalk.confinement.confine import ProcessLimits, confine

# Samples of an hour are 160 MB, and everything else is small. 60 s of CPU are some hours of speech.
LIMITS = ProcessLimits(memory_bytes=512 << 20, cpu_seconds=60)
# From espeak-ng/speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEMES_AS_IPA, _DO_NOT_EXIT = 1 << 0, 1 << 1, 1 << 15
_EVENT_LIST_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_CHARACTERS_UTF8 = 1
# espeak-ng copies its data path into a buffer of 160 bytes.
_LONGEST_DATA_PATH = 120
_POSITION_CHARACTER = 1
# Languages that read another one's dictionary.
_DICTIONARY_OF = {"nb": "no", "hyw": "hy"}


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _EspeakVoice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # priority byte, name, NUL; repeated; then a NUL
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_SynthesisCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The library, loaded and ready. The library has global state: one instance per process.

    Args:
        library_path: Of the shared library.
        data_path: Of the folder espeak-ng-data; 120 bytes at most.
    """

    def __init__(self, library_path: str, data_path: str) -> None:
        self._data = Path(data_path)
        self.variants = sorted(path.name for path in (self._data / "voices" / "!v").iterdir())
        self._dictionaries = {path.name for path in Path(data_path).glob("*_dict")}
        if len(os.fsencode(data_path)) > _LONGEST_DATA_PATH:
            raise OSError(f"the path of espeak-ng's data is too long: {data_path}")
        self._library = ctypes.CDLL(library_path)
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_EspeakVoice))
        self._library.espeak_Synth.argtypes = (
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        )  # fmt: skip
        self.sample_rate: int = self._library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, os.fsencode(data_path),
            _PHONEME_EVENTS | _PHONEMES_AS_IPA | _DO_NOT_EXIT,
        )  # fmt: skip
        if self.sample_rate <= 0:
            raise OSError("espeak-ng could not read its data")
        # It seeds itself with the time, and the noise of breathy voices is random.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._samples = bytearray()
        self._max_bytes = 0
        self._phonemes: list[tuple[int, str]] = []
        self._words: list[tuple[int, int, int]] = []
        self._voice = ""
        self._callback = _SynthesisCallback(self._receive)  # must live as long as the library
        self._library.espeak_SetSynthCallback(self._callback)

    def languages(self) -> dict[str, str]:
        """The voice of each language, by codes such as en-gb; only those that have a dictionary."""
        voices = self._library.espeak_ListVoices(None)
        found = {}
        index = 0
        while voices[index]:
            voice = voices[index].contents
            code = ctypes.string_at(voice.languages + 1).decode()  # after its priority
            base = code.split("-")[0]
            if f"{_DICTIONARY_OF.get(base, base)}_dict" in self._dictionaries:
                found[code] = voice.identifier.decode().split("/")[-1]
            index += 1
        return dict(sorted(found.items()))

    def speakers(self) -> dict[str, dict[str, Any]]:
        """The record of each of `variants`, as `_voice_record`."""
        return {name: _voice_record(self._data / "voices" / "!v" / name) for name in self.variants}

    def language_speakers(self) -> dict[str, dict[str, Any]]:
        """The same of each language's own voice, by the code of the language."""
        voices = self._library.espeak_ListVoices(None)
        found = {}
        index = 0
        while voices[index]:
            voice = voices[index].contents
            code = ctypes.string_at(voice.languages + 1).decode()
            found[code] = _voice_record(self._data / "lang" / voice.identifier.decode())
            index += 1
        return found

    def speak(
        self,
        text: str,
        *,
        voice: str,
        words_per_minute: int,
        pitch: int,
        pitch_range: int,
        max_seconds: float,
    ) -> tuple[bytes, list[tuple[int, str]], list[tuple[int, int, int]]]:
        """Synthesize plain text.

        Args:
            text: Without control characters: U+0001 would start an espeak command.
            voice: A voice of `languages`, with `+variant` for another speaker.
            words_per_minute: 80 to 450.
            pitch: 0 to 100.
            pitch_range: 0 to 100.
            max_seconds: Synthesis stops soon after this much speech.

        Returns:
            Samples as native int16 bytes. (First sample, IPA) of each phoneme, "" for a pause and
            such as "(en)" for a change to the sounds of another language. (First character, number
            of characters, phonemes before it) of each word, once for each letter if it is spelt.

        Raises:
            ValueError: There is no such voice.
        """
        self._samples.clear()
        self._phonemes.clear()
        self._words.clear()
        self._max_bytes = int(max_seconds * self.sample_rate) * 2
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"no such voice: {voice}")
            self._voice = voice
        for parameter, value in (
            (_PARAMETER_RATE, words_per_minute),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
        )
        self._library.espeak_Synchronize()
        return bytes(self._samples), list(self._phonemes), list(self._words)

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if wave and num_samples > 0:
            self._samples += ctypes.string_at(wave, num_samples * 2)
        index = 0
        while events[index].type != _EVENT_LIST_END:
            event = events[index]
            if event.type == _EVENT_WORD:
                self._words.append((event.text_position - 1, event.length, len(self._phonemes)))
            if event.type == _EVENT_PHONEME:
                address = ctypes.addressof(event) + _Event.id.offset
                name = ctypes.string_at(address, 8).split(b"\0")[0]  # unterminated if full
                self._phonemes.append((event.sample, name.decode("utf-8", "ignore")))
            index += 1
        return int(len(self._samples) > self._max_bytes)  # 0: go on


def _voice_record(voice: Path) -> dict[str, Any]:
    """The record of a voice's file: `{"gender": "female", "pitch": [base, top]}`, or less.

    The frequencies are in hertz. The format: docs/voices.md of espeak-ng.
    """
    record: dict[str, Any] = {}
    if voice.is_file():
        for line in voice.read_text(encoding="utf-8", errors="replace").splitlines():
            key, *values = line.split("//")[0].split() or [""]
            if key == "gender" and values:
                record["gender"] = values[0].lower()
            if key == "pitch" and len(values) >= 2:
                record["pitch"] = [float(value) for value in values[:2]]
    return record


def load_from(library_path: str, data_path: str) -> Espeak:
    """The library with its data's folder as the working directory, however long its path is."""
    os.chdir(data_path)
    return Espeak(library_path, ".")


def main() -> None:
    """Answer the one request on stdin."""
    import espeakng_loader  # noqa: PLC0415 - absent where only this file is read

    data = Path(espeakng_loader.get_data_path())
    espeak = load_from(str(espeakng_loader.get_library_path()), str(data))
    with confine(LIMITS, readable=[data]) as answers:
        request = json.loads(sys.stdin.buffer.read())
        if "pieces" not in request:
            answers.write(json.dumps(_inventory(espeak)).encode() + b"\n")
            return
        pieces: list[dict[str, Any]] = []
        samples: list[bytes] = []
        left = request.pop("max_seconds")
        for piece in request.pop("pieces"):
            spoken, phonemes, words = espeak.speak(**piece, **request, max_seconds=left)
            left = max(left - len(spoken) / (2 * espeak.sample_rate), 0.0)
            samples.append(spoken)
            pieces.append({"num_samples": len(spoken) // 2, "phonemes": phonemes, "words": words})
        head = {"sample_rate": espeak.sample_rate, "pieces": pieces}
        answers.write(json.dumps(head).encode() + b"\n")
        answers.writelines(samples)


def _inventory(espeak: Espeak) -> dict[str, Any]:
    return {
        "languages": espeak.languages(),
        "language_speakers": espeak.language_speakers(),
        "variants": espeak.speakers(),
    }


if __name__ == "__main__":
    main()
