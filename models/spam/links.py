"""What the links, addresses and contacts of a text are, as a spam analyst would sort them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from quorum.models.features.digits import LONG_NUMBER

__all__ = ["Contacts", "Link", "LinkKind", "contacts_of", "names_of", "own_host"]


class LinkKind(StrEnum):
    """What stands behind a link, as far as its address tells."""

    PLATFORM = "platform"
    """A large public site: a profile, a shop, a source; a public body, a school."""
    OWN = "own"
    """A site whose name is that of the uploader, of the title or of the linked profiles."""
    SHORTENER = "shortener"
    """A service that hides where it leads."""
    MESSENGER = "messenger"
    """A chat: Telegram, WhatsApp, LINE and the like."""
    ODD = "odd"
    """A raw address, a look-alike of a well-known name, letters of mixed scripts."""
    LURE = "lure"
    """A name that promises something (cash, bonus, gift), or an ending that spam favours."""
    OTHER = "other"
    """Any other site."""


_ENDINGS = (
    "com|net|org|info|biz|io|ly|tv|me|co|uk|de|fr|ru|us|xyz|club|online|site|top|link|shop|store|"
    "live|app|gg|be|cc|to|in|br|eu|gl|tk|ml|pro|dev|page|money|cash|bet|vip|website|space|fun|win|"
    "jp|kr|cn|tr|id|it|es|pl|nl|se|cz|gr|il|ir|vn|th|ua|at|ch|pt|ar|mx|ca|au|nz|za|edu|gov|art|"
    "blog|news|tech|world|life|studio|media|icu|buzz|click|loan|work|cam|asia|mobi|name|fm|ee|gd|im"
)
_LINK = re.compile(
    r"(?:(?:https?|hxxps?)://|www\.)[^\s<>\"'（）【】「」，。、]+"
    rf"|(?<![\w@.\-/])(?:[a-z0-9\-]{{1,63}}\.){{1,4}}(?:{_ENDINGS})(?![\w\-])"
    r"(?:[/?#:][^\s<>\"'（）【】「」，。、]*)?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{2,63}){1,4}")
_HANDLE = re.compile(r"(?<![\w.@/])@[\w.\-]{2,64}|#_*[a-z0-9]*_[\w]{3,64}", re.IGNORECASE)
_PHONE = re.compile(rf"(?<![\w.]){LONG_NUMBER}")
#: An IPv4 address, as browsers take it: in one to four numbers, which may be hexadecimal.
_ADDRESS = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}")
#: Registries that give names to public bodies and schools alone, also below a country's.
_RESTRICTED = frozenset({"gov", "edu", "mil", "int"})
_RESTRICTED_BELOW = frozenset({"gov", "gouv", "gob", "gub", "go", "edu", "ac", "mil", "sch"})
_SQUASH = re.compile(r"[^a-z0-9]+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PLATFORMS = _set(
    """
    youtube youtu twitter x instagram facebook fb tiktok twitch patreon spotify soundcloud apple
    amazon amzn reddit linkedin github gitlab wikipedia wikimedia pinterest snapchat threads vk
    weibo bilibili discord discordapp kickstarter ko-fi buymeacoffee google steampowered imdb
    bandcamp medium substack linktr netflix ebay etsy paypal tumblr vimeo dailymotion deezer tidal
    spoti geni lnk smarturl ffm fanlink teespring spring redbubble merchbar bbc nytimes cnn
    theguardian washingtonpost nasa gov epidemicsound artlist pastebin stackoverflow microsoft
    mozilla npmjs pypi creativecommons archive gofundme eventbrite ticketmaster flickr goodreads
    audible skillshare udemy coursera ted naver qq zhihu douyin xiaohongshu note niconico
    nicovideo ameblo hatena ok rumble odysee mastodon bsky strava steamcommunity epicgames roblox
    playstation xbox nintendo walmart target bestbuy ikea aliexpress streamlabs streamelements
    mixcloud songkick bandsintown goo.gl/maps
    """
)
_SHORTENERS = _set(
    """
    bit.ly tinyurl.com goo.gl ow.ly t.co is.gd cutt.ly rb.gy rebrand.ly shorturl.at adf.ly tiny.cc
    s.id shorte.st v.gd buff.ly soo.gd clck.ru u.to t.ly t.cn dwz.cn url.cn bl.ink han.gl me2.do
    vo.la linkd.in trib.al shrtco.de gg.gg ouo.io linkvertise.com j.mp x.co qr.ae n9.cl lc.cx
    """
)
_MESSENGERS = _set(
    """
    t.me telegram.me telegram.dog tlgrm.eu wa.me api.whatsapp.com chat.whatsapp.com whatsapp.com
    line.me lin.ee viber.com signal.me m.me open.kakao.com pf.kakao.com wechat.com icq.im
    weixin.qq.com zalo.me
    """
)
_IMITATED = (
    "paypal", "youtube", "instagram", "facebook", "whatsapp", "amazon", "netflix", "google",
    "icloud", "binance", "coinbase", "metamask", "roblox", "steamcommunity", "telegram", "tiktok",
)  # fmt: skip
_LURES = re.compile(
    r"(?:free|cash|earn|bonus|casino|slot|toto|togel|bet|gacor|crypto|coin|loan|gift|prize|"
    r"money|followers|dating|girls|xxx|porn|sex|cam4|viagra|pills|forex|invest|profit|winner|"
    r"claim|reward|jackpot|poker|rich|lucky|sale|cheap|hack|unlock|verify|login|wallet|airdrop)"
)
_LURE_ENDINGS = _set(
    """
    xyz top club online site live vip win bet cash money tk ml ga cf gq icu buzz fun click link
    loan work cam monster rest space website
    """
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a text.

    Attributes:
        kind: What stands behind it.
        host: Its host in lower case, without ``www.``.
        start: Index of its first character.
        end: Index after its last character.
    """

    kind: LinkKind
    host: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Contacts:
    """All ways out of a text.

    Attributes:
        links: The links.
        mails: How many mail addresses.
        handles: How many names such as ``@somebody``.
        phones: How many long numbers.
        rest: The text without any of them.
        covered: How many characters they take.
    """

    links: tuple[Link, ...]
    mails: int
    handles: int
    phones: int
    rest: str
    covered: int


