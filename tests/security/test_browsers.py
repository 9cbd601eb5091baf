"""What browsers are told of the pages of an application in production, and what they then do."""

import re

import pytest
from production import ask, production
from projects import ENGINES, Visitor, served

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium").By


@pytest.fixture(scope="module", params=ENGINES)
def address(tmp_path_factory, server, request):
    project = production(
        tmp_path_factory.mktemp(request.param), server, f"template_engine={request.param}"
    )
    with served(project, "production.ini") as address:
        yield address


@pytest.mark.parametrize("path", ["/", "/notes", "/nowhere", "/style.css"])
def test_each_answer_has_the_headers(address, path):
    headers = ask(address, path)[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")


def test_the_pages_keep_their_own_policy(browser, address):
    browser.get_log("browser")
    browser.get(address)
    browser.get(address + "/notes")
    browser.find_element(By.NAME, "title").send_keys("Milk")
    browser.find_element(By.CSS_SELECTOR, "#add-note button").click()
    assert browser.find_element(By.CSS_SELECTOR, ".notes h2").text == "Milk"
    assert browser.get_log("browser") == []
    # It is a policy: what stands in the page is not run.
    browser.execute_script(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))"
    )
    assert browser.execute_script("return window.ran") is None


def test_the_cookie_of_a_session_goes_by_https_alone_and_is_not_for_scripts(address):
    cookie = ask(address, "/notes")[1]["Set-Cookie"].lower()
    assert "; secure" in cookie and "; httponly" in cookie and "; samesite=lax" in cookie


def test_the_first_page_shows_neither_versions_nor_the_requests_of_others(address):
    page = Visitor(address).get("/")
    assert "HelloWorld is running" in page
    assert "GET /" not in page and "Pylons " not in page and not re.search(r"\d+\.\d+", page)
