from quorum.models.training.dataset import read_labelled
from quorum.models.training.evaluation import evaluate
from quorum.models.training.report import write_page


def page_of(folder, scores):
    file = folder / "ours.csv"
    file.write_text("text,label\nfree coins,1\n<b>bread</b>,0\nrain,0\n")
    data = read_labelled(file)
    write_page(folder / "page.html", "t", data, scores, evaluate(data.labels, scores, draws=3))
    return (folder / "page.html").read_text()


def test_only_what_is_on_the_wrong_side_is_a_mistake(tmp_path):
    page = page_of(tmp_path, [0.9, 0.7, 0.2])
    assert "&lt;b&gt;bread&lt;/b&gt;" in page
    assert "rain" not in page
    assert "free coins" not in page
    assert "fewer than ten: such intervals say little" in page
    assert "No example is on the wrong side of 0.5" in page_of(tmp_path, [0.9, 0.1, 0.2])