def names_of(text: str) -> frozenset[str]:
    """What an uploader may be called: pieces of a name or title, joined and in lower case."""
    words = [word for word in _SQUASH.split(text.lower()) if word]
    joined = {"".join(words[start : start + size]) for size in (1, 2, 3)
              for start in range(len(words))}  # fmt: skip
    return frozenset(name for name in joined if len(name) >= 5)


def own_host(host: str, names: Collection[str]) -> bool:
    """Whether a host's name is one of the uploader's names, or has one within it."""
    labels = host.split(".")
    label = _SQUASH.sub("", max(labels[:-1] or labels, key=len).lower())
    if len(label) < 4:
        return False
    return any(name in label or (len(label) >= 5 and label in name) for name in names)


def _host_of(address: str) -> str:
    """The host, as a browser reads it: without a user's name, percent signs undone."""
    bare = re.sub(r"^(?:https?|hxxps?)://", "", address.lower())
    authority = unquote(re.split(r"[/?#]", bare, maxsplit=1)[0])
    host = authority.rpartition("@")[2].partition(":")[0]
    return host.strip(".-").removeprefix("www.")


def _kind(address: str, host: str, names: Collection[str]) -> LinkKind:
    labels = host.split(".")
    main = ".".join(labels[-2:])
    if host in _MESSENGERS or main in _MESSENGERS:
        return LinkKind.MESSENGER
    if host in _SHORTENERS or main in _SHORTENERS:
        return LinkKind.SHORTENER
    site = labels[-3] if len(labels) > 2 and len(labels[-2]) <= 3 else labels[-2:][0]
    public = labels[-1] in _RESTRICTED or (
        len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _RESTRICTED_BELOW
    )
    if site in _PLATFORMS or host in _PLATFORMS or public:
        return LinkKind.PLATFORM
    if _ADDRESS.fullmatch(host) or "xn--" in host or not host.isascii():
        return LinkKind.ODD
    if any(name in _SQUASH.sub("", host) for name in _IMITATED):
        return LinkKind.ODD
    if own_host(host, names):
        return LinkKind.OWN
    if labels[-1] in _LURE_ENDINGS or _LURES.search(address.lower()):
        return LinkKind.LURE
    return LinkKind.OTHER


def contacts_of(text: str, names: Collection[str] = ()) -> Contacts:
    """Find the ways out of a text.

    Args:
        text: As it was written.
        names: What the uploader may be called, from ``names_of``.
    """
    links: list[Link] = []
    covered = 0

    def cut(match: re.Match[str]) -> str:
        nonlocal covered
        covered += len(match.group())
        return " "

    rest = _MAIL.sub(cut, text) if "@" in text else text
    mails = covered and len(_MAIL.findall(text))
    if "." in rest or "://" in rest:
        for match in _LINK.finditer(text):
            host = _host_of(match.group())
            if host and not (match.start() and text[match.start() - 1] == "@"):
                links.append(Link(_kind(match.group(), host, names), host, *match.span()))
        rest = _LINK.sub(cut, rest)
    handles = phones = 0
    if "@" in rest or "#" in rest:
        rest, handles = _HANDLE.subn(cut, rest)
    if any(one.isdigit() for one in rest):
        rest, phones = _PHONE.subn(cut, rest)
    return Contacts(tuple(links), mails, handles, phones, rest, covered)
