"""Pitch of each voice of a text, and agreement of the mouth network with it.

    python benchmarks/voices.py [--languages]

A row for each speaker: gender as listed, median fundamental frequency, and the correlation of the
lips' opening found in the sound with that of the phonemes that were spoken, in English and Korean.
With --languages: `female`, `male` and the languages' own voices in fourteen languages.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from multitalk.speech.synthesis import SynthesizedSpeech, phoneme_track, synthesize
from multitalk.speech.viseme_track import VisemeTrack
from multitalk.speech.visemes import analyse_speech
from multitalk.speech.voice_catalogue import own_voices
from multitalk.timebase import SAMPLE_RATE

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "speech"))
from fundamental import median_hertz

LOUDNESS = 0.08  # root mean square of the sound that is analysed
SENTENCES = {
    "en": "Maybe my mother, or Bob, may pump water. One picture and a voice are all I need.",
    "ko": "안녕하세요. 사진 한 장과 목소리만 있으면 제가 말할 수 있습니다. 엄마가 밥을 먹습니다.",
    "ar": "مرحبا بكم في مدينتنا الجميلة. ذهب محمد مع أبيه إلى المكتبة.",
    "cmn": "爸爸妈妈都不怕冷，他们每天跑步，然后喝一杯茶。",
    "de": "Guten Morgen, meine Damen und Herren, wie geht es Ihnen heute?",
    "es": "Mi amigo Pablo compra pan y fruta para su familia por la mañana.",
    "fr": "Bonjour, je m'appelle Marie et j'aime beaucoup la musique.",
    "hi": "नमस्ते, मैं आपसे मिलकर बहुत खुश हूँ।",
    "it": "Buongiorno, mi chiamo Marco e vivo a Roma.",
    "ja": "わたしは まいにち ほんを よみます。みんな げんきです。",
    "pt-br": "Bom dia, meu amigo. A minha mãe mora em Lisboa.",
    "ru": "Доброе утро, мой друг. Мама мыла раму вчера вечером.",
    "tr": "Merhaba, benim adım Mehmet ve İstanbul'da yaşıyorum.",
    "vi": "Xin chào, tôi rất vui được gặp bạn hôm nay.",
}


def main() -> None:
    """Speak, measure, and print a row for each voice."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--languages", action="store_true", help="few voices in many languages")
    if parser.parse_args().languages:
        for language in SENTENCES:
            figures = [f"{voice} {measured(language, voice)}" for voice in ("female", "male")]
            print(f"{language:<6}", " | ".join(figures), flush=True)
        return
    for voice in own_voices():
        figures = [measured(language, voice.name) for language in ("en", "ko")]
        print(f"{voice.name:<14}{voice.gender or '-':<8}", " | ".join(figures), flush=True)


def measured(language: str, voice: str) -> str:
    """Hertz, and the correlation of the lips' opening."""
    speech = synthesize(SENTENCES[language], language=language, voice=voice)
    hertz = median_hertz(speech.samples, speech.sample_rate)
    return f"{hertz:5.0f} Hz  r {lips_correlation(speech):.2f}"


def lips_correlation(speech: SynthesizedSpeech) -> float:
    """Pearson's r of the gap between the lips: from sound against from phonemes."""
    sound = speech.resampled(SAMPLE_RATE)
    sound *= LOUDNESS / np.sqrt(np.mean(sound**2))
    heard = analyse_speech(sound)
    spoken = phoneme_track(speech.phonemes, len(heard))
    return float(np.corrcoef(gap(heard), gap(spoken))[0, 1])


def gap(track: VisemeTrack) -> np.ndarray:
    """In face heights, frame by frame."""
    return np.asarray(track.opening) * (1 - np.asarray(track.closure))


if __name__ == "__main__":
    main()
