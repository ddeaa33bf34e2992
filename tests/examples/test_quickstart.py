import sys

import imageio.v3 as imageio
import pytest
import quickstart
from pythae.models import AutoModel

from pythae_gated import GatedBetaVAE
from tests.support import browser


@pytest.mark.slow
def test_the_script_saves_models_and_pictures(tmp_path, monkeypatch, capsys):
    for name, small in (("N_TRAIN", 400), ("N_TEST", 100), ("EPOCHS", 1)):
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
            browser.open_page(driver, tmp_path / "report" / "report.html", 1280)
            assert "BetaVAE (baseline)" in driver.find_element("id", "baseline-table").text
            assert driver.get_log("browser") == []
            assert browser.requested(driver) == set()
    saved = next(tmp_path.glob("GatedBetaVAE_training_*/final_model"))
    assert str(saved) in printed
    assert type(AutoModel.load_from_folder(str(saved))) is GatedBetaVAE
