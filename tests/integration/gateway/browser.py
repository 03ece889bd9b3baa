"""Chromium without a screen, of the system."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

_SECONDS = 30.0
_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER), reason="no chromium and chromedriver on PATH; on Debian: apt install chromium-driver"
)
# No host but this machine's can be looked up: what a page would fetch from elsewhere fails.
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Page:
    """A page of the playground."""

    def __init__(self, driver: webdriver.Chrome, width: int) -> None:
        self.driver = driver
        self._width = width

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Of all that there are, read at once."""
        script = "return [...document.querySelectorAll(arguments[0])].map((found) => found.innerText)"
        found: list[str] = self.driver.execute_script(script, selector)
        return found

    def choose(self, selector: str, value: str) -> None:
        Select(self.find(selector)).select_by_value(value)

    def wait_for(self, script: str) -> None:
        """Waits until a script returns true."""
        WebDriverWait(self.driver, _SECONDS).until(lambda driver: driver.execute_script(script))

    def wait_until_ranked(self) -> None:
        self.wait_for(
            "return document.getElementById('ranking').getAttribute('aria-busy') === 'false'"
            " && document.querySelector('#tables tbody') !== null"
        )

    def ranked(self) -> list[str]:
        """The titles of the first table."""
        return [text.splitlines()[0] for text in self.texts("#tables > :first-child tbody th")]

    def faults(self) -> list[Any]:
        """What the browser complains of: errors of scripts, of the policy of the page, of what could not be loaded."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # it has no types
        return [entry for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self, path: Path) -> None:
        """The whole page."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self._width, "height": height, "scale": 1}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def running_chromium() -> Iterator[webdriver.Chrome]:
    """For any number of pages, one after the other: the playground leaves nothing in a browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM or ""
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def opened(driver: webdriver.Chrome, url: str, width: int = 1300, dark: bool = False) -> Iterator[Page]:
    """The page, as it is when it is loaded; nothing may go wrong on it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(url)
    page = Page(driver, width)
    page.wait_until_ranked()
    yield page
    assert not page.faults()
    driver.get("about:blank")
