"""Names that people type: of subjects, of videos and of classes.

Conventions
-----------
A *clean* name is in Unicode's composed form (NFC), without invisible characters (zero-width space, byte order mark, soft
hyphen, direction marks) and with single plain spaces. Two clean names *look alike* if they differ only in case, leading
zeros, ``.0`` after a number, spaces for ``_`` or ``-``, or letters that other alphabets draw the same (Cyrillic, Greek): one
person, most likely, whom a model must not be trained and tested on.
"""

import re
import unicodedata
from collections.abc import Iterable

from pfes.base.errors import InputError
from pfes.base.records import NEUTRAL

DRAWN_ALIKE = str.maketrans("авекмнорстухіјѕԁαβεικνορτυχ", "abekmhopctyxijsdabeikvoptux")  # lower-case
CLASS_NAMES = {
    "macro": "macro", "mae": "macro", "macroexpression": "macro",
    "micro": "micro", "me": "micro", "microexpression": "micro",
}  # fmt: skip


def clean(name: str) -> str:
    """Return a name in its clean form.

    >>> clean("anna\\u200b"), clean("Zoe\\u0308"), clean(" a\\u00a0 b ")
    ('anna', 'Zoë', 'a b')
    """
    seen = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Cc") or letter.isspace())
    return " ".join(unicodedata.normalize("NFC", seen).split())


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that look alike, each with the first of its kind.

    >>> alike(["Anna", "ben", "anna", "1", "01", "1.0"])
    [('Anna', 'anna'), ('1', '01'), ('1', '1.0')]
    """
    first: dict[str, str] = {}
    distinct = dict.fromkeys(names)
    for name in distinct:
        first.setdefault(_look(name), name)
    return [(first[_look(name)], name) for name in distinct if first[_look(name)] != name]


def check_distinct(subjects: Iterable[str], where: str, advice: str) -> None:
    """Raise InputError where two subjects look alike; ``where`` names the file, ``advice`` says what to do."""
    pairs = alike(subjects)
    if pairs:
        listed = ", ".join(f"{first!r} and {second!r}" for first, second in pairs[:5])
        raise InputError(
            f"{where}: subjects {listed} look alike; one person as two subjects would be trained and tested on; write them"
            f" the same, {advice}"
        )


def class_of(text: str) -> str | None:
    """Return the class that people call ``text`` (any case, hyphens and spaces ignored; ``Micro - 1/2``), or None.

    >>> class_of("Macro-Expression"), class_of("ME"), class_of("Micro - 1/2"), class_of("blink")
    ('macro', 'micro', 'micro', None)
    """
    return CLASS_NAMES.get(re.sub(r"[\s_-]|1/2$", "", clean(text)).lower())


def kind_of(text: str) -> str | None:
    """Return the class that people call ``text``, or ``neutral``, or None.

    >>> kind_of("Neutral"), kind_of("MaE"), kind_of("blink")
    ('neutral', 'macro', None)
    """
    return NEUTRAL if clean(text).lower() == NEUTRAL else class_of(text)


def _look(name: str) -> str:
    text = unicodedata.normalize("NFKC", clean(name)).casefold().translate(DRAWN_ALIKE)
    text = re.sub(r"(?<=\d)\.0+(?!\d)", "", text)
    text = re.sub(r"\d+", lambda digits: str(int(digits[0])), text)
    return re.sub(r"[\s_-]+", " ", text)
