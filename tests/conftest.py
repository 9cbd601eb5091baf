"""A real PostgreSQL for the tests: one server a run, a fresh database for whoever asks."""

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import simpycity.config
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import DirectoryBasedExampleDatabase
from packages import kept
from projects import create
from psycopg2.extensions import connection, make_dsn, parse_dsn
from sdist import unpack
from support import PATIENCE, in_memory

from simpycity_template import Manager, get_manager

# What is collected here is no garbage: to look for any takes a seventh of the time, and with
# freeze() below it is not looked at again, whenever a test or Python looks for garbage.
gc.disable()

# Where a shell has started us in the background, Ctrl-C is ignored, and it would be in the
# processes that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Some machines set this for all that runs on them. Pylons would then be translated again in each
# process that the tests start, which is most of what those do.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Nor does everybody set this: what a program of a test prints comes when it is flushed, everywhere.
os.environ.pop("PYTHONUNBUFFERED", None)

# What Hypothesis knows of Unicode takes it three seconds of each process.
set_hypothesis_home_dir(kept("hypothesis"))

# No example fails because the machine is busy.
hypothesis_settings.register_profile(
    "tests",
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("tests")

# A test that uses one of these starts a process, or waits for the network.
FROM_OUTSIDE = {"browser", "pylons_sources", "server"}


COLLECTED_LAST = Path(__file__).with_name("testing") / "__pycache__"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Where nothing is compiled yet, let one process of a run compile what all of them import."""
    if COLLECTED_LAST.exists():
        return (yield)
    with open(__file__) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Until the first has collected; the others go on together.
            fcntl.flock(lock, fcntl.LOCK_SH)
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server or a browser, and order their files.

    The slowest file is first, and those that start no process are last: so the processes of
    `make test` end together.
    """
    places: dict[Path, tuple[float, bool]] = {}
    for item in items:
        if FROM_OUTSIDE.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("process")
        slow = item.get_closest_marker("slow")
        seconds = slow.kwargs.get("seconds", 10) if slow else 0
        place = (-seconds, item.get_closest_marker("process") is None)
        places[item.path] = min(place, places.get(item.path, place))
    items.sort(key=lambda item: places[item.path])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Where all tests that start a process are left out, let none of the others start one."""
    gc.enable()
    gc.freeze()
    if "not process" in session.config.option.markexpr:
        sys.addaudithook(_refuse_processes)


def _refuse_processes(event: str, arguments: tuple[Any, ...]) -> None:
    # Hypothesis and others start processes between the tests.
    in_test = "PYTEST_CURRENT_TEST" in os.environ
    if in_test and event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        raise RuntimeError("a test that starts a process is marked: @pytest.mark.process")


HOLD_SERVER = """
import sys
from simpycity_template import embedded
print(embedded.dsn(sys.argv[1], "postgres"), flush=True)
sys.stdin.read()
"""


# A transaction that is rolled back counts, too, and a session is counted before it is gone.
UNTOUCHED = """
SELECT tup_inserted + tup_updated + tup_deleted = 0
       AND datconnlimit = -1 AND datacl IS NULL
       AND pg_get_userbyid(datdba) = current_user
       AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = oid)
       AND NOT EXISTS (SELECT FROM pg_stat_activity AS session WHERE session.datid = oid)
  FROM pg_database JOIN pg_stat_database AS counted ON counted.datid = oid
 WHERE pg_database.datname = %s
