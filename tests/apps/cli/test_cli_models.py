import csv
import json

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.models import app
from quorum.core.errors import ArtifactError, ConfigurationError, InputError
from quorum.models.registry.artifacts import open_artifact
from quorum.models.spam.detector import ARTIFACT

SPAM = [
    "check out my channel {0}", "subscribe to my channel for {0}", "free gift cards number {0}",
    "visit http://spam{0}.example.com now", "earn money from home {0} dollars a day",
]  # fmt: skip
HAM = [
    "I love this song {0}", "the part at {0} is beautiful", "who is watching in year {0}",
    "my brother plays this {0} times", "great voice and great video {0}",
]  # fmt: skip


@pytest.fixture(scope="module")
def comments(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "comments.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "source"])
        for index in range(40):
            for kind, texts in ((1, SPAM), (0, HAM)):
                writer.writerow([texts[index % 5].format(index), kind, f"video-{index % 4}"])
        writer.writerow(["", 0, "video-0"])
    return path


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """Other comments of the same kinds."""
    path = tmp_path_factory.mktemp("held-out") / "held-out.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for index in range(500, 540):
            for kind, texts in ((1, SPAM), (0, HAM)):
                writer.writerow([texts[index % 5].format(index), kind])
    return path


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def trained(comments, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mine"
    told = json.loads(run("train", "spam", "--data", comments, "--out", out, "--json"))
    return out, told


def test_list_names_each_detector_with_its_version():
    rows = {row["detector"]: row for row in json.loads(run("list", "--json"))}
    assert rows["spam"]["version"] == open_artifact(ARTIFACT).version
    assert rows["spam"]["measured"].startswith("ROC-AUC 0.99")
    assert "violence" in run("list")


def test_show_tells_the_data_and_the_card():
    told = run("show", "spam")
    assert "YouTube Spam Collection" in told
    assert "Limitations" in told
    assert json.loads(run("show", "violence", "--json"))["detector"] == "violence"
    assert "registered work" in run("show", "copyright")


def test_a_trained_model_is_an_artifact_with_its_figures(trained, comments):
    out, told = trained
    held = open_artifact(out, "spam")
    assert held.version == told["version"]
    assert held.manifest.metrics["split"].startswith("4 folds")
    assert held.manifest.metrics["roc_auc"] > 0.9
    assert held.manifest.training_data[0].rows == 81
    assert not list(out.glob("*.pkl"))
    with pytest.raises(InputError, match="holds an artifact already"):
        run("train", "spam", "--data", comments, "--out", out)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_version(trained, comments, tmp_path):
    again = json.loads(run("train", "spam", "--data", comments, "--out", tmp_path / "b", "--json"))
    assert again["version"] == trained[1]["version"]


def test_evaluate_measures_and_writes_a_page(trained, comments, tmp_path):
    page = tmp_path / "page.html"
    model = f"file:{trained[0]}"
    told = json.loads(
        run("evaluate", "spam", "--data", comments, "--model", model, "--page", page, "--json")
    )
    assert told["version"] == trained[1]["version"]
    assert (told["rows"], told["unscored"]) == (80, 1)
    assert told["figures"]["roc_auc"]["low"] <= told["figures"]["roc_auc"]["value"]
    assert "source=video-1" in told["slices"]
    assert "expected_calibration_error_at_20_percent_prevalence" in told["figures"]
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "hollow: the same at 20%" in text
    assert "Worst mistakes" in text
    assert "no text" in run("evaluate", "spam", "--data", comments, "--model", model)


def test_who_measures_on_the_training_data_is_told(trained, comments, held_out, tmp_path):
    arguments = ["evaluate", "spam", "--model", f"file:{trained[0]}", "--data"]
    made = CliRunner().invoke(app, [*arguments, str(comments)])
    assert "was trained on this file" in made.stderr
    other = tmp_path / "other.csv"
    rows = comments.read_text().splitlines()
    other.write_text("\n".join([*rows[:40], "another song,0,x"]))
    assert "has seen 39 of its 40 rows" in CliRunner().invoke(app, [*arguments, str(other)]).stderr
    assert not CliRunner().invoke(app, [*arguments, str(held_out)]).stderr.strip()


def test_a_page_where_one_kind_alone_was_scored_has_no_plots(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("text,label\na lovely song,0\n,1\n")
    run("evaluate", "spam", "--data", data, "--page", tmp_path / "page.html")
    assert "No plots" in (tmp_path / "page.html").read_text()


def test_the_page_escapes_what_uploads_say(tmp_path, comments):
    data = tmp_path / "data.csv"
    data.write_text("text,label\n<script>alert(1)</script> my channel,0\nfree money channel,1\n")
    page = tmp_path / "page.html"
    run("evaluate", "spam", "--data", data, "--page", page)
    assert "<script>" not in page.read_text()


def test_compare_says_whether_to_ship(trained, held_out, monkeypatch):
    monkeypatch.delenv("QUORUM_DATABASE", raising=False)
    model = f"file:{trained[0]}"
    same = json.loads(
        run("compare", "spam", "--data", held_out, "--new", model, "--old", model, "--json")
    )
    assert same["figures"]["ship"] is True
    assert (same["seen"], same["traffic"]) == (0, None)
    shipped = run("compare", "spam", "--data", held_out, "--new", "package:quorum.models.spam")
    assert "Ship" in shipped
    assert "name their ledger with --database" in shipped


def test_compare_refuses_what_a_version_was_trained_on(trained, comments, held_out, tmp_path):
    model = f"file:{trained[0]}"
    pair = ["--new", model, "--old", model, "--traffic", "0"]
    with pytest.raises(InputError, match=r"no held-out data: version \w+ has seen 81 of its 81"):
        run("compare", "spam", "--data", comments, *pair)
    # Another file, and other letters of the same words.
    lines = comments.read_text().splitlines()
    part = tmp_path / "part.csv"
    part.write_text(
        "\n".join([lines[0], *(line.replace("channel", "ＣＨＡＮＮＥＬ") for line in lines[1:21])])
    )
    with pytest.raises(InputError, match="has seen 20 of its 20 rows"):
        run("compare", "spam", "--data", part, *pair)
    mixed = tmp_path / "mixed.csv"
    fresh = held_out.read_text().splitlines()
    mixed.write_text("\n".join([*fresh, lines[1].rpartition(",")[0]]))
    few = run("compare", "spam", "--data", mixed, *pair)
    assert "80 examples that both scored" in few
    mixed.write_text("\n".join([*fresh, *(line.rpartition(",")[0] for line in lines[1:41])]))
    with pytest.raises(InputError, match="with --leave-out-seen"):
        run("compare", "spam", "--data", mixed, *pair)
    told = json.loads(run("compare", "spam", "--data", mixed, *pair, "--leave-out-seen", "--json"))
    assert told["seen"] == 40


@pytest.mark.slow
def test_compare_exits_with_1_where_the_new_one_is_worse(trained, comments, held_out, tmp_path):
    upside_down = tmp_path / "upside-down.csv"
    rows = comments.read_text().splitlines()
    flipped = [rows[0]]
    for row in rows[1:]:
        text, label, source = row.rsplit(",", 2)
        flipped.append(f"{text},{1 - int(label)},{source}")
    upside_down.write_text("\n".join(flipped))
    bad = tmp_path / "bad"
    run("train", "violence", "--data", upside_down, "--out", bad)
    good = tmp_path / "good"
    run("train", "violence", "--data", comments, "--out", good)
    told = run(
        "compare", "violence", "--data", held_out, "--old", f"file:{good}", "--new", f"file:{bad}",
        code=1,
    )  # fmt: skip
    assert "Do not ship: worse beyond chance" in told


@pytest.mark.slow
def test_calibrate_writes_a_copy_whose_scores_mean_what_they_say(trained, comments, tmp_path):
    out = tmp_path / "calibrated"
    told = json.loads(run("calibrate", "spam", "--data", comments, "--out", out, "--json"))
    assert told["after"] < 0.15
    held = open_artifact(out, "spam")
    assert held.version != open_artifact(trained[0]).version
    assert held.manifest.calibration["on"] == "comments.csv"
    again = json.loads(
        run("evaluate", "spam", "--data", comments, "--model", f"file:{out}", "--json")
    )
    before = json.loads(run("evaluate", "spam", "--data", comments, "--json"))
    assert again["figures"]["roc_auc"]["value"] == pytest.approx(
        before["figures"]["roc_auc"]["value"], abs=1e-3
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text,label\nx,1\ny,1\n", "both kinds needed"),
        ("text,label\nx,maybe\n", r"data\.csv:2: the label is 'maybe'"),
        ("text\nx\n", "no column label or"),
        ("label,colour\n1,red\n", "no column"),
        ("", "0 examples"),
        ("text,label\n\xff\n", "both kinds needed|cannot be read"),
    ],
)
def test_data_that_cannot_be_used_is_told_with_its_line(tmp_path, content, told):
    (tmp_path / "data.csv").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=told):
        run("evaluate", "spam", "--data", tmp_path / "data.csv")


def test_mistakes_get_one_clear_error(tmp_path, comments):
    with pytest.raises(InputError, match="no data at"):
        run("evaluate", "spam", "--data", tmp_path / "none.csv")
    with pytest.raises(ConfigurationError, match="did you mean spam"):
        run("evaluate", "spma", "--data", comments)
    with pytest.raises(ConfigurationError, match="cannot be trained from here"):
        run("train", "copyright", "--data", comments, "--out", tmp_path / "x")
    with pytest.raises(ArtifactError, match="no such folder"):
        run("evaluate", "spam", "--data", comments, "--model", "file:/no/such")
