"""gunicorn's workers, as the page on deployment configures them."""

import pytest
from projects import wait_until
from psycopg2.extensions import parse_dsn
from serving import PROGRAMS, on_page, with_changes

pytest.importorskip("gunicorn", reason="the extra 'test' is not installed")

HERE = {'"wsgi:application"': '"probe:application"', "127.0.0.1:8000": "127.0.0.1:{port}"}
SYNC = {'"gthread"': '"sync"', "threads = 8": "threads = 1"}
WITHOUT_PRELOAD = {"preload_app = True": "preload_app = False"}
CONFIGURATIONS = {
    "sync": with_changes(on_page("gunicorn.conf.py"), HERE, SYNC),
    "gthread": with_changes(on_page("gunicorn.conf.py"), HERE),
    "gevent": with_changes(on_page("gunicorn_gevent.conf.py"), HERE),
    "gevent without preload": with_changes(
        on_page("gunicorn_gevent.conf.py"), HERE, WITHOUT_PRELOAD
    ),
}
PRELOADED = pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"], indirect=True)
CONCURRENT = pytest.mark.parametrize(
    "worker", ["gthread", "gevent", "gevent without preload"], indirect=True
)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def worker(request):
    return request.param


@pytest.fixture(scope="module")
def running_probe(serve, worker):
    files = {"gunicorn.conf.py": CONFIGURATIONS[worker]}
    with serve([str(PROGRAMS / "gunicorn")], files) as probe:
        yield probe


@pytest.fixture
def probe(running_probe):
    running_probe.forget_rows()
    return running_probe


@PRELOADED
def test_workers_do_not_touch_what_was_connected_before_they_were_forked(probe):
    answers = probe.in_turn(8)
    (master,) = {answer["at_start"]["process"] for answer in answers}
    (session,) = {answer["at_start"]["session"] for answer in answers}
    assert master not in {answer["process"] for answer in answers}
    assert session not in {answer["first"] for answer in answers}
    assert session in probe.sessions("state = 'idle'")


@CONCURRENT
def test_requests_at_the_same_time_have_scopes_of_their_own(probe):
    answers = probe.at_once(8)
    assert all(answer["first"] == answer["second"] for answer in answers)
    assert len({answer["first"] for answer in answers}) == 8
    # Two workers, so at least one of them had several at the same time.
    assert len({answer["process"] for answer in answers}) <= 2


def test_after_load_nothing_is_left_in_a_transaction(probe):
    kept = probe.load()
    # Of two workers what a pool keeps, and the one that the master opened.
    probe.wait_for_quiet(at_most=2 * 5 + 1)
    assert probe.rows() == {"kept": kept}


def test_a_worker_killed_in_a_request_leaves_no_session_and_no_row(probe):
    session = probe.kill_in_a_request()
    wait_until(lambda: session not in probe.sessions(), 10)
    assert probe.get("keep") == b"kept"
    assert probe.rows() == {"kept": 1}


def test_a_long_statement_ends_with_its_worker_where_the_server_looks(serve):
    (_, _, dsn) = on_page("check_interval").strip().partition(" = ")
    files = {"gunicorn.conf.py": CONFIGURATIONS["sync"]}
    # libpq's other way to say it: the database is another here.
    environment = {"PGOPTIONS": parse_dsn(dsn)["options"]}
    with serve([str(PROGRAMS / "gunicorn")], files, environment) as probe:
        session = probe.kill_in_a_request("hang?seconds=100")
        wait_until(lambda: session not in probe.sessions(), 25)
