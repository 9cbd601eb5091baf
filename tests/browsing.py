"""Works on a page in a browser."""

from collections.abc import Callable
from typing import Any

from support import PATIENCE


def as_soon_as_possible(browser: Any, work: Callable[[], Any]) -> Any:
    """Do ``work`` as soon as the page lets it be done, and return what it returns.

    Until its script has run, and its animations have ended, an element may be missing, hidden or
    covered: then the browser refuses the work, and nothing of it is done.
    """
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, PATIENCE, ignored_exceptions=[WebDriverException])
    return wait.until(lambda _: [work()])[0]
