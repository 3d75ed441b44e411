"""Names of languages, and the synthesizer's codes for them."""

from multitalk.speech.espeak import list_languages, match_name

# The synthesizer's code -> the name in English, in the language itself and in Korean; further names
# after them. From Unicode's CLDR; only languages that people ask for by name.
LANGUAGE_NAMES: dict[str, tuple[str, ...]] = {
    "af": ("Afrikaans", "Afrikaans", "아프리칸스어"),
    "am": ("Amharic", "አማርኛ", "암하라어"),
    "ar": ("Arabic", "العربية", "아랍어"),
    "az": ("Azerbaijani", "azərbaycan", "아제르바이잔어"),
    "be": ("Belarusian", "беларуская", "벨라루스어"),
    "bg": ("Bulgarian", "български", "불가리아어"),
    "bn": ("Bengali", "বাংলা", "벵골어", "Bangla"),
    "bs": ("Bosnian", "bosanski", "보스니아어"),
    "ca": ("Catalan", "català", "카탈로니아어"),
    "cmn": ("Chinese", "中文", "중국어", "Mandarin", "汉语", "漢語", "普通话", "普通話", "만다린"),
    "cs": ("Czech", "čeština", "체코어"),
    "cy": ("Welsh", "Cymraeg", "웨일스어"),
    "da": ("Danish", "dansk", "덴마크어"),
    "de": ("German", "Deutsch", "독일어"),
    "el": ("Greek", "Ελληνικά", "그리스어"),
    "en-us": ("English", "English", "영어", "American English", "American", "미국 영어"),
    "en-gb": ("British English", "British English", "영국 영어", "British"),
    "eo": ("Esperanto", "Esperanto", "에스페란토어"),
    "es": ("Spanish", "español", "스페인어", "Castilian"),
    "es-419": ("Latin American Spanish", "español latinoamericano", "중남미 스페인어"),
    "et": ("Estonian", "eesti", "에스토니아어"),
    "eu": ("Basque", "euskara", "바스크어"),
    "fa": ("Persian", "فارسی", "페르시아어", "Farsi"),
    "fi": ("Finnish", "suomi", "핀란드어"),
    "fr-fr": ("French", "français", "프랑스어", "불어"),
    "ga": ("Irish", "Gaeilge", "아일랜드어"),
    "gu": ("Gujarati", "ગુજરાતી", "구자라트어"),
    "he": ("Hebrew", "עברית", "히브리어"),
    "hi": ("Hindi", "हिन्दी", "힌디어"),
    "hr": ("Croatian", "hrvatski", "크로아티아어"),
    "hu": ("Hungarian", "magyar", "헝가리어"),
    "hy": ("Armenian", "հայերեն", "아르메니아어"),
    "id": ("Indonesian", "Bahasa Indonesia", "인도네시아어", "Indonesia"),
    "is": ("Icelandic", "íslenska", "아이슬란드어"),
    "it": ("Italian", "italiano", "이탈리아어"),
    "ja": ("Japanese", "日本語", "일본어"),
    "ka": ("Georgian", "ქართული", "조지아어"),
    "kk": ("Kazakh", "қазақ тілі", "카자흐어"),
    "kn": ("Kannada", "ಕನ್ನಡ", "칸나다어"),
    "ko": ("Korean", "한국어", "한국어", "조선말", "한국말"),
    "la": ("Latin", "Latina", "라틴어"),
    "lt": ("Lithuanian", "lietuvių", "리투아니아어"),
    "lv": ("Latvian", "latviešu", "라트비아어"),
    "mk": ("Macedonian", "македонски", "마케도니아어"),
    "ml": ("Malayalam", "മലയാളം", "말라얄람어"),
    "mr": ("Marathi", "मराठी", "마라티어"),
    "ms": ("Malay", "Melayu", "말레이어", "Bahasa Melayu"),
    "my": ("Burmese", "မြန်မာ", "버마어", "Myanmar", "미얀마어"),
    "nb": ("Norwegian", "norsk", "노르웨이어", "Norwegian Bokmål", "norsk bokmål"),
    "ne": ("Nepali", "नेपाली", "네팔어"),
    "nl": ("Dutch", "Nederlands", "네덜란드어", "Flemish"),
    "pa": ("Punjabi", "ਪੰਜਾਬੀ", "펀자브어"),
    "pl": ("Polish", "polski", "폴란드어"),
    "pt": ("Portuguese", "português", "포르투갈어"),
    "pt-br": ("Brazilian Portuguese", "português do Brasil", "브라질 포르투갈어", "Brazilian"),
    "ro": ("Romanian", "română", "루마니아어"),
    "ru": ("Russian", "русский", "러시아어"),
    "si": ("Sinhala", "සිංහල", "싱할라어"),
    "sk": ("Slovak", "slovenčina", "슬로바키아어"),
    "sl": ("Slovenian", "slovenščina", "슬로베니아어", "Slovene"),
    "sq": ("Albanian", "shqip", "알바니아어"),
    "sr": ("Serbian", "српски", "세르비아어", "srpski"),
    "sv": ("Swedish", "svenska", "스웨덴어"),
    "sw": ("Swahili", "Kiswahili", "스와힐리어"),
    "ta": ("Tamil", "தமிழ்", "타밀어"),
    "te": ("Telugu", "తెలుగు", "텔루구어"),
    "th": ("Thai", "ไทย", "태국어", "ภาษาไทย", "타이어"),
    "tr": ("Turkish", "Türkçe", "터키어", "튀르키예어"),
    "uk": ("Ukrainian", "українська", "우크라이나어"),
    "ur": ("Urdu", "اردو", "우르두어"),
    "uz": ("Uzbek", "o‘zbek", "우즈베크어"),
    "vi": ("Vietnamese", "Tiếng Việt", "베트남어"),
    "yue": ("Cantonese", "粵語", "광둥어", "粤语", "廣東話", "广东话"),
}

