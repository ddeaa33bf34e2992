"""Headless Chromium on a page from file://, as a reader's browser would open it.

    python -m tests.support.browser REPORT.html PICTURE.png

saves a screenshot of the top of a report, as it stands in the README.
"""

import base64
import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSIDE = ("file:", "data:", "blob:", "chrome:")  # the last of the empty page at the start
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PIXELS = """
const {width, height} = arguments[0];
const copy = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
copy.drawImage(arguments[0], 0, 0);
return [...copy.getImageData(0, 0, width, height).data].filter((_, i) => i % 4 === 0);
"""


@contextmanager
def open_browser():
    """A selenium driver of Debian's chromium, with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def open_page(driver, path, width, height=900):
    """Open a report, and wait until its frames are decoded."""
    from selenium.webdriver.support.ui import WebDriverWait

    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(Path(path).resolve().as_uri())
    ready = "return document.getElementById('explore').dataset.ready"
    WebDriverWait(driver, 20).until(lambda _: driver.execute_script(ready))


def save_screenshot(driver, path, width, height):
    """Save the top of the page."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    settings = {"captureBeyondViewport": True, "clip": clip}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", settings)
    Path(path).write_bytes(base64.b64decode(shot["data"]))


def pixels_of(driver, canvas):
    """The red values of a canvas."""
    return driver.execute_script(PIXELS, canvas)


def canvas_of(driver, slider):
    """The canvas that a slider changes."""
    return driver.execute_script(
        "return arguments[0].closest('.walk').querySelector('canvas')", slider
    )


def pick(driver, name, index):
    """Choose one of the images of "start", "first" or "second"."""
    chosen = driver.find_element("css selector", f'input[name="{name}"][value="{index}"]')
    driver.execute_script("arguments[0].click()", chosen)


def requested(driver):
    """The addresses that the page asked for, other than its own file and data."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
    addresses = {each["params"]["request"]["url"] for each in sent}
    return {each for each in addresses if not each.startswith(INSIDE)}


if __name__ == "__main__":
    with open_browser() as browser:
        open_page(browser, sys.argv[1], 1140)
        save_screenshot(browser, sys.argv[2], 1140, 1480)
