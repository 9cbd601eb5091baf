"""uWSGI's workers, as the page on deployment configures them."""

import pytest
from projects import wait_until
from serving import PROGRAMS, on_page, with_changes

pytest.importorskip("pyuwsgi", reason="the extra 'test' is not installed")

HERE = {"wsgi:application": "probe:application", "127.0.0.1:8000": "127.0.0.1:{port}"}
COMMAND = [str(PROGRAMS / "uwsgi"), "uwsgi.ini"]
PREFORK = with_changes(on_page("uwsgi.ini"), HERE)
CONFIGURATIONS = {"prefork": PREFORK, "lazy-apps": PREFORK + "lazy-apps = true\n"}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def running_probe(serve, request):
    with serve(COMMAND, {"uwsgi.ini": CONFIGURATIONS[request.param]}) as probe:
        yield probe


@pytest.fixture
def probe(running_probe):
    running_probe.forget_rows()
    return running_probe


def test_requests_at_the_same_time_have_scopes_of_their_own(probe):
    answers = probe.at_once(12)
    assert all(answer["first"] == answer["second"] for answer in answers)
    assert len({answer["first"] for answer in answers}) == 12
    # Each of the two workers has eight threads.
    assert len({answer["process"] for answer in answers}) == 2


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


@pytest.mark.parametrize(
    "files",
    [{}, {"uwsgidecorators.py": "raise ImportError"}],
    ids=["with uwsgidecorators", "without uwsgidecorators"],
)
def test_workers_do_not_touch_what_was_connected_before_they_were_forked(serve, files):
    with serve(COMMAND, {"uwsgi.ini": PREFORK, **files}) as probe:
        answers = probe.at_once(12)
        (master,) = {answer["at_start"]["process"] for answer in answers}
        (session,) = {answer["at_start"]["session"] for answer in answers}
        assert master not in {answer["process"] for answer in answers}
        assert session not in {answer["first"] for answer in answers}
        assert session in probe.sessions("state = 'idle'")


def test_workers_without_a_master_share_no_session(serve):
    # The first of them is the process that has loaded the application.
    alone = with_changes(PREFORK, {"master = true\n": ""})
    with serve(COMMAND, {"uwsgi.ini": alone}) as probe:
        owner = {}
        for answer in probe.at_once(12):
            assert owner.setdefault(answer["first"], answer["process"]) == answer["process"]
        assert len(owner) == 12
        assert len(set(owner.values())) == 2
