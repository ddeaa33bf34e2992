import sys

import imageio.v3 as imageio
import pytest
import quickstart
from pythae.models import AutoModel

from pythae_gated import GatedBetaVAE
from tests.support import browser


def explore(driver, report, width):
    """Move a slider, and swap two images."""
    browser.open_page(driver, report, width)
    assert "BetaVAE (baseline)" in driver.find_element("id", "baseline-table").text
    slider = driver.find_element("css selector", ".walk input[type=range]")
    canvas = browser.canvas_of(driver, slider)
    driver.execute_script("arguments[0].focus()", slider)
    ends = []
    for key in ("\ue011", "\ue010"):  # Home and End
        slider.send_keys(key)
        ends.append(browser.pixels_of(driver, canvas))
    assert ends[0] != ends[1]
    swap = driver.find_element("css selector", '[data-swap="first"][data-partition="0"] canvas')
    before = browser.pixels_of(driver, swap)
    browser.pick(driver, "first", 3)
    browser.pick(driver, "second", 5)
    assert browser.pixels_of(driver, swap) != before
    assert driver.get_log("browser") == []
    assert browser.requested(driver) == set()


@pytest.mark.slow
def test_the_script_saves_models_and_pictures(tmp_path, monkeypatch, capsys):
    for name, small in (("N_TRAIN", 400), ("N_TEST", 100), ("EPOCHS", 20)):
        monkeypatch.setattr(quickstart, name, small)
    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--output", str(tmp_path)])
    quickstart.main()
    printed = capsys.readouterr().out
    assert "SIDE BY SIDE" in printed
    for name in ("traversals", "swap_pose", "swap_expression", "swap_identity", "new_faces"):
        assert str(tmp_path / f"{name}.png") in printed
        assert imageio.imread(tmp_path / f"{name}.png").ndim == 2
    assert str(tmp_path / "report" / "report.html") in printed
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    if browser.CHROMIUM and browser.DRIVER:
        with browser.open_browser() as driver:
            for width in (1280, 390):
                explore(driver, tmp_path / "report" / "report.html", width)
    saved = next(tmp_path.glob("GatedBetaVAE_training_*/final_model"))
    assert str(saved) in printed
    assert type(AutoModel.load_from_folder(str(saved))) is GatedBetaVAE
