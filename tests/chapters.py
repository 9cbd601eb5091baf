"""Types the snippets of Pylons' documentation into projects, as its reader would.

The documentation is fetched, and none of its text is kept here: a snippet is named by its chapter
and its number in it.
"""

import doctest
import gettext
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent, indent
from time import time
from typing import Any, NamedTuple

import pkg_resources
from docutils import nodes
from docutils.core import publish_doctree
from fissix.refactor import get_fixers_from_package
from paste.deploy import loadapp
from projects import python, run, served
from webtest import TestApp

from simpycity_template.pylons_py3.translation import to_python3

ALL_FIXERS = tuple(get_fixers_from_package("fissix.fixes"))


# What `paster create` is told, which asks for the template engine and for SQLAlchemy.
PLAIN, WITH_SQLALCHEMY = "\n\n", "\nTrue\n"

# What Pylons did by itself before 1.0, and the chapters still count on; in config/environment.py.
AS_BEFORE_1_0 = """config['pylons.strict_tmpl_context'] = False
config['pylons.tmpl_context_attach_args'] = True
"""


class Rule(NamedTuple):
    """What a reader changes in the snippets of a chapter, and why."""

    why: str
    old: str
    new: str


OF_THE_REQUEST = Rule("Since 1.0 only url.current() completes the request's own route.", "", "")


class Chapter:
    """The snippets of a chapter, by their numbers, corrected.

    Args:
        source: the chapter's file.
        rules: what is corrected; each must be of use.
    """

    def __init__(self, source: Path, rules: Sequence[Rule] = ()) -> None:
        settings = {"report_level": 5, "syntax_highlight": "none"}
        text = source.read_text(encoding="utf-8")
        self._snippets = [
            node.astext()
            for node in publish_doctree(text, settings_overrides=settings).findall(
                nodes.literal_block
            )
            # Directives that only Sphinx knows.
            if not isinstance(node.parent, nodes.system_message)
        ]
        self.rules = list(rules)
        self._needless = set(rules)
        self._seen: set[int] = set()

    def __getitem__(self, number: int) -> str:
        self._seen.add(number)
        text = self._snippets[number] + "\n"
        for rule in self.rules:
            if rule.old in text:
                self._needless.discard(rule)
                text = text.replace(rule.old, rule.new)
        return text

    def end(self, left_out: dict[str, Sequence[int]]) -> None:
        """Close the chapter: each snippet was used, or is left out for a reason.

        Args:
            left_out: the numbers of snippets, by the reason why nobody can type them.
        """
        numbers = [number for group in left_out.values() for number in group]
        assert sorted([*self._seen, *numbers]) == list(range(len(self._snippets)))
        assert not self._needless


