"""What only uWSGI does."""

from dataclasses import replace

from configurations import SERVERS, uwsgi


def test_workers_share_nothing_with_their_master_also_without_uwsgidecorators(serve):
    configuration = SERVERS["uWSGI"]
    files = {**configuration.files, "uwsgidecorators.py": "raise ImportError"}
    with serve(replace(configuration, files=files)) as probe:
        answers = probe.at_once(12)
        (master,) = {answer["at_start"]["process"] for answer in answers}
        (session,) = {answer["at_start"]["session"] for answer in answers}
        # Each of the two workers has eight threads.
        assert len({answer["process"] for answer in answers} - {master}) == 2
        assert len({answer["first"] for answer in answers} - {session}) == 12
        assert session in probe.sessions("state = 'idle'")


def test_workers_without_a_master_share_no_session(serve):
    # The first of them is the process that has loaded the application.
    with serve(uwsgi({"master = true\n": ""})) as probe:
        owner = {}
        for answer in probe.at_once(12):
            assert owner.setdefault(answer["first"], answer["process"]) == answer["process"]
        assert len(owner) == 12
        assert len(set(owner.values())) == 2
