"""Language identification of text in Latin letters: everyday words, else n-gram statistics."""

import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


# Languages that the statistics may choose: those of py3langid that the synthesizer speaks and that
# are not so rare that a short English text is sooner taken for them than the reverse.
_STATISTICAL = (
    "en fr de es it pt nl sv da no fi pl cs sk hu ro tr vi id hr ca et lv lt sw cy ga is sq sl eu "
    "eo af"
)
# Those that everyday words are known of.
_BY_WORDS = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro",
    "tr", "vi", "id", "hr", "sl", "ca", "et", "cy", "sw",
)  # fmt: skip
# How many times as probable each everyday word of a language makes it, and how many count.
_WEIGHT_OF_WORD, _MOST_WORDS = 4.0, 20.0
# How probable a language must be to be taken in place of English, by the number of words. Chosen so
# that hardly any everyday English text is taken for another.
_LEAST_PROBABILITY = {1: 0.6, 2: 0.55, 3: 0.5}
_DOUBTFUL = 0.1  # a text of several words that is less probably English than this may not be

# Greetings and function words by language tag, in small letters: they separate languages of one
# script in texts that are too short for statistics. Our choice, from what phrase books teach first;
# a word of several languages counts for a part in each.
EVERYDAY_WORDS = {
    "en": (
        "the and is are was were you your he she they we i i'm it's don't this that these those "
        "of to with from have has what where when why how hello hi hey ok okay yes please "
        "thanks thank welcome good bye goodbye morning evening night nice one two three four "
        "five our my not will can here there be been but or if about who talk talks speak news "
        "today tomorrow everyone world test line first second third no man now let's see sure "
        "sorry great a an at as by it its do does did go get so just very more said says visit "
        "love happy birthday big come on pizza sushi bar code license up over out open source "
        "again"
    ),
    "fr": (
        "bonjour bonsoir salut merci beaucoup oui je tu il elle nous vous ils elles suis sont "
        "est c'est n'est pas le les des du une et avec pour dans sur mais qui où très bien au "
        "revoir j'ai s'il plaît comment ça quoi aujourd'hui l'on cette mon votre demain "
        "enchanté désolé d'accord à bientôt j'adore t'aime allez toilettes anniversaire"
    ),
    "de": (
        "guten tag abend morgen hallo danke bitte ich du er sie wir ihr bin ist sind nicht und "
        "der die das ein eine mit für auf von zu aber wie wo schön auch sehr heute tschüss "
        "willkommen nein ja herzlich gut haben heiße vielen dank alles klar wiedersehen "
        "entschuldigung im bis freut mich einverstanden welt prost bald tut mir leid gute nacht "
        "geht spät wohne"
    ),
    "es": (
        "hola buenos buenas días tardes noches gracias sí yo tú él ella nosotros usted ustedes "
        "soy eres es está estoy el los las una y con para pero qué cómo dónde muy mucho adiós "
        "favor señor hoy mañana bienvenidos amigos amigo por mi lo te quiero feliz al del en de "
        "encantado hasta luego siento acuerdo salud cumpleaños estás hace mundo"
    ),
    "it": (
        "ciao buongiorno buonasera grazie prego io lui lei noi voi loro sono è sei il gli una "
        "con per ma che chi dove come molto bene oggi domani arrivederci mille tutti questo "
        "questa non della del nel anche così sto ti amo favore di a e alla buon ore piacere "
        "presto dispiace d'accordo notte bagni chiami mondo buona"
    ),
    "pt": (
        "olá oi bom boa dia tarde noite obrigado obrigada sim eu você vocês ele ela nós sou são "
        "é está o os as uma e com para mas que não onde muito bem hoje amanhã tchau adeus isso "
        "este também meu te amo por favor à ao de do da em feliz prazer logo desculpe acordo "
        "até aniversário mundo"
    ),
    "nl": (
        "hallo goedemorgen goedemiddag goedenavond dank bedankt ja nee ik jij hij zij wij ben "
        "is zijn het een de en met voor maar wat waar hoe heel goed vandaag niet ook dag welkom "
        "alstublieft tot morgen van laat vanavond gefeliciteerd spijt wereld goede nacht hou"
    ),
    "sv": (
        "hej god morgon kväll tack ja nej jag du han hon vi är inte och att det som på med för "
        "av vad var hur mycket bra idag välkommen mår så heter ses imorgon soffan grattis då "
        "förlåt natt älskar"
    ),
    "da": (
        "hej godmorgen tak ja nej jeg du han hun vi er ikke og at det som på med for af hvad "
        "hvor hvordan meget godt velkommen mange hedder vejr vejret klokken farvel undskyld "
        "elsker dig"
    ),
    "nb": (
        "hei morn takk ja nei jeg du han hun vi er ikke og å det som på med for av hva hvor "
        "hvordan veldig bra velkommen tusen heter vær været klokka gratulerer unnskyld "
        "toalettet deg ha"
    ),
    "fi": (
        "hei moi terve hyvää päivää huomenta iltaa kiitos kyllä ei minä sinä hän olen on ja "
        "mutta mitä missä miten hyvin tänään tervetuloa paljon anteeksi näkemiin"
    ),
    "pl": (
        "cześć dzień dobry wieczór dziękuję tak nie ja ty on ona jestem jest są i z na do w ale "
        "co gdzie jak bardzo dobrze dzisiaj proszę witamy się dobranoc przepraszam widzenia cię"
    ),
    "cs": (
        "ahoj dobrý den večer děkuji díky ano ne já ty jsem je jsou a s na do v ale co kde jak "
        "velmi dobře dnes prosím vítejte se shledanou promiňte jmenujete"
    ),
    "sk": (
        "ahoj dobrý deň večer ďakujem vďaka áno nie ja ty som je sú a s na do v ale čo kde ako "
        "veľmi dobre dnes prosím vitajte sa"
    ),
    "hu": (
        "szia sziasztok jó napot reggelt estét köszönöm igen nem én te ő vagyok van és de mi "
        "hol hogy nagyon ma üdvözöljük egy szépen kívánok az szeretlek bocsánat viszontlátásra"
    ),
    "ro": (
        "bună salut ziua seara mulțumesc da nu eu tu el ea sunt este și cu pentru dar ce unde "
        "foarte bine azi mâine vă rog te iubesc pe cât la revedere îmi pare rău"
    ),
    "tr": (
        "merhaba selam günaydın teşekkür teşekkürler evet hayır ben sen o biz siz ve bir bu "
        "için ama ne nerede nasıl nasılsın nasılsınız çok iyi bugün hoş geldiniz ederim saat "
        "seni kaç yarın görüşürüz dilerim geceler dünya"
    ),
    "vi": "xin chào cảm ơn tôi bạn là không có và của này rất hôm nay ở đâu gì các",
    "id": (
        "halo selamat pagi siang sore malam terima kasih ya tidak saya anda kamu dia adalah dan "
        "dengan untuk tetapi apa di mana bagaimana sangat hari ini datang kabar maaf jumpa "
        "sampai nama siapa"
    ),
    "hr": (
        "bok dobar dan jutro večer hvala da ne ja ti sam je su i s na za ali što gdje kako vrlo "
        "dobro danas molim lijepa oprostite doviđenja"
    ),
    "sl": (
        "živjo dober dan jutro večer hvala da ne jaz ti sem je so in s na za ampak kaj kje kako "
        "zelo dobro danes prosim ste"
    ),
    "ca": (
        "bon dia bona tarda nit gràcies moltes sí jo tu ell ella som és són el els les una i "
        "amb per però què com on molt bé avui si us plau adéu ho sento molts anys"
    ),
    "et": "tere hommikust aitäh jah ei mina sina olen on ja aga mis kus kuidas väga täna palun",
    "cy": "bore noswaith diolch helo croeso",
    "sw": "habari jambo asante karibu ninaitwa jina langu",
    "bg": (
        "съм си е са как какво това аз ти той тя не много добър ден благодаря сте здравейте "
        "здравей във със на от за и ще че"
    ),
    "ru": (
        "я ты он она мы вы не это как что спасибо здравствуйте привет и в на с добрый день до "
        "очень есть"
    ),
    "uk": "я ти він вона ми ви не це як що дякую привіт добрий день та в на з дуже є до",
    "mk": (
        "сум си е се како што ова јас ти тој таа не многу добар ден благодарам здраво и во на "
        "од за ќе"
    ),
    "sr": "сам си је су како шта ово ја ти он она не много добар дан хвала здраво и у на од за ће",
    "hi": "है हैं था थी और का की के में से को नहीं यह मैं आप क्या कैसे हूँ हूं एक पर",
    "mr": "आहे आहेत आहात होता आणि चा ची चे मध्ये नाही हे मी तुम्ही काय कसे कसा एक माझे माझं",
    "ne": "छ छन् छु थियो र को का मा लाई हुनुहुन्छ होइन यो म तपाईं तपाईंलाई के कस्तो एक मेरो हो",
    "ar": "في من على إلى هذا هذه أنا أنت هو هي لا ما كيف حالك شكرا مرحبا السلام عليكم و",
    "fa": "در از به این آن من تو است را که با هستم سلام ممنون خوب روز شما حال چه و",
    "ur": "میں سے کو یہ وہ ہے ہیں کا کی کے اور نہیں آپ کیا کیسے شکریہ ہوں",
}


