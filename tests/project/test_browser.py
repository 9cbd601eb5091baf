"""The pages of a generated project in a real browser."""

import re
from itertools import pairwise

import pytest
from projects import change, create, served, set_up

pytestmark = pytest.mark.slow(seconds=20)

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium").By

SIZES = {"telephone": (390, 800), "desk": (1280, 900)}


# Holds all connections, and asks for one more.
GREEDY = """
from helloworld.lib.base import BaseController
from helloworld.model.meta import manager

class GreedyController(BaseController):
    def index(self):
        held = [manager.open(), manager.open()]
        held[0].execute("SELECT 'greed'")
        manager.open()

    def wrong(self):
        manager.handle().execute("SELECT title, nothing_of_that_name FROM note ORDER BY written")

    def long(self):
        raise ValueError("<b>" + "x" * 500)
"""

# Calls what the database has under another name, and what it has twice.
WRONG = """
from simpycity.core import Function, FunctionSingle
from helloworld.lib.base import BaseController

misspelt = FunctionSingle("note_ad", ["title", "body"])
twofold = Function("twofold", ["n"])

class WrongController(BaseController):
    def misspelt(self):
        misspelt("Milk", "")

    def twofold(self):
        twofold(1)
"""
TWOFOLD = """
CREATE FUNCTION twofold(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION twofold(n int, times int DEFAULT 2) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, server):
    dsn = server.create_database()
    project = create(tmp_path_factory.mktemp("browser"), "HelloWorld", f"dsn={dsn}")
    limits = "simpycity.pool_size = 2\nsimpycity.max_overflow = 0\nsimpycity.pool_timeout = 0.3"
    change(project / "development.ini", "simpycity.tag_statements", f"true\n{limits}")
    (project / "helloworld" / "controllers" / "greedy.py").write_text(GREEDY)
    (project / "helloworld" / "controllers" / "wrong.py").write_text(WRONG)
    with (project / "helloworld" / "model" / "schema.sql").open("a") as file:
        file.write(TWOFOLD)
    set_up(project)
    return project


@pytest.fixture(scope="module")
def address(project):
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
    # It asks first.
    button = note.find_element(By.TAG_NAME, "button")
    assert not button.is_displayed()
    question = note.find_element(By.TAG_NAME, "summary")
    assert question.size["height"] >= 40
    question.click()
    button.click()
    assert browser.find_element(By.XPATH, "//p[.='There are no notes yet.']")


def test_the_browser_has_nothing_to_complain_of(browser, address, screenshot):
    browser.get_log("browser")
    for path in ("/notes", "/_connections", "/"):
        browser.get(address + path)
    screenshot("welcome")
    assert browser.get_log("browser") == []


def test_the_debugger_and_the_log_say_who_holds_the_connections(browser, address, project):
    browser.get(address + "/greedy/index")
    shown = browser.find_element(By.TAG_NAME, "body").text
    log = (project / "serve.log").read_text()
    for said in (shown, log):
        assert "no connection to 'helloworld' became free within 0.3 s: all 2" in said
        holders = [line for line in said.splitlines() if "scope 'GET /greedy/index'" in line]
        assert len([line for line in holders if "greedy.py:7 in index" in line]) >= 2
        assert any("last statement: SELECT 'greed'" in line for line in holders)


@pytest.mark.parametrize(
    ("action", "sentences"),
    [
        (
            "misspelt",
            [
                "UndefinedFunction",
                "note_ad() is called (declared at",
                "helloworld/controllers/wrong.py:5",
                "there is no function note_ad; did you mean note_add?",
                'Write instead: FunctionSingle("note_add", ["title", "body"])',
            ],
        ),
        (
            "twofold",
            [
                "AmbiguousFunction",
                "helloworld/controllers/wrong.py:6",
                "a call does not say which of these functions is meant: twofold(n integer); "
                "twofold(n integer, times integer DEFAULT …)",
                "Write instead: in the database: functions of different names, or fewer defaults",
            ],
        ),
    ],
)
def test_the_debugger_and_the_log_say_which_function_there_is_instead(
    browser, address, project, action, sentences
):
    browser.get(f"{address}/wrong/{action}")
    shown = browser.find_element(By.TAG_NAME, "body").text
    log = (project / "serve.log").read_text()
    for sentence in sentences:
        assert sentence in shown
        assert sentence in log


PAGES = ["/", "/notes", "/nowhere", "/_connections", "/greedy/wrong", "/greedy/long"]


def look(browser, address, path, size, scheme):
    """Open a page on a screen of that size, of a reader who likes it light or dark."""
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_text_is_readable_and_nothing_sticks_out(browser, address, path, size, scheme):
    look(browser, address, path, size, scheme)
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 128) == (scheme == "dark")
    seen, faint = browser.execute_script(CONTRAST)
    assert seen > 5 and faint == []


def test_the_place_that_postgresql_points_at_is_above_its_sign(browser, address):
    for size in SIZES:
        look(browser, address, "/greedy/wrong", size, "light")
        for excerpt in browser.find_elements(By.CSS_SELECTOR, ".excerpt"):
            place, sign = browser.execute_script(PLACES, excerpt)
            assert abs(place - sign) < 1


# Where the name begins, and where the ^ is, of the two lines of an excerpt.
PLACES = """
const [node] = arguments[0].childNodes;
return ["nothing_of_that_name", "^"].map(text => {
  const range = document.createRange();
  const at = node.data.lastIndexOf(text);
  range.setStart(node, at);
  range.setEnd(node, at + 1);
  return range.getBoundingClientRect().left;
});
"""


def test_on_a_telephone_what_opens_the_console_takes_no_width_of_a_code_line(browser, address):
    look(browser, address, "/greedy/wrong", "telephone", "light")
    browser.find_element(By.CSS_SELECTOR, "div.traceback pre img")
    assert browser.execute_script(ICONS_BELOW) == [True]


def test_on_a_telephone_the_name_of_an_error_is_broken_behind_a_dot(browser, address):
    look(browser, address, "/greedy/index", "telephone", "light")
    heading = browser.find_element(By.TAG_NAME, "h1")
    assert heading.text.replace("\n", "") == "simpycity_template.errors.PoolTimeout"
    assert browser.execute_script(LINES_OF_LAST_WORD, heading) == 1


LINES_OF_LAST_WORD = """
const range = document.createRange();
range.selectNode(arguments[0].lastChild);
return range.getClientRects().length;
"""

# Of each code line of the traceback, whether its icons are below its text.
ICONS_BELOW = """
return [...document.querySelectorAll("div.traceback pre")].map(line => {
  const range = document.createRange();
  range.selectNode([...line.childNodes].find(node => node.nodeType === Node.TEXT_NODE));
  const end = range.getBoundingClientRect().bottom;
  return [...line.querySelectorAll("img")].every(
    icon => icon.getBoundingClientRect().height && icon.getBoundingClientRect().top >= end);
});
"""


def test_cards_have_even_gaps_and_a_wide_table_scrolls_on_a_telephone(browser, address):
    look(browser, address, "/", "telephone", "light")
    boxes = [card.rect for card in browser.find_elements(By.CSS_SELECTOR, ".card")]
    gaps = [below["y"] - above["y"] - above["height"] for above, below in pairwise(boxes)]
    # The browser rounds heights.
    assert len(gaps) == 3 and max(gaps) - min(gaps) < 2
    table = browser.find_element(By.CSS_SELECTOR, ".wide")
    browser.execute_script("arguments[0].scrollLeft = 1000", table)
    assert browser.execute_script("return arguments[0].scrollLeft", table) > 0


# How many elements have a text of their own that is seen, and those of them where the lightnesses of
# text and ground, as WCAG reckons them, are too near to each other.
CONTRAST = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const lightness = colour => {
  const [r, g, b] = parts(colour).slice(0, 3).map(value => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = element => {
  let ground = element;
  while (parts(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const [dark, light] = [
    lightness(getComputedStyle(element).color),
    lightness(getComputedStyle(ground).backgroundColor),
  ].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};
const seen = [...document.body.querySelectorAll("*")].filter(
  element => element.checkVisibility() && !element.closest("svg")
    && [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()));
const faint = seen.filter(element => contrast(element) < 4.5);
return [seen.length, faint.map(element => `${element.outerHTML} ${contrast(element)}`)];
"""