# Language tags (BCP 47) that the synthesizer calls otherwise.
_TAGS = {
    "en": "en-us",
    "fr": "fr-fr",
    "in": "id",
    "iw": "he",
    "no": "nb",
    "nn": "nb",
    "vi-vn": "vi",
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
}

# Countries (ISO 3166-1) whose code is no language of the synthesizer's -> what most speak there.
_COUNTRIES = {
    "ae": "ar", "at": "de", "au": "en-gb", "br": "pt-br", "cl": "es-419", "cn": "cmn",
    "co": "es-419", "cz": "cs", "dk": "da", "eg": "ar", "gb": "en-gb", "gr": "el", "hk": "yue",
    "ir": "fa", "jp": "ja", "kr": "ko", "kz": "kk", "mx": "es-419", "nz": "en-gb", "pe": "es-419",
    "pk": "ur", "rs": "sr", "sa": "ar", "se": "sv", "tw": "cmn", "ua": "uk", "us": "en-us",
    "ve": "es-419", "vn": "vi",
}  # fmt: skip


def language_code(name: str) -> str:
    """The synthesizer's code for a language: ko for ko-KR, KR, korean, Korean or 한국어.

    Args:
        name: A language tag, a country's code or a name out of `LANGUAGE_NAMES`, in any capitals.
            A tag of a region without its own voice means the language's voice.

    Raises:
        InvalidRequest: No voice speaks it; the message shows the nearest names.
    """
    codes = list_languages()
    by_lower = {code.lower(): code for code in codes}
    normalized = " ".join(name.lower().split())
    parts = normalized.replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        shorter = "-".join(parts[:length])
        code = by_lower.get(_TAGS.get(shorter, shorter))
        if code is not None:
            return code
    by_name = {
        each.lower(): code for code, names in LANGUAGE_NAMES.items() for each in names
    } | _COUNTRIES
    code = by_name.get(normalized)
    if code in codes:
        return str(code)
    return match_name(name, codes, key="language_unspoken", field="language")
