import pickle
import textwrap

import pytest

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.core.errors import PolicyError
from quorum.core.messages import Action

BALANCED = load_policy("balanced").text

SMALL = textwrap.dedent(
    """\
    name: small
    deadline: 10
    detectors:
      spam:
        missing: 0.5
      nsfw:
        required: false
        deadline: 500 ms
        abstained: restrict
    rules:
      - name: spam
        when: score("spam") > 0.9
        action: remove
        reason: Spam ({spam}).
    """
)


def test_a_shipped_policy_names_its_detectors():
    policy = load_policy("balanced")
    assert set(policy.detectors) == {"spam", "violence", "copyright", "nsfw"}
    assert policy.deadline == 30
    assert "balanced" in shipped_policies()


def test_values_and_defaults():
    policy = Policy.from_text(SMALL)
    spam, nsfw = policy.detectors["spam"], policy.detectors["nsfw"]
    assert (spam.missing, spam.failed, spam.abstained) == (0.5, Action.REVIEW, None)
    assert (nsfw.missing, nsfw.failed, nsfw.abstained) == (None, None, Action.RESTRICT)
    assert (spam.deadline, nsfw.deadline) == (10, 0.5)
    assert (policy.retention, policy.orphan_wait, policy.quorum) == (3600, 600, 1)


def test_the_version_is_of_what_it_says():
    policy = Policy.from_text(SMALL)
    respaced = SMALL.replace("deadline: 10\n", "# ten seconds\ndeadline:   10 s\n")
    assert Policy.from_text(respaced).version == policy.version
    assert Policy.from_text(SMALL.replace("0.9", "0.91")).version != policy.version
    assert policy.version.startswith("small@")


def test_it_travels_as_its_text():
    policy = load_policy("balanced")
    again = pickle.loads(pickle.dumps(policy))
    assert again == policy
    assert again.rules[0].when == policy.rules[0].when


@pytest.mark.parametrize(
    ("before", "now", "line", "column", "told"),
    [
        ('score("spam")', 'score("spma")', 12, 18, "did you mean `spam`"),
        ('score("spam")', 'scor("spam")', 12, 11, "did you mean `score`"),
        ('score("spam")', "uplod.duration", 12, 11, "did you mean `upload`"),
        ('score("spam") > 0.9', 'score("spam" > 0.9', 12, 29, "missing ')'"),
        ('score("spam") > 0.9', 'score("spam") >> 0.9', 12, None, "not valid CEL"),
        ("action: remove", "action: delete", 13, 5, "'remove'"),
        ("{spam}", "{spma}", 14, 5, "did you mean `spam`"),
        ("missing: 0.5", "missing: 1.5", 5, 5, "less than or equal to 1"),
        ("missing: 0.5", "missing: ignore", 5, 5, "`spam` is required"),
        ("missing: 0.5", "mising: 0.5", 5, 5, "did you mean `missing`"),
        ("deadline: 10", "deadline: soon", 2, 1, "no duration"),
        ("deadline: 500 ms", "deadline: 20", 8, 5, "later than the policy's"),
        ("name: small", "nam: small", None, None, "`name` is required"),
        ("name: small", "name: [small", 2, None, "not valid YAML"),
        ("name: small", "name: &a small", 1, 7, "anchors"),
        ("deadline: 10", "deadline: 10\nquorum: 3", 3, 1, "cannot be met"),
        ("deadline: 10", "deadline: 10\nfields: {tags: list}", 3, 10, "every upload has"),
        ("deadline: 10", "deadline: 10\nfields: {views: int}", 3, 10, "'number'"),
        ('score("spam") > 0.9', "upload.views > 3", 12, 18, "`fields: {views: number}`"),
        ("name: small", "name: small\nname: big", 2, 1, "duplicate"),
    ],
)
def test_errors_tell_where_and_what_was_meant(before, now, line, column, told):
    with pytest.raises(PolicyError) as caught:
        Policy.from_text(SMALL.replace(before, now, 1), "mine.yaml")
    assert told in caught.value.message
    assert caught.value.file == "mine.yaml"
    if line is not None:
        assert caught.value.line == line
    if column is not None:
        assert caught.value.column == column


