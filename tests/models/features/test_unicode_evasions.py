"""The normaliser reads what Unicode's own data can disguise, and leaves honest text as it is."""

from __future__ import annotations

import pytest

from quorum.models.features.normalise import align, normalise
from quorum.models.training.unicode_evasions import UNICODE_EVASIONS, words_read

TEXTS = (
    "Subscribe to my channel and win free money today",
    "Check out this video and click the link in my profile",
    "I made five thousand dollars working from home, ask me how",
)

#: Of all words, what must be read whatever is drawn. What is left is ambiguous: a stroke may be an
#: i or an l, a rupee sign an r or an i.
LEAST = {
    "look-alikes of Unicode": 0.93,
    "currency signs": 0.85,
    "set apart by any sign": 0.97,
    "vertical": 0.95,
}


@pytest.mark.parametrize("name", UNICODE_EVASIONS)
def test_words_are_read_whatever_unicode_offers(name: str) -> None:
    assert words_read(UNICODE_EVASIONS[name], TEXTS, range(20_000, 20_012)) >= LEAST.get(name, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "ภาษาไทยเป็นภาษาที่สวยงาม และ ๑๒๓ คือตัวเลข ดูที่ youtube ได้เลย",
        "السلام عليكم ورحمة الله، كيف حالك يا صديقي؟ iphone جديد للبيع",
        "हिन्दी भारत की एक प्रमुख भाषा है, मेरा नया वीडियो देखिए hd में",
        "বাংলা আমার মাতৃভাষা এবং আমি এটি ভালোবাসি",
        "日本語の文章です。千葉の山は美しい、乙女の匚は几帳面。tシャツとカラオケ",
        "中文的文字,千山万水,尺有所短,几个人乃是乙方,卡拉ok",
        "한국어 문장입니다. 새로운 영상을 확인하세요 vlog",
        "русский язык, рост и торс, сору нет, мост и нос, новое видео",
        "українська мова має літери і ї є ґ",
        "ελληνικά γράμματα και ένα βίντεο",
        "עברית היא שפה יפה, סרטון חדש",
        "ქართული ენა ძალიან ლამაზია",
        "հայերեն լեզուն շատ գեղեցիկ է",
        "das kostet 50€ oder €100, ¥500, 20₩ und 100руб₽",
        "meda wo ase pii, ɔkɔɔ sukuu no mu ɛnnɛ anɔpa",
        "1\n2\n3",
        "ihr seid alle lugner",
        "a\nb\n\nc",
        "mantap dih apasih gajelas wkwkwk",
        "evil olive, a rat named dogma, pupils live on star",
        "one two three four five six seven eight nine ten",
        "ten nine eight seven six five four three two one",
        "one two three four one two three four",
        "बाजार में नीली गाड़ी, वाराणसी की यात्रा",
        "வாழ்த்துக்கள், அருமையான பாடல்",
        "金、木、水、火、土",
        "🇩🇪🇫🇷 🇪🇺 🇧🇷🇧🇷",
        "я и в саду",
        "bookkeeper, xxoo, 112233",
        "at this point comments are closed",
    ],
)
def test_honest_text_is_left_as_it_is(text: str) -> None:
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Tôi yêu tiếng Việt lắm, đường phố Hà Nội", "toi yeu tieng viet lam, đuong pho ha noi"),
        ("Ta ɓangare ɗaya, ƙasa da ƴan uwa", "ta bangare daya, kasa da yan uwa"),
        ("Say ɹɛd and ˈɹʌnɪŋ in ɪŋɡlɪʃ", "say rɛd and ˈrvniŋ in iŋgliʃ"),
    ],
)
def test_marks_are_lost_and_no_letter_is(text: str, read: str) -> None:
    assert normalise(text) == read


@pytest.mark.parametrize(
    ("evasion", "meaning"),
    [
        ("ꜰʀᴇᴇ ᴍᴏɴᴇʏ", "free money"),
        ("₣ⱤɆɆ ₥Ø₦ɆɎ", "free money"),
        ("千尺乇乇 爪ㄖ几乇ㄚ", "free money"),
        ("Ŧгєє ๓๏ภєץ", "free money"),
        ("ʎǝuoɯ ǝǝɹɟ", "free money"),
        ("yenom eerf teg", "get free money"),
        ("\u202eyenom eerf\u202c", "free money"),
        ("ꓝꓣꓰꓰ ꓟꓳꓠꓰꓬ", "free money"),
        ("f\nr\ne\ne\n\nw\ni\nn", "free win"),
        ("з\nа\nх\nо\nд\nи\n\nс\nю\nд\nа", "заходи сюда"),
        (
            "haipur naatuj haidah naktapad nad gnarakes ratfad",
            "daftar sekarang dan dapatkan hadiah jutaan rupiah",
        ),
        ("зирп иребаз и ланак йом ан ьсишипдоп", "подпишись на мой канал и забери приз"),
        ("og/ten.elpmaxe.www//:sptth ereht", "there url example net"),
        ("7\ufe0f\u20e3 a\u0336b\u20e3c", "7 abc"),
        ("call nine one seven five five five one two three four", "call longnumber"),
        ("ruf an: null eins sieben sechs fünf vier drei", "ruf an: longnumber"),
        ("double four seven, triple nine, one, two, eight, oh, six", "longnumber"),
        ("звони: восемь девять один шесть два три ноль пять", "звони: longnumber"),
        ("dzwoń pięć zero zero jeden dwa trzy trzy", "dzwon longnumber"),
        ("gọi không chín không một hai ba bốn năm", "goi longnumber"),
        ("โทร ศูนย์ แปด หนึ่ง เก้า สอง สาม สี่", "โทร longnumber"),
        ("加我一三八零零一三八零零零", "加我 longnumber"),
        ("전화 공일공 일이삼사 오육칠팔", "전화 longnumber"),
        ("з а р а б о т о к", "заработок"),
        ("з·а·р·а·б·о·т·о·к", "заработок"),
        ("зaрaбoтoк и тeлeгрaм", "заработок и телеграм"),
        ("加 微 信，赚💰钱💰日💰结", "加微信,赚钱日结"),
        ("카.톡.추.가", "카톡추가"),
        ("(f)(r)(e)(e) m•o•n•e•y ccaasshh", "free money cash"),
        ("اربـــح", "اربح"),
        ("🇫 🇷 🇪 🇪 🇲🇴🇳🇪🇾", "free money"),
        ("⠋⠗⠑⠑ ⠍⠕⠝⠑⠽", "free money"),
        ("ⲙⲟⲛⲉⲩ 从口几乇丫", "money money"),
        ("&amp;#102;ree", "free"),
        ("http://k%69ng.c%6Fm now", "url king com now"),
        ("https://bank.com@evil.net/x", "url evil net"),
        (
            "king punto com king●com king。com t。me/x",
            " ".join(["url king com"] * 3 + ["url t me"]),
        ),
    ],
)
def test_fonts_and_directions(evasion: str, meaning: str) -> None:
    assert " ".join(normalise(evasion).split()) == meaning


def test_a_line_that_was_turned_points_to_itself() -> None:
    text = "hello there\nyenom eerf teg\nbye"
    made = align(text)
    start = made.text.index("free")
    first, last = made.span(start, start + 4)
    assert text[first:last].strip() == "yenom eerf teg"
