"""The debugger runs code for its developer, and for no page that the developer visits."""

import re
from urllib.parse import quote

import pytest
from browsing import as_soon_as_possible
from production import ask
from projects import paster, served
from support import PATIENCE

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium").By

# What a link on another page could carry: it finds the console's secret, and has a file written.
ATTACK = """</textarea>--></title><script>
  window.attacked = true;
  const frame = document.querySelector(".frame").id.substring(6);
  fetch(`?__debugger__=yes&cmd=${encodeURIComponent("open('FILE', 'w')")}&frm=${frame}&s=${SECRET}`)
    .finally(() => document.title = "attacked");
</script><img src=x onerror="window.attacked = true" title="'">"""


def console(text):
    """The frame and the secret of a debugger's page."""
    frame = re.findall(r'id="frame-(\d+)"', text)[-1]
    return {"frm": frame, "s": re.search(r'SECRET = "(\w+)"', text)[1]}


def evaluation(text, command="7 * 1000003"):
    """The path that evaluates an expression in the last frame of a debugger's page."""
    page = console(text)
    return f"/?__debugger__=yes&frm={page['frm']}&s={page['s']}&cmd={quote(command)}"


def failing(text="x"):
    return f"/failing/number?text={quote(text)}"


@pytest.fixture
def attack(tmp_path):
    return ATTACK.replace("FILE", str(tmp_path / "written"))


def test_a_link_with_a_script_in_it_runs_nothing(browser, address, attack, tmp_path):
    browser.get(address + failing(attack))
    # The debugger's own script is through once it has put this in place of the textarea.
    plain = browser.find_element(By.CSS_SELECTOR, ".plain pre")
    assert attack in plain.get_attribute("textContent")
    assert browser.execute_script("return window.attacked") is None
    assert "invalid input syntax for type bigint" in browser.title
    assert not (tmp_path / "written").exists()


def test_a_text_that_leaves_an_attribute_gets_none_of_its_own(browser, address):
    browser.get(address + failing('" onmouseover="window.attacked = true" data-x="'))
    browser.find_element(By.CSS_SELECTOR, ".plain pre")
    assert "onmouseover=" in browser.find_element(By.CSS_SELECTOR, "li[title]").get_attribute(
        "title"
    )
    assert browser.execute_script("return document.querySelectorAll('[onmouseover]').length") == 0


def test_a_script_that_gets_into_the_page_all_the_same_is_not_run(browser, address):
    browser.get(address + failing())
    browser.find_element(By.CSS_SELECTOR, ".plain pre")
    browser.execute_script(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.attacked = true'}));"
        "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.attacked = true\">')"
    )
    browser.execute_script("document.querySelector('body > b').click()")
    assert browser.execute_script("return window.attacked") is None


def test_the_console_evaluates_in_a_frame_and_shows_html_as_text(browser, address):
    browser.get(address + failing())
    frame = browser.find_elements(By.CSS_SELECTOR, ".frame")[-1]
    browser.execute_script(
        "arguments[0].click()", frame.find_element(By.CSS_SELECTOR, "img[title*=shell]")
    )
    command = frame.find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".console input")
    for text, shown in (("7 * 1000003", "7000021"), ("chr(60) + 'b id=bold>x'", "<b id=bold>x")):
        as_soon_as_possible(browser, lambda text=text: command.send_keys(text + "\n"))
        browser.find_element(
            By.XPATH, f"//*[contains(@class, 'output')]//span[contains(., '{shown}')]"
        )
    browser.implicitly_wait(0)
    assert browser.find_elements(By.ID, "bold") == []
    browser.implicitly_wait(PATIENCE)


def test_no_other_page_can_frame_it_or_read_it(address):
    _, headers, page = ask(address, failing())
    policy = headers["Content-Security-Policy"]
    (nonce,) = re.findall(r"script-src 'nonce-([\w-]+)';", policy)
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert set(re.findall("<script ([^ ]*)", page)) == {f'nonce="{nonce}"'}
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert nonce not in ask(address, failing())[2]
    # What the console answers is HTML, too.
    _, headers, answer = ask(address, evaluation(page))
    assert "7000021" in answer
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")