def test_a_misspelt_name_of_a_policy(tmp_path):
    with pytest.raises(PolicyError, match="did you mean `balanced`"):
        load_policy("balansed")
    with pytest.raises(PolicyError, match="cannot read"):
        load_policy(tmp_path / "none.yaml")


def test_a_file_that_is_not_text(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"name: x\n\xff\xfe")
    with pytest.raises(PolicyError, match="UTF-8"):
        load_policy(file)


@pytest.mark.parametrize(
    "text", ["", "- a", "7", "name", "a: {" * 5000, "!!python/object:os.system x"]
)
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(PolicyError):
        Policy.from_text(text)


def test_declared_fields_are_a_part_of_the_version_and_travel():
    declared = SMALL + "fields: {views: number}\n"
    policy = Policy.from_text(declared)
    assert policy.fields == {"views": "number"}
    assert policy.version != Policy.from_text(SMALL).version
    assert policy.version != Policy.from_text(declared.replace("number", "text")).version
    assert pickle.loads(pickle.dumps(policy)).fields == {"views": "number"}
    empty = Policy.from_text(SMALL + "fields: {}\n")
    assert empty.version == Policy.from_text(SMALL).version == "small@57bf9556d051c696"


RICH = SMALL + textwrap.dedent(
    """\
      - name: strict
        when: combined("risk") > 0.5 && uploader.strikes > 1.0
        unless: upload.uploader in lists.trusted
        action: remove
        category: mine
        territories: [DE]
        reason: Risk {risk}.
    lists: {trusted: [ann]}
    combiners:
      risk: {bias: -1, weights: {spam: 1.5}, absent: {spam: 0.2}}
    categories:
      mine: {dsa: self-harm, ground: law, reference: Law 1, explanation: Forbidden.}
    caps:
      total: {removals: 10, per: 1 h}
      rules: {spam: {removals: 2, per: 60}}
    strikes: {half_life: 30 d, remove: 2}
    """
)


def test_the_whole_language():
    policy = Policy.from_text(RICH)
    rule = policy.rules[1]
    assert rule.detectors == {"spam"}
    assert rule.territories == ("DE",)
    assert policy.categories["mine"].dsa == "self-harm"
    assert policy.caps.rules["spam"].removals == 2
    assert policy.caps.total.per == 3600
    assert policy.strikes.weights[Action.REMOVE] == 2
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize(
    ("before", "now", "line", "told"),
    [
        ('combined("risk")', 'combined("rsk")', 16, "did you mean `risk`"),
        ("lists.trusted", "lists.trsted", 17, "did you mean `trusted`"),
        ("lists.trusted", "lists", 17, "name of a list"),
        ("category: mine", "category: violense", 19, "did you mean `violence`"),
        ("territories: [DE]", "territories: [de]", 20, "pattern"),
        ("territories: [DE]", "territories: [UK]", 20, "United Kingdom is GB"),
        ("weights: {spam: 1.5}", "weights: {spam: -1.5}", 24, "greater than or equal to 0"),
        ("weights: {spam: 1.5}", "weights: {spma: 1.5}", 24, "did you mean `spam`"),
        ("dsa: self-harm", "dsa: selfharm", 26, "did you mean `self-harm`"),
        ("rules: {spam: {removals", "rules: {spma: {removals", 29, "did you mean `spam`"),
        ("half_life: 30 d", "half_live: 30 d", 30, "did you mean `half_life`"),
    ],
)
def test_errors_in_the_whole_language(before, now, line, told):
    with pytest.raises(PolicyError) as caught:
        Policy.from_text(RICH.replace(before, now, 1), "mine.yaml")
    assert told in caught.value.message
    assert caught.value.line == line


def test_groups_of_territories_stand_for_their_countries():
    policy = Policy.from_text(RICH.replace("[DE]", "[EU]"))
    assert len(policy.rules[1].territories) == 27
    assert {"DE", "GR", "HR"} < set(policy.rules[1].territories)
    assert "GB" not in policy.rules[1].territories
    groups = "groups: {DACH: [DE, AT, CH], EUROPE: [EEA, DACH, GB]}\n"
    text = RICH.replace("[DE]", "[EUROPE, US]") + groups
    policy = Policy.from_text(text)
    assert len(policy.rules[1].territories) == 30 + 1 + 1 + 1
    written_out = RICH.replace("[DE]", f"[{', '.join(policy.rules[1].territories)}]")
    assert Policy.from_text(written_out).version == policy.version, "the version is of the meaning"
    assert Policy.from_text(RICH + groups).version == Policy.from_text(RICH).version
    assert Policy.from_text(text.replace(", GB]", "]")).version != policy.version


