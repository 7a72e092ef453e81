"""The territories of ISO 3166-1, by which uploads, rules and works say where they apply."""

from __future__ import annotations

from typing import Final

__all__ = ["TERRITORIES", "why_no_territory"]

#: The officially assigned alpha-2 codes of ISO 3166-1, and XK: Kosovo has no other, and CLDR, the
#: European Union and the large platforms use this one of the codes that the standard leaves free.
TERRITORIES: Final = frozenset(
    " ".join(
        (
            "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX",
            "AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ",
            "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK",
            "CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM",
            "DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR",
            "GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS",
            "GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN",
            "IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN",
            "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV",
            "LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ",
            "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI",
            "NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM",
            "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC",
            "SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV",
            "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR",
            "TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI",
            "VN VU WF WS XK YE YT ZA ZM ZW",
        )
    ).split()
)

#: Codes that are taken for a territory's, and the one that is meant.
_MEANT: Final = {
    "UK": "the United Kingdom is GB",
    "EN": "England is a part of GB",
    "EL": "Greece is GR",
    "FX": "France is FR",
    "SU": "list the states that were the Soviet Union",
    "YU": "list the states that were Yugoslavia",
    "AN": "list BQ, CW and SX",
    "EU": "list the member states",
    "UN": "leave the list empty for everywhere",
    "TP": "Timor-Leste is TL",
    "ZR": "the Democratic Republic of the Congo is CD",
    "BU": "Myanmar is MM",
    "DD": "Germany is DE",
    "CS": "list RS and ME, or CZ and SK",
    "ZZ": "leave the list empty for everywhere",
    "XX": "leave the list empty for everywhere",
}


def why_no_territory(code: str) -> str:
    """Why a code names no territory, and what to write instead; nothing if it names one."""
    if code in TERRITORIES:
        return ""
    if code in _MEANT:
        return f"{code} is not a code of ISO 3166-1: {_MEANT[code]}"
    return "must be an ISO 3166-1 alpha-2 code in capitals, such as DE"
