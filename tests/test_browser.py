"""The pages of a generated project in a real browser."""

import pytest
from projects import create, served, set_up

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium").By

SIZES = {"telephone": (390, 800), "desk": (1280, 900)}


@pytest.fixture(scope="module")
def address(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("browser")
    project = create(folder, "HelloWorld", f"dsn={server.create_database()}")
    set_up(project)
    with served(project) as address:
        yield address


def test_a_newcomer_finds_the_notes_and_keeps_one(browser, address):
    browser.get(address)
    assert browser.title == "HelloWorld"
    browser.find_element(By.LINK_TEXT, "the notes").click()
    browser.find_element(By.NAME, "title").send_keys("Milk")
    browser.find_element(By.NAME, "body").send_keys("Two <b>bottles</b>\n\nand bread")
    browser.find_element(By.CSS_SELECTOR, "#add-note button").click()
    note = browser.find_element(By.CSS_SELECTOR, ".notes .card")
    assert note.find_element(By.TAG_NAME, "h2").text == "Milk"
    assert note.find_element(By.TAG_NAME, "pre").text == "Two <b>bottles</b>\n\nand bread"
    note.find_element(By.TAG_NAME, "button").click()
    assert browser.find_element(By.XPATH, "//p[.='There are no notes yet.']")


def test_the_browser_has_nothing_to_complain_of(browser, address, screenshot):
    browser.get_log("browser")
    for path in ("/notes", "/_connections", "/"):
        browser.get(address + path)
    screenshot("welcome")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", ["/", "/notes", "/nowhere"])
def test_text_is_readable_and_nothing_sticks_out(browser, address, path, size, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    width, height = SIZES[size]
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "telephone"},
    )
    browser.get(address + path)
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    for element in browser.find_elements(By.CSS_SELECTOR, "h1, h2, p, a, th, td, button, label"):
        if element.is_displayed():
            assert browser.execute_script(CONTRAST, element) >= 4.5, element.text


# The ratio of the lightnesses of an element's text and its ground, as WCAG reckons it.
CONTRAST = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const lightness = colour => {
  const [r, g, b] = parts(colour).slice(0, 3).map(value => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
let ground = arguments[0];
while (parts(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
const [dark, light] = [
  lightness(getComputedStyle(arguments[0]).color),
  lightness(getComputedStyle(ground).backgroundColor),
].sort((a, b) => a - b);
return (light + 0.05) / (dark + 0.05);
"""