def identify_latin(text: str) -> tuple[str, bool]:
    """The language of a text in Latin letters, as a tag, and whether that is well founded.

    English is taken where nothing tells; not well founded is what may well be another language.
    """
    words = latin_words(text)
    if not words:
        return "en", True
    hits = everyday_word_counts(words, _BY_WORDS)
    first, second, *_ = sorted(hits.values(), reverse=True)
    most = 2 * first >= len(words) or (4 * first >= len(words) and first > 2 * second + 2)
    if first > second and most:
        return max(hits, key=lambda language: hits[language]), True
    tied = {language for language, count in hits.items() if count == first} if most else None
    return _by_probability(words, hits, tied)


def _by_probability(
    words: list[str], hits: dict[str, float], candidates: set[str] | None
) -> tuple[str, bool]:
    """The most probable language, by statistics and everyday words; see `identify_latin`.

    Args:
        words: Of the text.
        hits: Everyday words of each language in it.
        candidates: The languages to choose from; None: any, and English in doubt.
    """
    ranked = {
        language: probability * _WEIGHT_OF_WORD ** min(hits.get(language, 0.0), _MOST_WORDS)
        for language, probability in _probabilities(words).items()
        if candidates is None or language in candidates
    }
    best = max(ranked, key=lambda language: ranked[language])
    least = _LEAST_PROBABILITY[min(len(words), max(_LEAST_PROBABILITY))] * sum(ranked.values())
    if candidates is not None or ranked[best] >= least:
        return best, True
    is_accented = not "".join(words).isascii()
    is_unlikely = len(words) > 1 and ranked.get("en", 0.0) < _DOUBTFUL * ranked[best]
    return "en", best == "en" or not (is_accented or is_unlikely)


