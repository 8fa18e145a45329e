"""The HTML report in a browser: it filters, opens cells, follows links, reaches nothing, and can be read by all."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_s3vpce.report.history import render as history
from pytest_s3vpce.report.html import render
from pytest_s3vpce.report.json import read
from tests.unit.manycells import large, with_texts
from tests.unit.matrices import MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent
BROWSER: Final = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER: Final = shutil.which("chromedriver")
AXE: Final = Path(os.environ.get("S3VPCE_AXE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
SWITCHES: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ACTING: Final = "<script>document.title='acted'</script><img src=x onerror=\"document.title='acted'\">"

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no chromium with its driver: apt-get install chromium chromium-driver"
)


class Browser:
    """One Chromium for the whole file."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def open(self, name: str, fragment: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get_log("performance")
        self.driver.get(f"file://{self.folder / name}{fragment}")

    def run(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(script, *given)

    def set(self, name: str, value: str) -> None:
        self.run(
            "const f = document.getElementById(arguments[0]); if (f.type === 'checkbox') f.checked = !!arguments[1];"
            "else f.value = arguments[1]; f.dispatchEvent(new Event('input', {bubbles: true}));",
            name,
            value,
        )

    def text(self, name: str) -> str:
        return str(self.run("return document.getElementById(arguments[0]).innerText", name))

    def requests(self) -> list[str]:
        rows = [json.loads(row["message"])["message"] for row in self.driver.get_log("performance")]
        return [row["params"]["request"]["url"] for row in rows if row["method"] == "Network.requestWillBeSent"]

    def look(self, *, width: int, height: int, scheme: str) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
    folder = tmp_path_factory.mktemp("pages")
    (folder / "small.html").write_text(render(MATRIX), encoding="utf-8")
    example = read(ROOT / "tests" / "data" / "report-2.json")
    (folder / "example.html").write_text(render(example), encoding="utf-8")
    (folder / "history.html").write_text(history([example, MATRIX]), encoding="utf-8")
    (folder / "large.html").write_text(render(large()), encoding="utf-8")
    (folder / "acting.html").write_text(render(with_texts(MATRIX, ACTING)), encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Browser(driver, folder)
    finally:
        driver.quit()


def test_filters_leave_what_is_asked_for(browser: Browser) -> None:
    browser.open("small.html")
    assert browser.text("count") == "8 cells"
    titles = browser.run("return [...document.querySelectorAll('button[data-n]')].map(b => b.title)")
    assert (titles.count("expected: deny"), titles.count("expected: nothing")) == (3, 1)
    browser.set("failed", "x")
    assert browser.text("count") == "4 of 8 cells"
    shown = browser.run(
        "return [...document.querySelectorAll('#cells tbody tr:not([hidden]) th')].map(h => h.innerText)"
    )
    assert [" ".join(row.split()) for row in shown] == ["PutObject reports app", "CopyObject reports app"]
    browser.set("failed", "")
    browser.set("words", "put rep")
    assert browser.text("count") == "2 of 8 cells"
    browser.set("outcome", "allowed")
    assert browser.text("count") == "1 of 8 cells"
    browser.set("words", "")
    browser.set("outcome", "")
    browser.set("from", "outside")
    assert browser.text("count") == "4 of 8 cells"
    heads = (
        "return [...document.querySelectorAll('#cells thead th:not([hidden])')].map(h => h.innerText.split('\\n')[0])"
    )
    assert browser.run(heads) == ["elsewhere", "operation, bucket, principal", "outside"]
    browser.set("uncontrolled", "x")
    assert browser.text("count") == "1 of 8 cells"
    browser.set("uncontrolled", "")
    browser.set("from", "")
    assert browser.run(heads) == ["elsewhere", "operation, bucket, principal", "inside", "outside"]
    assert browser.run("return document.querySelector('#cells thead th').colSpan") == 2


def test_sorting_moves_rows(browser: Browser) -> None:
    browser.open("small.html")
    first = "return document.querySelector('#cells tbody th').innerText"
    assert browser.run(first).startswith("GetObject")
    browser.set("sort", "0")
    assert browser.run(first).startswith("CopyObject")
    browser.set("sort", "f")
    assert browser.run(first).startswith(("PutObject", "CopyObject"))
    browser.set("sort", "")
    assert browser.run(first).startswith("GetObject")


def test_a_cell_opens_to_its_evidence_and_closes_by_key(browser: Browser) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    browser.open("small.html")
    browser.run("document.querySelector('button[data-n=\"2\"]').focus()")
    browser.driver.switch_to.active_element.send_keys(keys.ENTER)
    until(lambda: browser.text("cell-id") == "PutObject/reports/app:outside/https")
    shown = browser.text("evidence")
    for text in (
        "expected\ndeny",
        "✘ no",
        "GET https://reports.example/key",
        "app from outside, https",
        "403",
        "REQ1",
        "192.0.2.1:443",
        "TLSv1.3",
        "look at\nthe bucket policy",
        "/x/test_a.access.yaml:3",
        "recorded\na data event: by vpce-1, TLSv1.3, no error",
        "vpc endpoint: vpce-1",
    ):
        assert text in shown, text
    assert browser.run("return location.hash") == "#cell=PutObject%2Freports%2Fapp%3Aoutside%2Fhttps"
    browser.driver.switch_to.active_element.send_keys(keys.ESCAPE)
    until(lambda: browser.run("return !document.getElementById('cell').open"))
    until(lambda: browser.run("return document.activeElement.dataset.n") == "2")
    until(lambda: browser.run("return location.hash") == "")


@pytest.mark.parametrize(
    "written", ["CopyObject/reports/app:outside/https", "CopyObject%2Freports%2Fapp%3Aoutside%2Fhttps"]
)
def test_a_link_leads_to_its_cell(browser: Browser, written: str) -> None:
    browser.open("small.html", f"#cell={written}")
    assert browser.text("cell-id") == "CopyObject/reports/app:outside/https"
    assert "dns" in browser.text("evidence")
    browser.open("small.html", "#cell=nothing")
    assert not browser.run("return document.getElementById('cell').open")


def test_no_request_leaves_and_nothing_is_complained_of(browser: Browser) -> None:
    browser.driver.get_log("browser")
    for name in ("small.html", "large.html"):
        browser.open(name)
        browser.run("document.querySelector('button[data-n=\"1\"]').click()")
        assert [url for url in browser.requests() if not url.startswith(("file:", "about:"))] == []
    assert browser.driver.get_log("browser") == []
    refused = browser.driver.execute_async_script(
        "const end = arguments[0]; fetch('https://s3.amazonaws.com/').then(() => end('sent'), () => end('refused'))"
    )
    assert refused == "refused"
    assert [url for url in browser.requests() if url.startswith("http")] == []


def test_nothing_of_others_acts(browser: Browser) -> None:
    browser.open("acting.html")
    browser.run("document.querySelectorAll('button[data-n]').forEach(b => b.click())")
    assert browser.driver.title != "acted"
    assert ACTING in browser.run("return document.querySelector('#evidence').textContent")
    assert browser.run("return document.querySelectorAll('#evidence script, #evidence img').length") == 0


def test_five_thousand_cells_open_and_filter_within_a_second(browser: Browser) -> None:
    browser.open("large.html")
    opened = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime"
    assert 0 < browser.run(opened) < 5_000 * factor()
    for field, value, count in (("words", "getobject role-2", 200), ("failed", "x", 10), ("words", "", 100)):
        taken = browser.run(
            "const [name, value] = arguments, f = document.getElementById(name), t = performance.now();"
            "if (f.type === 'checkbox') f.checked = !!value; else f.value = value;"
            "f.dispatchEvent(new Event('input', {bubbles: true})); document.body.offsetHeight;"
            "return performance.now() - t",
            field,
            value,
        )
        assert browser.text("count") == f"{count} of 5000 cells"
        assert taken < 1_000 * factor()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["small.html", "example.html"])
def test_verdict_picture_and_first_rows_stand_on_two_screens(
    browser: Browser, width: int, height: int, scheme: str, name: str
) -> None:
    browser.look(width=width, height=height, scheme=scheme)
    browser.open(name)
    places = browser.run(
        "return ['h1', '.picture.wide', '.picture.narrow', '#cells tbody tr:nth-child(2)']"
        ".map(s => document.querySelector(s).getBoundingClientRect()).map(r => [r.top, r.bottom, r.height])"
    )
    verdict, wide, narrow, row = places
    assert verdict[1] < height / 3
    assert (wide[2] > 0) == (width == 1280)
    assert (narrow[2] > 0) == (width == 390)
    assert max(wide[1], narrow[1], row[1]) < 2 * height
    assert browser.run("return document.documentElement.scrollWidth") <= width
    dark = browser.run("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm install --no-save axe-core, or S3VPCE_AXE=axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "fragment", "width"),
    [
        ("small.html", "", 1280),
        ("small.html", "#cell=CopyObject/reports/app:outside/https", 1280),
        ("example.html", "", 390),
        ("history.html", "", 1280),
    ],
)
def test_axe_finds_no_violation(browser: Browser, scheme: str, name: str, fragment: str, width: int) -> None:
    browser.look(width=width, height=800, scheme=scheme)
    browser.open(name, fragment)
    browser.run(AXE.read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script(
        "const end = arguments[0]; axe.run().then(r => end(r.violations.map(v => "
        "[v.id, v.help, ...v.nodes.slice(0, 3).map(n => n.html + ' ' + n.failureSummary)])), e => end([String(e)]))"
    )
    assert found == []


def test_paper_is_white_in_dark_mode_too(browser: Browser) -> None:
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    try:
        browser.open("small.html")
        style = browser.run(
            "const s = getComputedStyle(document.querySelector('td.missed')), f = document.getElementById('filter');"
            "return [getComputedStyle(document.body).backgroundColor, s.color, getComputedStyle(f).display]"
        )
        assert style == ["rgb(255, 255, 255)", "rgb(168, 60, 0)", "none"]
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": []})


def factor() -> float:
    """How much slower than its cores the machine may be now, because others use it."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def until(condition: Any) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