"""


class Server:
    """The embedded server of this run."""

    def __init__(self, admin_dsn: str) -> None:
        self.admin_dsn = admin_dsn
        self._numbers = count(1)
        self._link = self.connect()
        self._given_back: deque[str] = deque()

    def connect(self, database: str = "postgres") -> connection:
        """Open a superuser's autocommit connection; the caller closes it."""
        link = psycopg2.connect(make_dsn(self.admin_dsn, dbname=database))
        link.autocommit = True
        return link

    def create_database(self) -> str:
        """Create an empty database with a name of its own, and return its DSN."""
        name = f"test_{next(self._numbers)}"
        with self._link.cursor() as cursor:
            # The other way writes all that is copied into the log, which takes several times as long.
            cursor.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return make_dsn(self.admin_dsn, dbname=name)

    def borrow_database(self) -> str:
        """Return the DSN of an empty database: of one given back as it was, or of a new one.

        To create one, and to fill the caches for it, takes longer than most tests.
        """
        # The sessions of the one given back last may be about to end.
        if len(self._given_back) > 1:
            dsn = self._given_back.popleft()
            if self._is_untouched(dsn):
                return dsn
            self._drop_database(dsn)
        return self.create_database()

    def give_back_database(self, dsn: str) -> None:
        """Say that the test which has borrowed a database has ended."""
        self._given_back.append(dsn)

    def _is_untouched(self, dsn: str) -> bool:
        """Tell whether nothing was ever written into a database, and no session is there."""
        try:
            with self._link.cursor() as cursor:
                cursor.execute(UNTOUCHED, [parse_dsn(dsn)["dbname"]])
                return cursor.fetchone() == (True,)
        except psycopg2.OperationalError:
            # After a crash the server counts from zero.
            self._given_back.clear()
            self._link = self.connect()
            return False

    def _drop_database(self, dsn: str) -> None:
        """Drop a database, and end the sessions that a test has left there."""
        with self._link.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {parse_dsn(dsn)['dbname']} WITH (FORCE)")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The embedded server of this run."""
    # Not in tmp_path, whose parents each new run of pytest closes to others than root. Started by
    # a process of its own, so that it stops before its directory is deleted.
    with tempfile.TemporaryDirectory(prefix="simpycity-tests-", dir=in_memory()) as directory:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_SERVER, directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        server = Server(holder.stdout.readline().strip())
        _suit_tests(server)
        yield server
        holder.communicate()
        with open(Path(directory, "keeper.lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


def _suit_tests(server: Server) -> None:
    """Let the server spend no time on hundreds of databases that nobody keeps."""
    link = server.connect()
    with link.cursor() as cursor:
        # To flush them takes a minute.
        cursor.execute("ALTER SYSTEM SET fsync = off")
        # Its workers visit one database after the other, and would be counted as sessions there.
        cursor.execute("ALTER SYSTEM SET autovacuum = off")
        cursor.execute("SELECT pg_reload_conf()")
    link.close()


@pytest.fixture(scope="session", autouse=True)
def other_pytests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the pytests that tests start away from our folders and our plugins.

    They would close pytest's common folder to all but its owner; where that is root, also to the
    account of the servers that run in it. Our plugins are not those of a user, and to load them
    takes longer than all the rest of a short run. Nor are they workers of our run.
    """
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path_factory.mktemp("pytest"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """The DSN of a fresh, empty database."""
    dsn = server.borrow_database()
    yield dsn
    server.give_back_database(dsn)


@pytest.fixture
def witness(server: Server) -> Iterator[connection]:
    """A superuser's autocommit connection beside the tested ones, to look at pg_stat_activity."""
    link = server.connect()
    yield link
    link.close()


@pytest.fixture(scope="session")
def pylons_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of Pylons 1.0.1, which has the test suite and the documentation."""
    return unpack("Pylons", "1.0.1", tmp_path_factory.mktemp("pylons_sources"))


@pytest.fixture
def read(pylons_sources: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a chapter of Pylons' documentation, for a reader in an empty folder."""
    # They load much that no other tests need.
    from chapters import Chapter, Reader, imports_as_before

    def read(name: str, package: str, *rules: Any) -> Reader:
        source = pylons_sources / "pylons" / "docs" / "en" / f"{name}.rst"
        return Reader(Chapter(source, rules), tmp_path, package)

    with imports_as_before():
        yield read


_manager_numbers = count(1)
_simpycitys_own = simpycity.config.handle_factory


@pytest.fixture
def make_manager(dsn: str) -> Iterator[Callable[..., Manager]]:
    """Makes managers of the fresh database; settings are given without their prefix.

    Each has a name of its own where none is given.

    The manager made last is Simpycity's handle factory until the test ends.
    """
    made = []
    factory = simpycity.config.handle_factory
    # An application that another test has loaded keeps its manager there.
    simpycity.config.handle_factory = _simpycitys_own

    def make(name: str = "", default: bool = True, **settings: object) -> Manager:
        manager = get_manager(name or f"test {next(_manager_numbers)}")
        given = {"dsn": dsn, "pool_timeout": PATIENCE, **settings}
        config = {f"simpycity.{key}": value for key, value in given.items()}
        manager.configure(config, default=default)
        made.append(manager)
        return manager

    yield make
    simpycity.config.handle_factory = factory
    for manager in made:
        manager.cleanup()
        manager.dispose()


@pytest.fixture
def manager(make_manager: Callable[..., Manager]) -> Manager:
    """A manager of the fresh database, as Simpycity's handle factory."""
    return make_manager()


CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it was created; tests copy it."""
    return create(tmp_path_factory.mktemp("made"), "HelloWorld")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium; what its console says is kept."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in [*CHROMIUM, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.implicitly_wait(PATIENCE)
    yield browser
    browser.quit()


@pytest.fixture
def screenshot(browser: Any) -> Callable[[str], None]:
    """Keeps a picture of the page for the documentation, in a run with SCREENSHOTS=docs/images."""

    def keep(name: str) -> None:
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            # Another test may have left the browser dark, or another size.
            light = {"name": "prefers-color-scheme", "value": "light"}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [light]})
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            browser.set_window_size(1100, 1000)
            browser.save_screenshot(str(Path(folder, f"{name}.png")))

    return keep
