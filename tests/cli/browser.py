# SPDX-License-Identifier: Apache-2.0
"""A real browser, without a window, at the dashboard."""
import shutil
import tempfile

import axe_core_python.base as axe
import pytest
from conftest import wait_until
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,900",
]
ROWS = """return [...document.querySelectorAll("#rows tr")].map((tr) => ({
  ...Object.fromEntries([...tr.cells].map(
    (td) => [td.className, [...td.children].map((part) => part.textContent)])),
  key: tr.dataset.key, state: tr.dataset.state}))"""


class Page:
    """The dashboard, as somebody sees it."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(
            prefix="leasehold-browser-", ignore_cleanup_errors=True
        )
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in [*FLAGS, f"--user-data-dir={self.profile.name}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def open(self, server, token=None):
        """Its page, in a tab that knows no token but this."""
        self.driver.get(server.name + "/")
        self.js(
            (
                "sessionStorage.clear(); if (arguments[0])"
                " sessionStorage.setItem('leasehold-token', arguments[0])"
            ),
            token,
        )
        self.console()
        self.driver.get(server.name + "/")

    def console(self):
        """What the browser has complained of since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def at(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def is_open(self, dialog):
        return self.js("return document.querySelector(arguments[0]).open", dialog)

    def focused(self):
        return self.js(
            "const at = document.activeElement; return at.closest('tr')?.dataset.key ?? at.id"
        )

    def press(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def rows(self):
        return self.js(ROWS)

    def row(self, key):
        return next((row for row in self.rows() if row["key"] == key), None)

    def wait_for(self, key, condition=bool, seconds=10):
        """The row, as soon as it is so."""
        return wait_until(lambda: (row := self.row(key)) and condition(row) and row, seconds)

    def wait_for_state(self, text, seconds=10):
        wait_until(lambda: self.text("#state-text") == text, seconds)

    def events(self):
        return self.js(
            "return [...document.querySelectorAll('#events li span:not(.of)')].map((part) =>"
            " part.textContent)"
        )

    def write(self, selector, text):
        """Instead of what is there."""
        field = self.at(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text or Keys.BACKSPACE)

    def look(self, key):
        self.js(
            (
                'document.querySelector(`#rows tr[data-key="${CSS.escape(arguments[0])}"]'
                " button`).click()"
            ),
            key,
        )

    def resize(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def prefer(self, **features):
        """prefers_color_scheme="dark"; without anything: as it comes."""
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {
                "features": [
                    {"name": name.replace("_", "-"), "value": value}
                    for name, value in features.items()
                ]
            },
        )

    def metrics(self):
        """Seconds that the page has cost since it was opened, by what for."""
        self.driver.execute_cdp_cmd("Performance.enable", {})
        return {
            metric["name"]: metric["value"]
            for metric in self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        }

    def barriers(self):
        """What keeps people with impairments out, as axe-core tells."""
        self.js("if (!window.axe) { " + axe.AXE_SCRIPT + " }")
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((all)"
            " => done(all.violations), (error) => done(String(error)))"
        )
        assert isinstance(found, list), found
        return [
            (one["id"], [(node["target"], node["failureSummary"]) for node in one["nodes"]])
            for one in found
        ]


@pytest.fixture(scope="module")
def page():
    page = Page()
    yield page
    page.close()