class Reader:
    """Somebody who types what a chapter tells them, in a folder of their own.

    Args:
        chapter: what they read.
        folder: where they begin.
        package: the name of the project's package, once there is one.
    """

    def __init__(self, chapter: Chapter, folder: Path, package: str) -> None:
        self.chapter = chapter
        self.folder = folder
        self.package = package
        self._edits = 0

    def run(self, commands: int | str, **options: Any) -> None:
        """Type commands, of a snippet or others.

        Args:
            commands: the number of a snippet of which lines begin with a prompt; the others are
                what is printed. Or such lines.
            options: for subprocess.run.
        """
        text = self.chapter[commands] if isinstance(commands, int) else commands
        for line in re.findall(r"(?m)^\$ (.*)", text):
            self._command(line.split(), options)

    def _command(self, words: list[str], options: dict[str, Any]) -> None:
        if words[0] == "cd":
            # The tutorials repeat it now and then.
            if self.folder.name != words[1]:
                self.folder /= words[1]
            return
        if words[:2] == ["paster", "serve"]:
            with served(self.folder, words[-1], *words[2:-1]):
                return
        if words[0] == "python":
            done = python(*words[1:], cwd=self.folder, **options)
        elif (script := Path(sys.executable).with_name(words[0])).exists():
            done = python(str(script), *words[1:], cwd=self.folder, **options)
        else:
            done = run(*words, cwd=self.folder, **options)
        assert done.returncode == 0, done.stdout + done.stderr

    def path(self, name: str) -> Path:
        """Return a file of the package, or one beside it (``../setup.py``)."""
        return Path(os.path.normpath(self.folder / self.package / name))

    def write(self, name: str, *snippets: int | str) -> None:
        """Make a file out of snippets."""
        self._change(name, lambda _: self._text(name, snippets))

    def prepend(self, name: str, *snippets: int | str) -> None:
        """Type snippets at the top of a file."""
        self._change(name, lambda text: self._text(name, snippets) + text)

    def append(self, name: str, *snippets: int | str, indent: int = 0) -> None:
        """Type snippets at the end of a file."""
        self._change(name, lambda text: text + self._text(name, snippets, indent))

    def replace(self, name: str, pattern: str, *snippets: int | str, indent: int = 0) -> None:
        """Type snippets in place of what matches a pattern."""
        new = self._text(name, snippets, indent)

        def replaced(text: str) -> str:
            text, times = re.subn(pattern, lambda _: new, text)
            assert times == 1, f"{pattern} is {times} times in {name}"
            return text

        self._change(name, replaced)

    def action(
        self, controller: str, signature: str, number: int, before: str = "", after: str = ""
    ) -> None:
        """Type a snippet as the body of an action, at the end of a controller.

        Args:
            controller: the controller's name.
            signature: the action's name and arguments.
            number: the snippet's.
            before: what stands before it; it may end in the middle of a line.
            after: what stands after it.
        """
        body = to_python3(f"{before}{self.chapter[number]}{after}\n", signature, ALL_FIXERS)
        action = f"def {signature}:\n{indent(body, '    ')}"
        self.append(f"controllers/{controller}.py", action, indent=4)

    def _change(self, name: str, change: Callable[[str], str]) -> None:
        path = self.path(name)
        path.parent.mkdir(exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(change(before), encoding="utf-8")
        # Python and Mako tell by the second whether a file was changed, and we type fast.
        self._edits += 1
        later = time() + self._edits
        os.utime(path, (later, later))
        # What Mako makes of a template is Python, and so also told by the second, and by its length.
        shutil.rmtree(self.folder / "data" / "templates", ignore_errors=True)

    def _text(self, name: str, snippets: Sequence[int | str], depth: int = 0) -> str:
        """Return snippets, and text that is in none, as it is typed into a file."""
        pieces = [
            self._snippet(name, snippet) if isinstance(snippet, int) else snippet
            for snippet in snippets
        ]
        return indent("\n".join(pieces), " " * depth)

    def _snippet(self, name: str, number: int) -> str:
        text = self.chapter[number]
        return to_python3(dedent(text), name, ALL_FIXERS) if name.endswith(".py") else text

    def session(self, number: int, names: dict[str, Any] | None = None) -> None:
        """Type an interactive session; where the snippet shows what is printed, it has to be.

        Args:
            number: the snippet's.
            names: the names that are known, and those that become so.
        """
        names = {} if names is None else names
        test = doctest.DocTestParser().get_doctest(self.chapter[number], names, "", "", 0)
        # It has made a copy.
        test.globs = names
        for example in test.examples:
            example.source = to_python3(example.source, "", ALL_FIXERS)
        report: list[str] = []
        flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
        doctest.DocTestRunner(Printed(), False, flags).run(
            test, out=report.append, clear_globs=False
        )
        assert not report, "".join(report)

    def app(self, ini: str = "development.ini") -> TestApp:
        """Load the application as it is now, for a browser that comes to it for the first time."""
        forget(self.package)
        project = str(self.folder)
        if project not in sys.path:
            sys.path.insert(0, project)
            pkg_resources.working_set.add_entry(project)
        return TestApp(loadapp(f"config:{ini}", relative_to=project))


class Printed(doctest.OutputChecker):
    """Compares what is printed with what was printed on Python 2, if that is shown."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        plain = [re.sub(r"\b[buBU](['\"])", r"\1", text) for text in (want, got)]
        plain[0] = plain[0].replace("<type 'unicode'>", "<class 'str'>")
        return not want or super().check_output(*plain, optionflags)


def forget(package: str) -> None:
    """Let a package be loaded anew, as in a new process."""
    gettext._translations.clear()
    invalidate_caches()
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            del sys.modules[name]


@contextmanager
def imports_as_before() -> Iterator[None]:
    """Forget which projects were loaded in between."""
    before = list(sys.path)
    yield
    for entry in set(sys.path) - set(before):
        for package in pkg_resources.find_distributions(entry):
            for name in package.get_metadata("top_level.txt").split():
                forget(name)
    sys.path[:] = before
