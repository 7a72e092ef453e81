import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.models.features.normalise import align, normalise
from quorum.models.spam.disguise import disguise_of


@pytest.mark.parametrize(
    ("evasion", "meaning"),
    [
        ("frее mоnеу сору", "free money copy"),
        ("f r e e  m o n e y", "free money"),
        ("f.r.e.e", "free"),
        ("subscriiiibe nooow for freeeeee chaaannel", "subscribe now for free channel"),
        ("looooove!!!!", "love!!"),
        ("S-U-B-S-C-R-I-B-E", "subscribe"),
        ("f🔥r🔥e🔥e", "free"),
        ("su😀bscr😀ibe", "subscribe"),
        ("Earn🔥money🔥fast, Gana🔥dinero🔥rápido", "earn money fast, gana dinero rapido"),
        ("E🔥a🔥r🔥n🔥 m🔥o🔥n🔥e🔥y🔥", "earn🔥 money🔥"),
        ("s🔥u💰bsc🔥r🔥ib🔥e tu🔥tori🔥als", "subscribe tutorials"),
        ("З🔥арабатывай д🔥еньги", "зарабатывай деньги"),
        ("З4р4б4тыв4й д3ньги, вл0жений", "зарабатывай деньги, вложений"),
        ("mo.ney guara*nteed mes-sage", "money guaranteed message"),
        ("ꓚꓡꓲꓚꓗ ꓧꓰꓣꓰ ꓝꓳꓣ ꓝꓣꓰꓰ ꓖꓲꓝꓔ", "click here for free gift"),
        ("fr33 m0n3y $ub$cribe ch4nnel", "free money subscribe channel"),
        ("(fr33) (asino !nstant ac+ion v!deo|fr33", "(free) casino instant action video|free"),
        ("vis\u200bit my ch\u200can\u00adnel", "visit my channel"),
        ("example (dot) com now", "url example com now"),
        ("hxxp://foo[.]com/a?b=1", "url foo com"),
        ("myspam . com", "url myspam com"),
        ("ＦＲＥＥ 𝐟𝐫𝐞𝐞 ⓕⓡⓔⓔ 🅵🆁🅴🅴", "free free free free"),
        ("ᗯIᑎ ᗩ ᖴᖇEE ᑭᕼOᑎE", "win a free phone"),
        ("ꎇꋪꍟꍟ ꂵꂦꈤꍟꌩ", "free money"),
        ("ｷ尺乇乇 ﾶo刀乇ﾘ", "free money"),
        ("chесk out my nеw сhаnnеl, mаkе mоnеу", "check out my new channel, make money"),
        ("chеcк оuт тhe linк", "check out the link"),
        ("call +447935454150 @joe.b", "call longnumber mention"),
        (
            '<a href="http://www.example.com/x">2:19</a> best&amp;part<br />',
            "url example com 2:19 best&part",
        ),
    ],
)
def test_evasions_read_as_what_they_say(evasion, meaning):
    assert " ".join(normalise(evasion).split()) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "привет, как дела? это сообщение",
        "שלום עולם",
        "1080p at 2pm, 90s mp3, 10k",
        "i am a big fan",
        "3 2 1 go",
        "a b",
        "ελληνικά γράμματα",
        "song (official video) (4th part) 18+",
        "iphone 10|news 2017|day 365",
        "c++ a+b photo(s) !important",
        "node.js co-op e-mail don't rock'n'roll re-release btv❶❻❽",
        "3d-печать на 4к, 8марта, 4этажный дом, ваз2107",
        "今天🔥真好🔥啊",
    ],
)
def test_innocent_text_stays_as_it_is(text):
    assert normalise(text) == text


@pytest.mark.parametrize("piece", ["今", "aé", "@", "а0", "a🔥", "ab.", "€a", "#a_", "_a"])
def test_a_long_word_takes_as_long_as_its_letters(piece):
    """Work that grows with the square of a word's length costs a worker its deadline."""

    def cost(length):
        text = piece * (length // len(piece))
        began = time.process_time()
        for one in (text, f"{text}é"):
            normalise(one)
            disguise_of(one)
        return time.process_time() - began

    assert cost(24_000) < 8 * max(cost(4_000), 0.04)


@given(st.text(max_size=300))
def test_each_character_has_an_origin_and_they_never_go_back(text):
    made = align(text)
    assert len(made.text) == len(made.origins)
    assert all(0 <= origin < len(text) for origin in made.origins)
    assert list(made.origins) == sorted(made.origins)


@given(st.text(alphabet="abc @.1🔥\u200bе", max_size=60))
def test_normalising_is_stable_in_what_it_removes(text):
    assert "\u200b" not in normalise(text)


def test_span_points_into_the_original():
    text = "hello f r e e now"
    made = align(text)
    start = made.text.index("free")
    first, last = made.span(start, start + 4)
    assert text[first:last] == "f r e e"
