"""Apache with mod_wsgi and with mod_python, as the page on deployment configures them."""

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from apache import (
    apache,
    environment_for_debian,
    folder_for_all,
    give_to_apache,
    needs,
    restart_gracefully,
)
from projects import Visitor, change, create, paster, run
from psycopg2.extensions import make_dsn, parse_dsn
from serving import Probe, on_page, visitors, with_changes
from support import free_port, until

pytestmark = pytest.mark.slow(seconds=20)

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

    def slow(self, id):
        Raw("SELECT pg_sleep(%s)", ["seconds"])(float(id))
        return str(os.getpid())

    def wait(self):
        Raw("SELECT pg_advisory_xact_lock_shared(1)")()
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
        dsn = for_debian(server.create_database())
        change(project / "production.ini", "simpycity.dsn", dsn)
        give_to_apache(project / "production.ini", dsn)
        # By the paster of Apache's Python, which also leaves Pylons translated for its processes.
        set_up = run(
            str(python_home / "bin" / "paster"), "setup-app", "production.ini", cwd=project
        )
        assert set_up.returncode == 0, set_up.stderr
        (project / "data").mkdir()
        (project / "data").chmod(0o777)
        witness = server.connect(parse_dsn(dsn)["dbname"])
        probe = Probe(free_port(), dsn, witness)
        configuration = with_changes(
            on_page("mod_wsgi.conf"),
            {"/srv/venv": str(python_home), "/srv/helloworld": str(project)},
        )
        with apache("wsgi", configuration, folder, probe) as pid:
            yield probe, pid, project
        witness.close()


def for_debian(dsn):
    """The DSN without what the libpq of Debian's Python does not know."""
    return make_dsn(**{k: v for k, v in parse_dsn(dsn).items() if k != "require_auth"})


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
    probe, _, _ = site
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
    probe, _, _ = site
    with probe.under_way("trouble/wait", 12, sessions=12) as requests:
        assert not any(request.done() for request in requests)
    # None has more than eight threads.
    assert len({request.result() for request in requests}) > 1
    probe.wait_for_quiet(at_most=3 * 5)


@needs("wsgi")
def test_new_code_is_loaded_under_load_and_no_request_is_lost(site):
    probe, _, project = site
    program, argument = shlex.split(on_page("reload").removeprefix("$ "))
    assert (program, argument) == ("touch", "/srv/helloworld/wsgi.py")
    processes, written = [], []
    before = probe.ask("SELECT count(*) FROM note")[0]

    def visit():
        processes.append(probe.get("trouble/forget"))
        write_note(probe)
        written.append("kept")

    with ThreadPoolExecutor(1) as patient:
        with visitors(visit, 6) as failures:
            until(lambda: processes or failures)
            # Longer than mod_wsgi waits unless it is told to.
            long_request = patient.submit(probe.get, "trouble/slow/8")
            for _ in range(4):
                known = set(processes)
                (project / "wsgi.py").touch()
                until(lambda known=known: set(processes) - known or failures)
        assert long_request.result().isdigit()
    assert failures == []
    assert probe.ask("SELECT count(*) FROM note") == [before + len(written)]
    probe.wait_for_quiet(at_most=3 * 5)


@needs("wsgi")
def test_a_graceful_restart_of_apache_ends_no_request_and_leaves_no_session(site):
    probe, httpd, project = site
    (socket,) = until(lambda: [*project.parent.glob("wsgi.*.sock")])
    with probe.under_way("trouble/wait", 6, sessions=6) as requests:
        restart_gracefully(httpd)
        # It waits for its processes now, before it starts others.
        until(lambda: not socket.exists())
    old = {request.result() for request in requests}
    # Until it has started them it answers with 503.
    until(lambda: any(project.parent.glob("wsgi.*.sock")))
    assert probe.get("trouble/forget") not in old
    probe.wait_for_quiet(at_most=5)


@needs("python")
def test_a_module_imported_again_and_again_under_load_leaves_no_session(server, python_home):
    dsn = for_debian(server.create_database())
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
        answers, most = [], 0

        with apache("python", configuration, folder, probe):
            with visitors(lambda: answers.append(probe.get("")), 4) as failures:
                for version in range(1, 51):
                    edit(version)
                    until(lambda version=version: answers and newest() == version or failures)
                    most = max(most, len(probe.sessions()))
            assert failures == []
            # One a process, and of these there may be twenty.
            assert most <= 20
            probe.wait_for_quiet(at_most=20)
    witness.close()