def test_without_the_secret_nothing_is_evaluated(address):
    right = evaluation(ask(address, failing())[2])
    wrong = re.sub("&s=.", "&s=_", right)
    for path in (wrong, re.sub("&s=[^&]*", "", right), right.replace("frm=", "frm=1")):
        assert "7000021" not in ask(address, path)[2]
    assert "7000021" in ask(address, right)[2]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.evil.example:5000"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.0.2.7"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"X_Forwarded_Server": "www.example"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X_Real_IP": "127.0.0.1"},
        {"True_Client_IP": "127.0.0.1"},
        {"X_Azure_ClientIP": "127.0.0.1"},
        {"X_Envoy_External_Address": "127.0.0.1"},
        {"Host": "evil.example/.localhost"},
        {"Host": "[localhost]evil.example"},
    ],
)
def test_who_may_be_somebody_else_gets_no_traceback_and_no_console(address, headers):
    evaluate = evaluation(ask(address, failing())[2])
    status, _, page = ask(address, failing("geheim"), **headers)
    assert status == 500
    assert "geheim" not in page and "SECRET" not in page and "Traceback" not in page
    assert "its traceback is in the log" in page
    assert "7000021" not in ask(address, evaluate, **headers)[2]
    assert "7000021" in ask(address, evaluate)[2]


@pytest.mark.parametrize("host", ["localhost:5000", "app.localhost", "127.0.0.1", "[::1]:5000"])
def test_this_machine_has_several_names(address, host):
    assert "SECRET" in ask(address, failing(), Host=host)[2]


def test_a_visitors_text_makes_no_entry_in_the_log_and_moves_no_terminal(address, project):
    forged = "a\n2026-11-27 10:00:00.000 ERROR [x] GET http://forged/\r\x1b[31m\x9b31m\u2028\u202e"
    for action in ("number", "noted"):
        ask(address, f"/failing/{action}?text={quote(forged)}", Host="a\x85\x9b31m")
    log = (project / "serve.log").read_text()
    assert (
        log.count("\n  2026-11-27 10:00:00.000 ERROR [x] GET http://forged/\\r\\x1b[31m\\x9b31m")
        == 2
    )
    assert "\n2026-11-27 10:00" not in log
    assert not set("\r\x1b\x85\x9b\u2028\u202e").intersection(log)


def test_debug_off_in_the_applications_section_alone_is_refused(project):
    ini = project / "contradiction.ini"
    text = (project / "development.ini").read_text()
    ini.write_text(text.replace("full_stack = true", "full_stack = true\ndebug = false"))
    done = paster("serve", ini.name, cwd=project)
    assert done.returncode != 0
    assert f"{ini}: debug is true in [DEFAULT] and false in [app:main]" in done.stdout
    assert "Traceback" not in done.stdout


def test_debug_on_in_the_applications_section_alone_is_refused(project):
    ini = project / "contradiction.ini"
    text = (project / "development.ini").read_text()
    ini.write_text(
        text.replace("debug = true", "debug = false", 1).replace(
            "full_stack = true", "full_stack = true\ndebug = true"
        )
    )
    done = paster("serve", ini.name, cwd=project)
    assert done.returncode != 0
    assert "debug is false in [DEFAULT] and true in [app:main]" in done.stdout


def test_the_setting_says_who_else_gets_the_debugger_but_by_no_name(project):
    # In a container the developer's browser has another address than 127.0.0.1.
    ini = project / "elsewhere.ini"
    text = (project / "development.ini").read_text()
    ini.write_text(
        text.replace("debug = true", "debug = true\ndebug_from = 127.0.0.1 10.0.0.0/8", 1)
    )
    with served(project, ini.name) as address:
        assert "SECRET" in ask(address, failing(), Host="192.0.2.7:5000")[2]
        assert "SECRET" not in ask(address, failing(), Host="app.example")[2]
    ini.write_text(text.replace("debug = true", "debug = true\ndebug_from = 10.0.0.0/8", 1))
    with served(project, ini.name) as address:
        assert "not shown to 127.0.0.1" in ask(address, failing())[2]
