"""Words by what they do in spam, in the languages of the training data.

They count as one kind of evidence, and never decide alone. Stems are matched within words, for
many of the languages inflect; whole words are marked by ``<`` and ``>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from quorum.models.features.normalise import normalise

__all__ = ["GROUPS", "hits"]

_STEMS: dict[str, str] = {
    "call": """<click> <visit> <join> <sign up> <register now> <check out> <subscribe> <sub to>
        <follow me> <watch my> <apply> <order now> <order at> <reply yes> <txt> <thank me later>
        <登録> 今すぐ <jetzt> <anmelden> <abonniert> <schaut> подпишись подписывай заходи забирай
        <пиши> اشترك سجل اطلب استلم تواصل 点击 點擊 加入 关注 扫码 领取 登录 咨询 进群
        가입 구독 클릭
        <suscríbete> <suscribete> <entra> <reclámalo> <abonne> <abonnez> <cliquez> <inscreve>
        <cadastre> <resgate> <daftar> <klik> <klaim> <mampir> <abone ol> <kayıt ol> <tıkla>""",
    "contact": """telegram whatsapp wechat <dm> <inbox> <message her> <message him> <text me>
        <write me> <contact him> <contact her> <reach him> <reach her> <reach out to>
        <get in touch> kakao viber <line追加> телеграм ватсап <личку> واتساب تلغرام تيليجرام راسل
        微信 <qq> 加微 <加q> 카톡 텔레그램 <escríbele> <escríbanle> <zap> <wa> hubungi <yazın>
        <schreibt ihr> <schreibt ihm> <contactez>""",
    "gain": """<earn> <earning> <earned> profit <payout> <pay out> <paid me> invest <trader>
        <trading> <trade> bitcoin <btc> crypto forex <binary option> <returns> <passive income>
        <loan> <loans> <per day> <a day> <per week> <weekly> <wallet> <presale> <airdrop>
        <signals> <financial freedom> 稼げ 副業 月収 <verdien> gewinn <schufa> <kredit> заработ
        инвест вложи прибыл кредит <доход> اربح ربح استثم قرض قروض 日赚 赚钱 赚 兼职 刷单 贷款
        放款 发票 炒股 牛股 收益 벌 부업 대출 수익 리딩방 투자 <gana> <gané> <invertí> inversión
        <préstamo> <préstamos> <gagnez> <investi> <prêt> <ganhe> <ganho> <empréstimo> <lucro>
        <cuan> <modal> pinjaman <kazan> <kazandım> kredi <yatırıp>""",
    "gamble": """casino <slot> <slots> jackpot <betting> <bet> <odds> free spin freispiel <poker>
        roulette baccarat <fixed matches> gacor maxwin togel <toto> <depo> <wd> <wede> scatter
        <zeus> <olympus> カジノ スロット казино слот фриспин ставк كازينو رهان الرهان 娱乐城 百家乐
        时时彩 彩金 投注 葡京 赌 바카라 슬롯 토토 놀이터 tragamonedas <giros> <machines à sous>
        tigrinho <bahis> <çekim>""",
    "prize": """<free> <gift> <gift card> <gift cards> <prize> <won> <winner> <win> <claim>
        <giveaway> congratulations <lucky> <selected> <reward> <awarded> <voucher> <bonus> 当選
        無料 プレゼント <gewonnen> <gratis> glückwunsch выигр приз бесплатн поздравля مبروك جائز
        مجان 中奖 恭喜 免费 红包 奖 당첨 무료 축하 <ganado> felicidades premio gratuit <gagné>
        félicitations <parabéns> <ganhou> grátis <selamat> memenangkan <hadiah> tebrikler
        <kazandınız> bedava ödül""",
    "adult": """<hot girls> <sexy> <singles> <nudes> <uncensored> <private pics> <live cam>
        <live cams> <18+> <porn> <escort> <onlyfans> 無修正 <heiße frauen> интим <девушки>
        الخاصة بنات 美女 约会 成人 私密 上门服务 출장 만남 <chicas> <filles chaudes> <sans censure>
        <sin censura> <garotas> <cewek> <sansürsüz> <kızlar>""",
    "recovery": """<hacked> recover <recovery> <lost funds> <spell> <ex back> <love spell>
        <fix your> <stolen> 復旧 取り戻 gehackt взломан <порчу> <верну> استرجاع المخترقة الروحاني
        追回 维权 被盗 找回 복구 <hackeada> <amarres> <brujo> marabout <amada> dukun
        pelet <pemulihan> çalınan medyum""",
    "goods": """followers <likes and> <cheap> <% off> <free shipping> sub4sub <sub back>
        <real views> <seo> <lose 10> <pill> <designer> <discount> <deal> フォロワー 格安 送料無料
        <follower> <günstig> накрутк взаимн дёшево похудеть متابعين لايكات بأرخص 粉丝 互粉 一折
        减肥 限时 抢购 货到付款 优惠 首付 退订 팔로워 맞구독 감량 seguidores <abonnés pas cher>
        seguidores emagre <jual> takipçi <murah> <ucuz>""",
    "praise": """<thanks to> <all thanks> <best trader> <legit> <changed my life> <testif>
        <testimon> <so happy i> <never believed> <trusted> <genuine> <guaranteed> <guarantee>
        <grateful to> おかげで <dank> благодаря بفضل <gracias a> <grâce à> <graças a> <berkat>
        sayesinde 信誉 <terbukti> <terpercaya>""",
    "urgent": """<now> <today> <urgent> <within 24> <expires> <last chance> <hurry> <first 100>
        <only today> 今だけ <nur heute> <sofort> срочн <сегодня> الآن فوری 今日 立即 当天 秒到
        지금 즉시 당일 <ahora> <ya> <immédiat> <agora> <hari ini> <hemen> <anında>""",
}
#: The names of the groups, in order.
GROUPS: tuple[str, ...] = tuple(_STEMS)


@lru_cache(maxsize=1)
def _stems() -> tuple[tuple[str, str, bool], ...]:
    """Each stem as a normalised text has it, with its group, and whether it is a whole word."""
    return tuple(
        (group, normalise(whole or stem), bool(whole))
        for group, stems in _STEMS.items()
        for whole, stem in re.findall(r"<([^>]+)>|(\S+)", " ".join(stems.split()))
    )


#: Where "free" is not a gift.
_NO_GIFT = re.compile(
    r"\b(?:gluten|sugar|dairy|fat|royalty|copyright|duty|ad|stress|hands|cruelty)[ -]?free\b"
    r"|\bfree (?:time|kick|kicks|will|fall|throw|style|range|speech)\b|\bfeel free\b"
)


@lru_cache(maxsize=1024)
def hits(words: str) -> Mapping[str, int]:
    """How often each group's words stand in a normalised text; groups without any are left out.

    The last ones are kept: signals, signs and labels ask for the same.
    """
    found: dict[str, int] = {}
    if "free" in words:
        words = _NO_GIFT.sub(" ", words)
    for group, stem, whole in _stems():
        if stem not in words:
            continue
        count = (
            len(re.findall(rf"(?<!\w){re.escape(stem)}(?!\w)", words))
            if whole
            else words.count(stem)
        )
        if count:
            found[group] = found.get(group, 0) + count
    return MappingProxyType(found)
