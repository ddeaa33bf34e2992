"""A report in headless Chromium: the sliders, the swaps, and what a page must not do."""

import numpy as np
import pytest

from pythae_gated.report import save_report
from tests.support import browser
from tests.support.pixels import make_pixel_vae

SCRIPT = "<script>alert(1)</script>"
SLIDER = ".walk:nth-of-type(2) label:nth-of-type(3) input"  # person, dimension 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (browser.CHROMIUM and browser.DRIVER), reason="needs chromium and chromium-driver"
    ),
]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(60, 196, size=(80, 1, 2, 2), dtype=np.uint8)


@pytest.fixture(scope="module")
def report(images, tmp_path_factory):
    pytest.importorskip("selenium")
    factors = {SCRIPT: images[:, 0, 0, 0] / 255, "age": (images[:, 0, 1, 1] > 127).astype(int)}
    return save_report(
        make_pixel_vae(log_var=-12.0), images, factors, tmp_path_factory.mktemp("report"),
        partitions={"pose": 1, "person": 3}, intended={SCRIPT: "pose"},
        baseline=make_pixel_vae(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def driver(report):
    with browser.open_browser() as driver:
        yield driver


@pytest.fixture(params=[1280, 390])
def page(request, driver, report):
    """The open page; afterwards it must have neither failed nor asked for anything."""
    browser.open_page(driver, report, request.param)
    yield driver
    assert driver.get_log("browser") == []
    assert browser.requested(driver) == set()


def find(page, selector):
    return page.find_element("css selector", selector)


def test_a_slider_moves_the_picture(page):
    slider = find(page, SLIDER)
    canvas = browser.canvas_of(page, slider)
    page.execute_script("arguments[0].focus()", slider)
    slider.send_keys("\ue011")  # Home: the lowest value
    lowest = browser.pixels_of(page, canvas)
    assert find(page, SLIDER.replace("input", "output")).text == "\N{MINUS SIGN}2.0 SD"
    slider.send_keys("\ue014" * 10)  # the right arrow
    highest = browser.pixels_of(page, canvas)
    assert find(page, SLIDER.replace("input", "output")).text == "+2.0 SD"
    changed = np.abs(np.subtract(highest, lowest)) > 8
    assert changed.tolist() == [False, False, True, False]
    find(page, ".walk:nth-of-type(2) button").click()
    assert browser.pixels_of(page, canvas) != highest


def test_another_start(page):
    canvas = browser.canvas_of(page, find(page, SLIDER))
    before = browser.pixels_of(page, canvas)
    browser.pick(page, "start", 2)
    assert browser.pixels_of(page, canvas) != before


def test_two_images_are_swapped(page, images):
    browser.pick(page, "first", 5)
    browser.pick(page, "second", 2)
    first, second = (images[i].flatten().astype(int) for i in (5, 2))
    for row, kept, given in (("first", first, second), ("second", second, first)):
        for k, expected in ((-1, kept), (0, [given[0], *kept[1:]]), (1, [kept[0], *given[1:]])):
            canvas = find(page, f'[data-swap="{row}"][data-partition="{k}"] canvas')
            shown = browser.pixels_of(page, canvas)
            assert np.abs(np.subtract(shown, expected)).max() <= 1
    assert find(page, '[data-swap="first"][data-partition="0"]').text == (
        "image 6 with pose of image 3"
    )


def test_nothing_is_wider_than_the_window(page, tmp_path):
    width, window = page.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert width <= window
    browser.save_screenshot(page, tmp_path / "report.png", window, 1200)
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_names_are_not_markup(page):
    assert SCRIPT in find(page, ".verdict").text
    assert len(page.find_elements("css selector", "script")) == 2
