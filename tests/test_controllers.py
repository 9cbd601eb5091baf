"""The controller base class: whatever a derived class does with ``__call__``, nothing stays open."""

import pytest
import simpycity.config
from paste.registry import RegistryManager
from pylons.controllers import WSGIController
from pylons.testutil import ControllerWrap, SetupCacheGlobal
from support import backend, in_use
from webtest import TestApp

from simpycity_template.controllers import BaseController

ENVIRON = {"pylons.routes_dict": {"action": "index"}}


def get(controller):
    """The page of a controller, as Pylons asks it for one."""
    application = SetupCacheGlobal(ControllerWrap(controller), ENVIRON)
    return TestApp(RegistryManager(application)).get("/notes", extra_environ=ENVIRON).text


class Notes(BaseController):
    def __before__(self):
        self.sessions = [backend()]

    def index(self):
        self.sessions.append(backend())
        (entry,) = in_use(self.manager)
        return f"{entry.label}, sessions: {len(set(self.sessions))}"


def calls_super(self, environ, start_response):
    return super(type(self), self).__call__(environ, start_response)


def calls_pylons(self, environ, start_response):
    return WSGIController.__call__(self, environ, start_response)


def queries_before(self, environ, start_response):
    self.first = backend()
    body = calls_pylons(self, environ, start_response)
    assert backend() == self.first == self.sessions[0]
    return body


@pytest.mark.parametrize("call", [None, calls_super, calls_pylons, queries_before])
def test_all_that_a_controller_does_is_in_one_scope_that_ends(manager, call):
    methods = {"__call__": call} if call else {}
    controller = type("NotesController", (Notes,), {"manager": manager, **methods})
    assert get(controller) == "GET /notes, sessions: 1"
    assert in_use(manager) == []


def test_a_class_between_may_have_a_call_of_its_own(manager):
    base = type("Base", (Notes,), {"manager": manager, "__call__": calls_pylons})

    class NotesController(base):
        def __call__(self, environ, start_response):
            self.first = backend()
            body = super().__call__(environ, start_response)
            assert self.sessions == [self.first] * 2
            return body

    assert get(NotesController) == "GET /notes, sessions: 1"
    assert in_use(manager) == []


def test_an_error_after_the_answer_frees_the_connection_too(manager):
    class NotesController(Notes):
        def __call__(self, environ, start_response):
            WSGIController.__call__(self, environ, start_response)
            backend()
            raise ZeroDivisionError

    NotesController.manager = manager
    with pytest.raises(ZeroDivisionError):
        get(NotesController)
    assert in_use(manager) == []


def test_without_a_manager_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(simpycity.config, "handle_factory", None)
    with pytest.raises(RuntimeError, match=r"^Notes has no manager: call get_manager\(name\)"):
        get(Notes)
