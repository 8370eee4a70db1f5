"""Pictures as files: the same text for the same figure, light and dark, nothing half-written."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from isoloss.errors import InputError
from isoloss.fitting import Fit
from isoloss.reporting import residual_figure, save_figure, surface_figure, to_svg
from isoloss.reporting.style import INK, PAPER

pytest_plugins = ("reporting_fixtures",)


def test_the_same_figure_gives_the_same_svg(chinchilla: Fit) -> None:
    assert to_svg(surface_figure(chinchilla)) == to_svg(surface_figure(chinchilla))


def test_svg_is_well_formed_and_refers_to_nothing_outside(chinchilla: Fit) -> None:
    text = to_svg(surface_figure(chinchilla))
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    links = [value for each in root.iter() for key, value in each.items() if key.endswith("href")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert set(re.findall(r"url\((.)", text)) == {"#"}


def test_svg_is_dark_where_the_reader_s_pages_are(chinchilla: Fit) -> None:
    text = to_svg(residual_figure(chinchilla))
    rules = re.findall(r"<style>(.*?)</style>", text)[0]
    assert rules.startswith("@media screen and (prefers-color-scheme:dark)")
    for colour in (PAPER, INK):
        assert f'[style*="fill: {colour}"]' in rules
        assert f"fill: {colour}" in text.replace(rules, "")


def test_coordinates_have_two_decimals(chinchilla: Fit) -> None:
    paths = re.findall(r' d="([^"]*)"', to_svg(residual_figure(chinchilla)))
    assert paths
    assert not any(re.search(r"\.\d{3}", path) for path in paths)


def test_png_has_twice_the_dots_of_a_page(chinchilla: Fit, tmp_path: Path) -> None:
    figure = residual_figure(chinchilla)
    save_figure(figure, tmp_path / "residuals.PNG")
    data = (tmp_path / "residuals.PNG").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == pytest.approx(2 * 96 * figure.get_figwidth(), abs=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.pdf", "a.pdf: not a picture format: found .pdf; expected .svg or .png"),
        ("picture", "picture: not a picture format: found no ending; expected .svg or .png"),
        ("none/a.svg", "none/a.svg: cannot write the file: found No such file or directory"),
        ("none/a.png", "none/a.png: cannot write the file: found No such file or directory"),
    ],
)
def test_a_picture_that_cannot_be_written_is_named(
    name: str, message: str, chinchilla: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        save_figure(residual_figure(chinchilla), name)