def _probabilities(words: list[str]) -> dict[str, float]:
    if find_spec("py3langid") is None:  # everyday words are all that tells, and English is doubted
        even = 1.0 / len(_BY_WORDS)
        return dict.fromkeys(_BY_WORDS, even) | {"en": even * _DOUBTFUL / 2}
    ranked = _identifier().rank(" ".join(words))
    return {{"no": "nb"}.get(language, language): float(share) for language, share in ranked}


def latin_words(text: str) -> list[str]:
    """The words of a text that have Latin letters, in small letters, as they are looked up."""
    plain = unicodedata.normalize("NFC", text).replace("’", "'").lower()
    return [word for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", plain) if _is_latin(word[0])]


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - half a second

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_STATISTICAL.split())
    return identifier


def everyday_word_counts(words: list[str], languages: tuple[str, ...]) -> dict[str, float]:
    """The number of everyday words of each language among these words.

    A word of several counts for an equal part in each.
    """
    shares = dict.fromkeys(languages, 0.0)
    for word in words:
        owners = [language for language in languages if word in _words_of(language)]
        for language in owners:
            shares[language] += 1.0 / len(owners)
    return shares


@cache
def _words_of(language: str) -> frozenset[str]:
    return frozenset(EVERYDAY_WORDS.get(language, "").split())
