"""Texts that were written for training: honest ones that look like spam, and spam by kind.

Some are templates with slots, some are forms: ``[a|b]`` stands for one of several, and each form is
filled several times. Names of what is advertised are written in decorated letters now and then, as
such advertisements are; so are words of honest texts, more rarely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from quorum.models.spam.made.letters import decorated
from quorum.models.spam.reading import FieldKind

__all__ = ["NOTICE", "filled", "form_rows", "made_rows"]

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
#: How often each form is filled.
_FILLS = 3
#: The kind that honest notices and offers are told by.
NOTICE = "notice"
#: Kinds of spam in the order in which the forms of a language of ``mixed`` stand.
_MIXED = (
    "scam", "scam", "gambling", "gambling", "promotion", "promotion", "recovery", "adult",
    "giveaway", "scam",
)  # fmt: skip
#: Shares of what is written in decorated letters: names of gambling sites, other names, and words
#: of honest texts.
_DECORATED = {"gambling": 0.5, "": 0.06}
_DECORATED_ELSE = 0.12
_STEMS = str.split(
    """
    harbour oak mill tower garden river studio bakery atlas copper willow meadow lantern north
    pine field stone maple velo foto radio atelier werkstatt casa taller maison jardin kopi sakura
    hana yuki aozora minato hikari kumo bosna lipa zora selo dvor maru haneul namu bada nile wadi
    oasis qamar noor layali cafe forno orto mare monte lago
    """
)
_NAMES = str.split(
    """
    Anna Petrov Wilson Maria Costa Okafor Linda Schmidt Kim Tanaka Olivia Brown Diaz
    """
)
#: What names of gambling sites begin with beside a stem or made-up syllables, and end in.
_LUCKY = str.split(
    """
    raja dewa naga mega royal king queen gold star lucky hoki sultan jaya macan panda asia indo
    viva max turbo bintang mahkota super grand nova golden big top fun
    """
)
_ENDS = str.split(
    """
    77 88 99 777 888 138 303 168 365 123 69 55 4d 5d bet win toto slot play hoki jp club bola vip
    poker game spin qq 88slot
    """
)


def filled(text: str, rng: np.random.Generator) -> str:
    """A template with every slot filled at random, each on its own."""

    def pick(choices: list[str]) -> str:
        return choices[int(rng.integers(len(choices)))]

    def number(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    def stem() -> str:
        return pick(_STEMS) + (pick(_STEMS) if rng.random() < 0.6 else str(number(1, 99)))

    def brand() -> str:
        syllables = (pick(list("bdghjklmnprstvwz")) + pick(list("aeiou")) for _ in range(3))
        name = pick([stem(), pick(_LUCKY) + pick(["", "", pick(_LUCKY)]), "".join(syllables)])
        end = pick(_ENDS) if rng.random() < 0.8 else str(number(11, 999))
        made = name + pick(["", "", "", " "]) + end
        return pick([made, made.upper(), made.upper(), made.title()])

    def slot(match: re.Match[str]) -> str:
        name, ending = stem(), pick(["com", "net", "org", "de", "jp", "ru", "co.uk", "kr", "fr"])
        currency = pick(["$", "€", "£", "USD ", "¥", "₽", "Rp"])
        choices: dict[str, list[str]] = {
            "site": [f"https://www.{name}.{ending}", f"https://{name}.{ending}", f"{name}.com",
                     f"www.{name}.{ending}"],
            "social": [f"https://www.instagram.com/{name}", f"https://tiktok.com/@{name}",
                       f"https://facebook.com/{name}", f"@{name}"],
            "social2": [f"https://twitter.com/{name}", f"https://www.youtube.com/c/{name}"],
            "discord": [f"https://discord.gg/{name}"],
            "patreon": [f"https://www.patreon.com/{name}"],
            "spotify": ["https://open.spotify.com/album/4aawyAB9vmqN3uQ7FjRGTy"],
            "telegram": [f"https://t.me/{name}"],
            "mail": [f"hello@{name}.{ending}", f"{name}@example.com"],
            "code": [f"{pick(_STEMS).upper()}{number(5, 30)}"],
            "short": [f"https://bit.ly/{name[:3]}{number(9, 999)}", f"https://amzn.to/3{name[:5]}"],
            "phone": [f"+{number(1, 99)} {number(100, 999)} {number(1000000, 9999999)}",
                      f"0{number(100000000, 999999999)}",
                      f"{number(100, 999)}-{number(1000, 9999)}-{number(1000, 9999)}"],
            "money": [f"{currency}{number(2, 20) * 100}", f"{number(1, 9)},000 {currency.strip()}"],
            "gain": [f"{currency}{number(3, 90) * 1000}", f"{currency}{number(100, 990)}",
                     f"{number(3, 90)},500 {currency.strip()}"],
            "handle": [f"@{name}_trades", f"@{pick(_NAMES).lower()}_{name}", f"@{name}.fx",
                       f"{pick(_NAMES)} {pick(_NAMES)}"],
            "name": [f"{pick(_NAMES)} {pick(_NAMES)}"],
            "messenger": ["Telegram", "WhatsApp", "Instagram", "Telegram"],
            "tg": [f"https://t.me/{name}", f"t.me/{name}vip", f"@{name}"],
            "wechat": [f"{name}{number(10, 999)}", f"vx{number(100000, 999999)}"],
            "brand": [brand()],
            "who": [name, f"{pick(_NAMES).lower()}{number(1, 99)}"],
            "bad": [f"http://{name}-bonus.xyz/?ref={number(10, 99)}", f"https://bit.ly/{name[:5]}",
                    f"https://t.me/{name}", f"www.{name}.com", f"http://{name}.{ending}/go",
                    f"https://{name}.top", f"http://10.{number(1, 250)}.{number(1, 250)}.9/{name}",
                    f"https://tinyurl.com/{name}", f"{name}.vip"],
        }  # fmt: skip
        return pick(choices[match.group(1)])

    return _SLOT.sub(slot, text)


def _read(name: str) -> dict[str, Any]:
    from ruamel.yaml import YAML

    with (_FOLDER / f"{name}.yaml").open(encoding="utf-8") as file:
        made: dict[str, Any] = YAML(typ="safe", pure=True).load(file)
    return made


def made_rows(rng: np.random.Generator) -> Iterator[tuple[FieldKind, str, int, str, str]]:
    """Texts as (field, text, 1 for spam, language, kind of spam or "").

    Args:
        rng: Fills the slots.
    """
    fields = {
        "titles": (FieldKind.TITLE,),
        "descriptions": (FieldKind.DESCRIPTION,),
        "comments": (FieldKind.COMMENT,),
        "chat": (FieldKind.COMMENT, FieldKind.TITLE),
    }
    for language, by_field in _read("innocent").items():
        for field, texts in by_field.items():
            for text in texts:
                for kind in fields[field]:
                    yield kind, filled(text, rng), 0, language, ""
    for harm, by_language in _read("spam").items():
        for language, texts in by_language.items():
            for text in texts:
                for kind in (FieldKind.COMMENT, FieldKind.TITLE, FieldKind.DESCRIPTION):
                    yield kind, filled(text, rng), 1, language, harm


def _spun(text: str, rng: np.random.Generator) -> str:
    """A form with one of each ``[a|b]``; what is left empty leaves no double space."""

    def pick(match: re.Match[str]) -> str:
        choices = match.group(1).split("|")
        return choices[int(rng.integers(len(choices)))]

    return re.sub(r" +(?=[ ,.;:!?]|$)", "", _CHOICE.sub(pick, text)).strip()


def _advertised(text: str, harm: str, rng: np.random.Generator) -> str:
    """A text whose names, or one of whose words, may be in decorated letters; slots filled."""
    share = _DECORATED.get(harm, _DECORATED_ELSE)
    if "{brand}" in text and rng.random() < share:
        name = filled("{brand}", rng)
        shown = decorated(name, rng)
        text = text.replace("{brand}", shown)
    elif "{brand}" not in text and rng.random() < share / 2:
        words = text.split(" ")
        plain = [place for place, word in enumerate(words) if word.isascii() and word.isalpha()]
        if plain:
            place = plain[int(rng.integers(len(plain)))]
            words[place] = decorated(words[place], rng)
            text = " ".join(words)
    return filled(text, rng)


def form_rows(rng: np.random.Generator) -> Iterator[tuple[FieldKind, str, int, str, str]]:
    """Texts of forms, as ``made_rows`` gives them; honest notices are of kind ``NOTICE``."""
    for names, kind in ((("forms", "remarks"), ""), (("notices",), NOTICE)):
        yield from _spam_forms([f"{name}_spam" for name in names], rng)
        yield from _innocent_forms([f"{name}_innocent" for name in names], kind, rng)


def _spam_forms(
    names: Sequence[str], rng: np.random.Generator
) -> Iterator[tuple[FieldKind, str, int, str, str]]:
    spam: list[tuple[str, str, str]] = []
    for name in names:
        for harm, by_language in _read(name).items():
            for language, texts in by_language.items():
                for place, text in enumerate(texts):
                    kind = _MIXED[place % len(_MIXED)] if harm == "mixed" else harm
                    spam.append((text, language, kind))
    for text, language, harm in spam:
        for fill in range(_FILLS):
            made = _advertised(_spun(text, rng), harm, rng)
            yield FieldKind.COMMENT, made, 1, language, harm
            if fill == 0:
                yield FieldKind.TITLE, made, 1, language, harm
                yield FieldKind.DESCRIPTION, made, 1, language, harm


def _innocent_forms(
    names: Sequence[str], kind: str, rng: np.random.Generator
) -> Iterator[tuple[FieldKind, str, int, str, str]]:
    fields = {"titles": FieldKind.TITLE, "descriptions": FieldKind.DESCRIPTION}
    for language, by_field in chain.from_iterable(_read(name).items() for name in names):
        for field, texts in by_field.items():
            for text in texts:
                for fill in range(1 if field == "titles" else _FILLS):
                    made = _advertised(_spun(text, rng), "", rng)
                    if field != "casual":
                        yield fields[field], made, 0, language, kind
                        continue
                    yield FieldKind.COMMENT, made, 0, language, kind
                    if fill < 2:
                        yield FieldKind.TITLE, made, 0, language, kind
                    if fill == 0:
                        yield FieldKind.DESCRIPTION, made, 0, language, kind
