"""The report: well-formed, self-contained, escaped, and with everything that was measured."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from rankserve_training.evaluation.report import render_report, write_report
from rankserve_training.evaluation.report.pictures import inline_svg, learning_curve_figure
from training.evaluation.sample_result import BARE, HOSTILE, SAMPLE

VOID = {"meta", "link", "img", "br", "hr", "input"}
HEADINGS = ["Measures", "Differences", "Learning curve", "Calibration", "Error by activity", "New users", "New items"]


class Page(HTMLParser):
    """Follows the tags; fails where one is not closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(SAMPLE)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_all_that_was_measured_is_there(page: Page) -> None:
    assert page.texts["h1"] == ["Evaluation of movielens/3"]
    assert page.texts["h2"] == [*HEADINGS, "Examples"]
    facts = page.texts["dd"]
    assert "random split, 20 % held out" in facts
    assert "80,000 to train on, 20,000 to test on" in facts
    headers = page.texts["th"]
    for name in ("movielens/3", "mean", "biases", "item mean", "popularity"):
        assert name in headers
    assert {"0.9143", "0.7857"} & set(page.texts["strong"]) == {"0.9143", "0.7857"}  # the best
    assert "1.1212" not in page.texts["strong"]
    assert "0.904 to 0.924" in page.texts["span"]
    assert "-0.0278 (-0.031 to -0.024)" in page.texts["td"]
    assert {"better", "undecided"} <= set(page.texts["td"])
    assert "✓ gave 5" in page.texts["span"]


def test_what_was_not_measured_is_left_out() -> None:
    bare = Page(render_report(BARE))
    assert "h2" not in bare.texts
    assert not bare.attributes("svg")
    for field, heading in (
        ("learning_curve", "Learning curve"),
        ("user_activity", "Error by activity"),
        ("item_activity", "Error by activity"),
        ("cold_start", "New users"),
        ("cold_items", "New items"),
        ("examples", "Examples"),
    ):
        alone = Page(render_report(replace(BARE, **{field: getattr(SAMPLE, field)})))
        assert alone.texts["h2"] == [heading]


def test_nothing_is_loaded_and_nothing_runs(html: str, page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object", "image"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "src"
            assert not name.endswith("href") or (value or "").startswith("#")
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    policies = [tag.get("content") for tag in page.attributes("meta") if tag.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_names_and_titles_are_escaped(html: str, page: Page) -> None:
    assert "<script" not in html
    assert HOSTILE in page.texts["th"]  # a title and a model, as they are
    assert any(HOSTILE in text for text in page.texts["dd"])


def test_every_picture_has_a_text_and_ids_of_its_own(html: str, page: Page) -> None:
    pictures = page.attributes("svg")
    assert [picture["role"] for picture in pictures] == ["img"] * 4
    labels = [picture["aria-label"] or "" for picture in pictures]
    assert "training 0.5982" in labels[0]
    assert "calibration error 0.034" in labels[1]
    assert "1.210 with 0" in labels[2]
    assert "_model $1$: 1.010 with 0" in labels[3]
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert set(ids.values()) == {1}
    targets = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html))
    assert targets
    assert {first or second for first, second in targets} <= set(ids)


def test_names_of_curves_are_no_formulas_and_not_hidden(page: Page) -> None:
    texts = page.texts["text"]
    assert {"_model $1$", "item mean", "biases", "300+", "of the user", "validation"} <= set(texts)


def test_tables_have_headers_for_screen_readers(page: Page) -> None:
    tables = page.attributes("table")
    assert len(page.texts["caption"]) == len(tables) == len(page.attributes("thead")) == 9
    assert {header.get("scope") for header in page.attributes("th")} == {"col", "row"}
    assert page.attributes("html") == [{"lang": "en"}]
    assert any(tag.get("name") == "viewport" for tag in page.attributes("meta"))


@pytest.mark.parametrize("colour", ["#1c1c1c", "#555", "#333", "#174f80", "#14532d"])
def test_text_can_be_told_from_the_background(html: str, colour: str) -> None:
    """By the Web Content Accessibility Guidelines: a contrast of 4.5 against white."""
    assert f"color: {colour}" in html
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_equal_results_give_equal_reports_and_settings_stay(html: str, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write_report(SAMPLE, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert dict(matplotlib.rcParams) == before


def test_a_learning_curve_with_gaps() -> None:
    part = SAMPLE.learning_curve[:3]
    epochs = tuple(replace(epoch, train_rmse=None, validation_rmse=None) for epoch in part)
    assert "n/a" in render_report(replace(BARE, learning_curve=epochs))
    picture = inline_svg(learning_curve_figure(part), "x", 'a "quoted" < text')
    assert 'aria-label="a &quot;quoted&quot; &lt; text"' in picture
