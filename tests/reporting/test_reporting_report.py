"""The report: one page that needs nothing else, escapes what it is given, leaves nothing out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest

from isoloss.errors import InputError
from isoloss.fitting import Fit, fit
from isoloss.forecasting import Backtest, Forecast
from isoloss.laws import CATALOGUE, Law, Surface
from isoloss.notes import Note, Severity
from isoloss.planning import Allocation, allocate
from isoloss.reporting import build_report, draw, write_report
from isoloss.reporting.html import Html, element, note_list
from isoloss.reporting.mathematics import formula_html
from isoloss.reporting.wording import loss_text, number_text, signed_percent
from isoloss.runs import Runs, read_runs

pytest_plugins = ("reporting_fixtures",)

VOID = {"meta", "img", "br", "link", "hr", "input"}
COMMANDS = ["isoloss fit runs.csv --law chinchilla", 'isoloss report runs.csv --where "a < 1"']


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, tables, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def full(
    runs: Runs,
    chinchilla: Fit,
    bare: Fit,
    tested: Backtest,
    predicted: Forecast,
    split: Allocation,
) -> str:
    return build_report(
        runs,
        title="AdamW ladder",
        fits=[chinchilla, bare],
        backtest=tested,
        forecast=predicted,
        allocations=[split],
        commands=COMMANDS,
        loss_unit="nats/token",
    )


@pytest.fixture(scope="session")
def page(full: str) -> Page:
    return Page(full)


def test_the_page_is_whole_and_named(full: str, page: Page) -> None:
    assert full.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert "AdamW ladder" in page.text


def test_the_page_loads_nothing(full: str, page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {
        tag for tag, _ in page.elements
    }
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            assert re.match(r"data:image/svg\+xml;base64,|#|$", attributes.get(name, ""))
    assert "@import" not in full
    assert "url(" not in full
    for image in page.all("img"):
        drawn = base64.b64decode(image["src"].partition("base64,")[2]).decode()
        assert set(re.findall(r'href="(.)', drawn)) <= {"#"}
        assert "@import" not in drawn


def test_headings_descend_and_the_contents_lead_to_them(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert [link["href"][1:] for link in page.all("a")] == identifiers


def test_every_picture_has_a_caption_and_a_text_for_those_who_cannot_see_it(page: Page) -> None:
    # Three of each fit, and one each of backtest, forecast, allocation and all allocations.
    assert len(page.all("img")) == len(page.all("figcaption")) == 2 * 3 + 4
    assert all(len(image["alt"]) > 40 for image in page.all("img"))
    assert all(image["aria-label"].startswith("loss = ") for image in page.all("svg"))


def test_the_page_follows_light_and_dark_and_can_be_printed(full: str) -> None:
    style = full[full.index("<style>") : full.index("</style>")]
    for rule in ("color-scheme: light dark", "(prefers-color-scheme: dark)", "@media print"):
        assert rule in style


def test_the_table_is_summarised(page: Page, runs: Runs) -> None:
    assert ["N, parameters", "134M", "1.21B"] in page.rows
    assert ["C = 6ND, training FLOPs", "2.16e18", "1.4e21"] in page.rows
    assert ["loss, nats/token", "2.7523", "3.5291"] in page.rows
    for text in (runs.fingerprint, runs.source, "adamw", "params, tokens, loss, recipe"):
        assert text in page.text


def test_each_law_has_its_parameters_with_intervals(page: Page, chinchilla: Fit) -> None:
    for name, value in chinchilla.parameters.items():
        low, high = chinchilla.intervals()[name]
        assert [name, number_text(value), number_text(low), number_text(high)] in page.rows
        assert f"{name} = {value!r}" in page.text
    for text in (
        f"huber, sum {number_text(chinchilla.objective_value)}",
        f"{100 * chinchilla.mean_abs_rel_error:.3f} %",
        chinchilla.status.value,
        "condition number",
    ):
        assert text in page.text


def test_parameters_that_the_data_hardly_tell_apart_are_named(runs: Runs, page: Page) -> None:
    loose = fit(runs, "chinchilla", objective="squared-log")
    assert loose.identifiability.combinations
    text = Page(build_report(runs, title="t", fits=[loose])).text
    for each in loose.identifiability.combinations:
        assert each.sentence in text
    assert "relative gradient there" in page.text


def test_a_fit_without_replicates_says_so(page: Page, bare: Fit) -> None:
    for name, value in bare.parameters.items():
        assert [name, number_text(value)] in page.rows
    assert "no bootstrap, so no intervals" in page.text


def test_the_backtest_is_a_table(page: Page, tested: Backtest) -> None:
    for name, runs in tested.held_out.items():
        each = runs.to_json()
        assert [
            name,
            f"{100 * each['mean_abs_rel_error']:.3f} %",
            signed_percent(each["mean_rel_error"], 3),
            f"{100 * each['max_abs_rel_error']:.3f} %",
            f"{100 * each['coverage']:.0f} %",
        ] in page.rows


def test_the_forecast_has_intervals_weights_and_reasons(page: Page, predicted: Forecast) -> None:
    for entry, point in zip(predicted.predictions, ("7B : 140B", "70B : 1.4T"), strict=True):
        interval = [loss_text(value) for value in (entry.loss, entry.lower, entry.upper)]
        assert any(row[:4] == [point, *interval] for row in page.rows)
    for name, weight in predicted.weights.items():
        assert f"{name} {weight:.2f}" in page.text
    # Laws outnumber points: a column each would not fit on the page.
    for name, losses in predicted.by_law.items():
        assert [name, *map(loss_text, losses)] in page.rows
    for name, reason in predicted.reasons.items():
        assert [name, reason] in page.rows


def test_the_allocation_has_the_price_of_other_sizes(page: Page, split: Allocation) -> None:
    for entry in split.deviations:
        assert any(
            signed_percent(entry.loss_increase) in row
            and f"{100 * (1 - entry.compute_share):.1f} %" in row
            for row in page.rows
        )
    assert any(row[0] == "loss, nats/token" and loss_text(split.loss) in row for row in page.rows)


def test_laws_of_the_forecast_are_given_in_full(page: Page, predicted: Forecast) -> None:
    for fitted in predicted.fits.values():
        for name, value in fitted.parameters.items():
            assert f"{name} = {value!r}" in page.text


def test_commands_and_provenance_close_the_page(page: Page) -> None:
    assert "\n".join(COMMANDS) in page.text
    assert f"Isoloss {version('isoloss')}" in page.text


def test_notes_are_said_once(page: Page, runs: Runs) -> None:
    checklist = page.text.index("points of the reproducibility checklist are stated")
    for part in (page.text[:checklist], page.text[checklist:]):
        assert part.count(runs.notes[0].message) == 1


def test_the_same_results_make_the_same_page(runs: Runs, bare: Fit) -> None:
    pages = {build_report(runs, title="Twice", fits=[bare]) for _ in range(2)}
    assert len(pages) == 1


def test_a_table_alone_is_a_report(runs: Runs) -> None:
    page = Page(build_report(runs, title="Only the table"))
    anchors = ["#at-a-glance", "#runs", "#reproducibility", "#provenance"]
    assert [link["href"] for link in page.all("a")] == anchors
    assert "Loss in the unit of the table" in page.text


def test_what_could_not_be_done_is_said_at_the_top(runs: Runs) -> None:
    note = Note("no-backtest", "no backtest: the table is too small", Severity.WARNING)
    text = Page(build_report(runs, title="Short", notes=[note])).text
    assert text.index("At a glance") < text.index(note.message) < text.index("fingerprint")


def test_published_coefficients_can_be_allocated_without_fits(runs: Runs) -> None:
    epoch = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
    page = Page(build_report(runs, title="Published", allocations=[allocate(epoch, 5.76e23)]))
    assert ["N, parameters", "72.2B"] in page.rows
    assert "E = 1.8172" in page.text


def test_a_fit_of_other_runs_is_marked(runs: Runs, bare: Fit) -> None:
    part = runs.where("params < 1e9")
    page = Page(build_report(part, title="Other", fits=[bare]))
    assert f"fitted to other runs than those above: {bare.source}" in page.text


HOSTILE = "<script>alert('x')</script>&\"$title"


def test_hostile_names_stay_text(runs: Runs, bare: Fit) -> None:
    frame = runs.frame.rename({"size": HOSTILE}).with_columns(recipe=runs.frame["recipe"] + HOSTILE)
    table = replace(read_runs(frame), source=HOSTILE, notes=(Note("x", HOSTILE, Severity.WARNING),))
    page = Page(
        build_report(
            table,
            title=HOSTILE,
            fits=[replace(bare, source=HOSTILE)],
            commands=[HOSTILE],
            loss_unit=HOSTILE,
        )
    )
    assert not page.all("script")
    assert page.text.count(HOSTILE) >= 7


def test_a_law_of_any_name_can_be_reported(runs: Runs) -> None:
    name = "_$\\frac{<b>$"
    like = CATALOGUE["chinchilla"]
    law = Law(name, "Mine", like.formula, like.parameters, HOSTILE, linear=like.linear)
    fitted = fit(runs, law, bootstrap=5, starts=16)
    split = allocate(fitted, 1e22)
    page = Page(build_report(runs, title="Mine", fits=[fitted], allocations=[split]))
    assert name in page.text
    assert HOSTILE in page.text
    draw(split).draw_without_rendering()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_formula_is_drawn(name: str) -> None:
    drawn = Page(formula_html(CATALOGUE[name]))
    law = CATALOGUE[name]
    assert drawn.all("svg")[0]["aria-label"] == f"{law.target.name} = {law.formula}"
    assert drawn.all("path")[0]["d"].startswith("M")


def test_a_formula_that_cannot_be_drawn_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Law, "latex", lambda self: r"\unknown{x}")
    law = CATALOGUE["chinchilla"]
    assert Page(formula_html(law)).text == f"loss = {law.formula}"


def test_only_html_is_left_as_it_is() -> None:
    assert element("p", "<b>", Html("<i>x</i>"), title='"') == (
        '<p title="&quot;">&lt;b&gt;<i>x</i></p>'
    )


def test_warnings_come_first_and_each_message_once() -> None:
    notes = [Note("a", "quiet"), Note("b", "loud", Severity.WARNING), Note("c", "quiet")]
    assert Page(note_list(notes)).text == "Warning: loudNote: quiet"
    assert note_list(notes[:1], known=notes) == ""


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (loss_text, 0.4014, "0.40140"),
        (loss_text, 12345.6, "12346"),
        (number_text, 1.19313e7, "1.19313e7"),
        (number_text, 7.37289e-7, "7.37289e-7"),
        (number_text, 2085.43, "2085.43"),
        (signed_percent, -0.0847, "−8.47 %"),
    ],
)
def test_wording(write: Callable[[float], str], value: float, text: str) -> None:
    assert write(value) == text


def test_a_report_is_written_whole(tmp_path: Path, runs: Runs) -> None:
    page = build_report(runs, title="Written")
    write_report(tmp_path / "report.html", page)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    with pytest.raises(InputError, match=r"^.*none.*: cannot write the file: found No such file"):
        write_report(tmp_path / "none" / "report.html", page)
