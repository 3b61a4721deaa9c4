"""Speech by the synthesiser espeak-ng: 130 languages, 100 voices. Debian: apt install espeak-ng."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile

PROGRAM = shutil.which("espeak-ng")

# A voice reads the text of its language, else one in Latin letters. Then come numbers, which it reads in its language.
_TEXTS = {
    "en": "The train to the coast leaves at noon. Please keep your ticket, and watch the step. Nobody had seen him since "
    "Friday. Well, if you ask me, the soup was too salty. She opened the letter slowly, read it twice and laughed.",
    "de": "Der Zug hält heute nicht in jedem Dorf. Wir bitten um Ihr Verständnis. Gestern hat es geregnet, morgen soll es "
    "wärmer werden. Hast du den Schlüssel gefunden?",
    "fr": "Le marché ouvre à sept heures, mais le boulanger arrive plus tôt. Avez-vous déjà visité ce musée ? Non, pas encore.",
    "es": "La reunión empieza a las nueve y termina antes de comer. ¿Dónde está la llave? No lo sé, pregunta a tu hermana.",
    "it": "La biblioteca chiude alle otto. Ieri sera abbiamo mangiato tardi, poi siamo andati a piedi fino al porto.",
    "pl": "Jutro rano pojedziemy nad morze. Czy ktoś widział mój zegarek? Leży na stole w kuchni.",
    "tr": "Yarın sabah erkenden yola çıkacağız. Hava soğuk olacak, kalın giyin. Köprüden sonra sağa dönün.",
    "fi": "Huomenna sataa koko päivän. Juna lähtee asemalta kello kuusi, ja matka kestää kaksi tuntia.",
    "ru": "Завтра утром мы поедем к морю. Вы не знаете, где здесь почта? Сначала прямо, потом налево.",
    "el": "Το πλοίο φεύγει στις οκτώ το πρωί. Πού είναι ο σταθμός; Στρίψτε δεξιά μετά τη γέφυρα.",
    "hi": "कल सुबह हम नदी के पास चलेंगे। क्या आपने मेरी किताब देखी है? वह मेज़ पर रखी है।",
    "ar": "سوف يصل القطار في الساعة السابعة مساء. أين المفتاح؟ لا أعرف، اسأل أخاك.",
    "cmn": "明天早上我们坐火车去海边。请问邮局在哪里?一直走,然后左转。",
    "ja": "あしたのあさ、うみへいきます。すみません、えきはどこですか。まっすぐいって、ひだりです。",
}
_LATIN = ("en", "de", "fr", "es", "it", "pl", "tr", "fi")
_WORDS_A_MINUTE = (110, 230)
_PITCH = (10, 90)  # of 0 to 99
_GAP = (0, 6)  # pause between words, 10 ms


@dataclass(frozen=True)
class Speaker:
    """A language and a voice: names as ``espeak-ng -v`` takes them."""

    language: str
    voice: str


def languages() -> list[str]:
    """Return the languages of this installation."""
    return sorted({line.split()[1] for line in _output("--voices").decode().splitlines()[1:]})


def voices() -> list[str]:
    """Return the voices (espeak-ng calls them variants) of this installation."""
    return sorted({line.rpartition("!v/")[2].split()[0] for line in _output("--voices=variant").decode().splitlines()[1:]})


def speak(speaker: Speaker, seconds: float, random: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return speech of this length at a random speed and pitch, float32 [n], and its sample rate.

    A few languages fail with some voices; the speech is then empty.
    """
    own = speaker.language if speaker.language in _TEXTS else speaker.language.split("-")[0]
    text = _TEXTS.get(own) or _TEXTS[_LATIN[random.integers(len(_LATIN))]]
    numbers = " ".join(f"{value}{'.' if value % 3 == 0 else ','}" for value in random.integers(1, 2500, 12))
    settings = {"-s": _WORDS_A_MINUTE, "-p": _PITCH, "-g": _GAP}
    options = [word for option, bounds in settings.items() for word in (option, str(random.integers(*bounds)))]
    voice = f"{speaker.language}+{speaker.voice}"
    words = text.split(" ")
    start = int(random.integers(len(words)))
    read = " ".join([*words[start:], *words[:start], numbers]) + " "
    try:
        sound = _output("-v", voice, *options, "--stdout", read * 3)
    except subprocess.CalledProcessError:
        return np.empty(0, np.float32), 22050
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    start = int(random.integers(max(1, len(samples) - round(seconds * rate))))
    return samples[start : start + round(seconds * rate)], rate


def _output(*arguments: str) -> bytes:
    if PROGRAM is None:
        raise FileNotFoundError("espeak-ng is not installed")
    return subprocess.run([PROGRAM, *arguments], capture_output=True, check=True).stdout