@pytest.mark.parametrize(
    ("territory", "told"),
    [
        ("UK", "the United Kingdom is GB"),
        ("EL", "Greece is GR"),
        ("XY", "XY must be an ISO 3166-1 alpha-2 code"),
        ("DAHC", "did you mean `DACH`?"),
        ("APAC", "under `groups`"),
    ],
)
def test_what_is_no_territory_is_refused(territory, told):
    text = RICH.replace("[DE]", f"[FR, {territory}]") + "groups: {DACH: [DE, AT, CH]}\n"
    with pytest.raises(PolicyError) as caught:
        Policy.from_text(text)
    assert told in caught.value.message
    assert (caught.value.line, caught.value.column) == (20, 23)
    with pytest.raises(PolicyError, match=r"^32:"):
        Policy.from_text(RICH + f"groups:\n  AAA: [{territory}]\n  DACH: [DE]\n")


WRONG = """\
name: mine
deadline: soon
quorum: 9
fields: {views: int, tags: list}
detectors:
  spam: {missing: 1.5, failed: maybe, deadline: 90}
  violence: {mising: 0.5}
rules:
  - name: a
    when: score("spma") > upload.durration && lists.x && upload.views == 1
    unless: combined("rsk") > 1.0 || "spma" in missing
    action: delete
    category: violense
    reason: Bad {spma} {violence}
    territories: [de, FR, xx]
  - name: a
    when: (score("spam")
    action: remove
    reason: Z
  - {nam: c, when: 'true', action: remove, reason: x}
combiners:
  risk: {bias: x, weights: {spma: 1}}
caps: {rules: {b: {removals: 1, per: 1 h}, a: {removals: -1, per: 1 h}}}
strikes: {half_live: 3}
"""


def test_all_mistakes_are_told_at_once_each_with_its_place_and_once():
    with pytest.raises(PolicyError) as caught:
        Policy.from_text(WRONG, "mine.yaml")
    error = caught.value
    assert str(error) == error.lines[0]
    told = {(one.line, one.column): one.message for one in (error, *error.others)}
    expected = {
        (2, 1): "no duration",
        (3, 1): "cannot be met by 2 detectors",
        (4, 10): "'number'",
        (4, 22): "every upload has the field `tags`",
        (6, 10): "less than or equal to 1",
        (6, 24): "a score from 0 to 1, or 'review'",
        (7, 14): "did you mean `missing`",
        (10, 18): "did you mean `spam`",
        (10, 34): "did you mean `duration`",
        (10, 53): "the list `x` is unknown",
        (11, 23): "did you mean `risk`",
        (11, 39): "never in `missing`; did you mean `spam`",
        (12, 5): "'remove'",
        (13, 5): "did you mean `violence`",
        (14, 5): "did you mean `spam`",
        (15, 19): "pattern",
        (15, 27): "pattern",
        (16, 5): "two rules are named `a`",
        (17, 25): "not valid CEL",
        (20, 5): "`name` is required",
        (20, 6): "did you mean `name`",
        (22, 10): "valid number",
        (22, 29): "did you mean `spam`",
        (23, 16): "no rule that removes",
        (23, 48): "greater than or equal to 0",
        (24, 11): "did you mean `half_life`",
    }
    assert len(error.lines) == len(set(error.lines)) == len(expected)
    assert told.keys() == expected.keys()
    for place, words in expected.items():
        assert words in told[place]
    assert all(line.startswith("mine.yaml:") and "\n" not in line for line in error.lines)


def test_a_mistake_tells_of_no_other_that_it_only_causes():
    text = SMALL.replace("deadline: 10\n", "deadline: 10 sec\n").replace("remove", "delete")
    text += "caps: {rules: {spam: {removals: 1, per: 60}}}\n"
    with pytest.raises(PolicyError) as caught:
        Policy.from_text(text.replace("deadline: 500 ms", "deadline: 60"))
    assert [line.split(":")[0] for line in caught.value.lines] == ["2", "13"]
