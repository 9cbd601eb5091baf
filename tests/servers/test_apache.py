"""Apache with mod_wsgi and with mod_python, as the page on deployment configures them."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from apache import apache, environment_for_debian, folder_for_all, needs, restart_gracefully
from projects import Visitor, change, create, free_port, paster, set_up, wait_until
from psycopg2.extensions import parse_dsn
from serving import Probe, on_page, with_changes

TROUBLE = """
import os

from simpycity.core import Raw

from helloworld.lib.base import BaseController
from helloworld.model import notes


class TroubleController(BaseController):
    def fail(self):
        notes.add("failed", "")
        raise ZeroDivisionError

    def forget(self):
        notes.add("forgotten", "")
        return str(os.getpid())

    def slow(self):
        Raw("SELECT pg_sleep(0.3)")()
        return str(os.getpid())
"""


@pytest.fixture(scope="module")
def python_home():
    """What the applications are installed in."""
    with folder_for_all() as folder:
        yield environment_for_debian(folder)


@pytest.fixture(scope="module")
def site(server, python_home):
    """The generated application, in an Apache of its own; also Apache's process."""
    with folder_for_all() as folder:
        project = create(folder, "HelloWorld")
        (project / "helloworld" / "controllers" / "trouble.py").write_text(TROUBLE)
        (project / "wsgi.py").write_text(on_page("wsgi.py"))
        assert paster("make-config", "HelloWorld", "production.ini", cwd=project).returncode == 0
        dsn = server.create_database()
        change(project / "production.ini", "simpycity.dsn", dsn)
        set_up(project, "production.ini")
        (project / "data").mkdir()
        (project / "data").chmod(0o777)
        witness = server.connect(parse_dsn(dsn)["dbname"])
        probe = Probe(free_port(), dsn, witness)
        configuration = with_changes(
            on_page("mod_wsgi.conf"),
            {"/srv/venv": str(python_home), "/srv/helloworld": str(project)},
        )
        with apache("wsgi", configuration, folder, probe) as pid:
            yield probe, pid
        witness.close()


def write_note(probe):
    visitor = Visitor(probe.address)
    visitor.get("/notes")
    visitor.post("/notes", title="kept", body="", **visitor.token())
    assert visitor.status == 200, visitor.text


def read_notes(probe):
    assert b"</html>" in probe.get("notes")


def fail(probe):
    with pytest.raises(HTTPError, match="500"):
        probe.get("trouble/fail")


def forget(probe):
    assert probe.get("trouble/forget").isdigit()


def hang_up(probe):
    probe.leave_half_way("notes")


@needs("wsgi")
def test_after_load_no_process_has_a_session_left_in_a_transaction(site):
    probe, _ = site
    kinds = [write_note, read_notes, fail, forget, hang_up, fail]
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(kinds[n % 6], probe) for n in range(72)]:
            done.result()
    # Three processes with what a pool keeps.
    probe.wait_for_quiet(at_most=3 * 5)
    assert probe.ask("SELECT DISTINCT title FROM note") == ["kept"]
    assert probe.ask("SELECT count(*) FROM note") == [12]


@needs("wsgi")
def test_each_process_has_sessions_of_its_own(site):
    probe, _ = site
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(probe.get, ["trouble/slow"] * 24))
    assert len(set(answers)) > 1
    probe.wait_for_quiet(at_most=3 * 5)


@needs("wsgi")
def test_a_graceful_restart_breaks_no_request_and_leaves_no_session(site):
    probe, httpd = site
    stop = threading.Event()
    processes, failures = [], []

    def visit():
        while not stop.is_set():
            try:
                processes.append(probe.get("trouble/slow"))
            except HTTPError as error:
                # mod_wsgi turns away, before the application sees it, what was on its way to a
                # process that the restart has replaced.
                if error.code != 503:
                    failures.append(error)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=visit) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(processes) > 6)
        before = set(processes)
        restart_gracefully(httpd)
        wait_until(lambda: len(set(processes) - before) >= 1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    probe.wait_for_quiet(at_most=3 * 5)


@needs("python")
def test_a_module_imported_again_and_again_under_load_leaves_no_session(server, python_home):
    dsn = server.create_database()
    witness = server.connect(parse_dsn(dsn)["dbname"])
    probe = Probe(free_port(), dsn, witness)
    with folder_for_all() as folder:
        configuration = with_changes(
            on_page("mod_python.conf"),
            {"/srv/venv": str(python_home), "/srv/helloworld": str(folder)},
        )
        pages = with_changes(on_page("pages.py"), {'"dbname=helloworld"': repr(dsn)})
        module = folder / "pages.py"

        def edit(version):
            """Change the module, and with it what it answers."""
            text = with_changes(pages, {"write(str(": f'write("{version} " + str('})
            new = folder / "new"
            new.write_text(text)
            # It is newer, also where the clock is coarse.
            os.utime(new, (version, version))
            new.rename(module)

        def newest():
            return max(int(answer.split()[0]) for answer in answers[-20:])

        reloading = with_changes(on_page("reloading.py"), {"/srv/helloworld": str(folder)})
        (folder / "reloading.py").write_text(reloading)
        edit(0)
        stop = threading.Event()
        answers, failures, most = [], [], 0

        def visit():
            while not stop.is_set():
                try:
                    answers.append(probe.get(""))
                except Exception as error:
                    failures.append(error)

        with apache("python", configuration, folder, probe):
            threads = [threading.Thread(target=visit) for _ in range(4)]
            for thread in threads:
                thread.start()
            try:
                for version in range(1, 51):
                    edit(version)
                    wait_until(lambda version=version: answers and newest() == version or failures)
                    most = max(most, len(probe.sessions()))
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert failures == []
            # One a process, and of these there may be twenty.
            assert most <= 20
            probe.wait_for_quiet(at_most=20)
    witness.close()
