"""Loops, threads, schedulers, bots, scripts and the interactive interpreter."""

import re
from contextlib import closing

import pytest
from pages import blocks, shape
from waiting import eventually

# Who forgot, and where.
TOLD = r"thread 'job (\d+)', in no scope, .* taken at \S*/story.py:(\d+) in job"

# Each job executes the model's code anew, as the scheduler of the story did.
FRESH = """
import importlib.util

def fresh(name):
    spec = importlib.util.spec_from_file_location(name, f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""

# pyTelegramBotAPI with Telegram's end cut off: its updates, its threads, its replies.
BOT = """
import sys, time, telebot
from telebot.types import Update

replies = []

def send(method, url, params=None, **kwargs):
    replies.append(params["text"])
    raise telebot.apihelper.ApiException("sent", method, None)

telebot.apihelper.CUSTOM_REQUEST_SENDER = send
import bot
from model import add, manager

@bot.bot.message_handler(commands=["fail"])
@manager.scope("/fail")
def fail(message):
    add("never committed")
    1 / 0

class Silent(telebot.ExceptionHandler):
    def handle(self, exception):
        return True

bot.bot.exception_handler = Silent()

def update(number, text):
    chat = {"id": 1, "type": "private", "first_name": "Ann"}
    entity = {"offset": 0, "length": len(text.split()[0]), "type": "bot_command"}
    message = {"message_id": number, "date": 0, "chat": chat, "from": {**chat, "is_bot": False}}
    message |= {"text": text, "entities": [entity]}
    return Update.de_json({"update_id": number, "message": message})

texts = ["/note milk", "/fail"] * 20
bot.bot.process_new_updates([update(n, text) for n, text in enumerate(texts)])
deadline = time.monotonic() + 300
while len(replies) < 20 and time.monotonic() < deadline:
    time.sleep(0.05)
with manager.scope("look"):
    print(len(replies), "replies,", bot.count().fetchone()[0], "notes", flush=True)
time.sleep(1000)
"""

# What the one who found the leak typed, and what was on the server then.
INTERACTIVE = """
from model import manager, Raw
def foo():
    r = Raw("SELECT count(*) AS cnt FROM pg_stat_activity")
    return r()

foo()
foo()
len(manager.status()), "sessions"
manager.cleanup()
[entry.state for entry in manager.status()]
foo()
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("jobs")
    return project


def lines(log):
    """The lines that are whole."""
    return log.read_text().split("\n")[:-1]


@pytest.mark.parametrize("program", ["loop.py", "scheduler.py"])
def test_between_two_jobs_no_session_is_in_a_transaction(project, sessions, program):
    with project.start(program) as (process, log):
        eventually(lambda: lines(log).count("0") >= 10 or process.poll() is not None)
        assert lines(log)[:10] == ["0"] * 10
        assert sessions.are_free()
        assert sessions.are_kept(5)
        process.kill()
    assert sessions.are_gone()


def test_a_job_that_fails_is_rolled_back_and_the_scheduler_goes_on(project, sessions):
    failing = (project.folder / "scheduler.py").read_text().replace("print(", "1 / print(")
    project.write("failing.py", failing.replace("def count_notes():", "def count_notes():\n    1"))
    with project.start("failing.py") as (process, log):
        eventually(lambda: lines(log).count("0") >= 10 or process.poll() is not None)
        assert lines(log).count("0") >= 10, log.read_text()
        assert sessions.are_free()
        process.kill()


def test_threads_and_futures_give_back_what_they_took(project, sessions):
    project.run("pool.py")
    assert sessions.are_gone()
    assert project.run("-c", "from model import *; print(count().fetchone()[0])") == "101\n"


@pytest.mark.parametrize("imports", ["importlib.import_module", "fresh"])
def test_a_thousand_forgetful_threads_do_not_run_the_pool_dry(project, sessions, imports):
    page = (project.folder / "forgetful.py").read_text()
    story = FRESH + page.replace("importlib.import_module", imports)
    line = story.splitlines().index('        model.add(f"job {number}")') + 1
    project.write("story.py", f"{story}\nprint('all done', flush=True)\ninput()")
    with project.start("story.py") as (process, log):
        eventually(lambda: "all done" in lines(log) or process.poll() is not None)
        assert "all done" in lines(log), log.read_text()[-2000:]
        assert sessions.are_free()
        assert sessions.are_kept(5)
        (warning,) = blocks("docs/frameworks/jobs.rst", "text")
        assert re.search(shape(warning.text), log.read_text())
        told = re.findall(TOLD, log.read_text())
        assert {int(number) for number, _ in told} == set(range(1000))
        assert {where for _, where in told} == {str(line)}
    assert sessions.are_gone()


def test_the_handlers_of_a_bot_share_no_connection(project, sessions):
    project.environment["BOT_TOKEN"] = "1:abc"
    project.write("drive.py", BOT)
    with project.start("drive.py") as (process, log):
        eventually(lambda: lines(log) or process.poll() is not None)
        assert lines(log) == ["20 replies, 20 notes"]
        assert sessions.are_free()
        assert sessions.are_kept(5)
        process.kill()
    assert sessions.are_gone()


def test_a_listener_hears_of_notes_also_after_its_session_was_ended(
    project, sessions, server, database
):
    with project.start("listener.py") as (process, log), closing(server.connect(database)) as link:
        cursor = link.cursor()

        def heard(body):
            cursor.execute("SELECT pg_notify('note', %s)", [body])
            return f"new: {body}" in lines(log) or process.poll() is not None

        eventually(lambda: heard("milk"))
        assert "new: milk" in lines(log), log.read_text()
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        eventually(lambda: heard("eggs"))
        assert "new: eggs" in lines(log), log.read_text()
        assert "listen again after:" in log.read_text()
        assert sessions.are_free()
        process.kill()


def test_a_script_leaves_nothing(project, sessions):
    project.run("script.py")
    assert sessions.are_gone()


def test_the_interactive_interpreter_leaves_nothing(project, sessions):
    printed = project.run("-i", "-q", typed=INTERACTIVE)
    assert "(1, 'sessions')" in printed
    assert "['idle']" in printed
    assert sessions.are_gone()
