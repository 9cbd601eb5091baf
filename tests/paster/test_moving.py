"""`paster moving`: what to change in an application of Python 2."""

import re

import pytest
from projects import paster

from simpycity_template.pylons_py3.moving import IN_CODE, IN_TEMPLATES, REQUIREMENTS, places

# Lines of which the example of the list is no whole one.
LINES = {
    "return app in config/middleware.py": "    return app",
    "from pylons import Response, h, g, c": "from pylons import Response, h, g, c",
    "except Error, error: in a template": "    except Error, error:",
    "names = d.keys(); names.sort()": "names = d.keys(); names.sort()",
}

APPLICATION = """\
# redirect_to is a word here
import cgi
class Page(object):
\t'''One page:
\tindented by a tab.'''
\tdef show(self):
            if self.pages.has_key('x'):
\t\tprint 'x', u'\\xf6'
            return cgi.escape(self.text)
"""


@pytest.fixture
def old(tmp_path):
    """An application of Python 2."""
    (tmp_path / "wiki" / "templates").mkdir(parents=True)
    (tmp_path / "wiki" / "page.py").write_text(APPLICATION)
    (tmp_path / "wiki" / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = '\xf6'\n")
    (tmp_path / "wiki" / "templates" / "page.mako").write_text("% if c.x.has_key('a'):\n% endif\n")
    (tmp_path / "setup.py").write_text("install_requires=['Pylons==1.0.3', 'MySQL-python']\n")
    (tmp_path / "requirements.txt").write_text("Elixir==0.7\nRoutes\n")
    for skipped in ("env", "data"):
        (tmp_path / skipped).mkdir()
        (tmp_path / skipped / "other.py").write_text("import cgi\n")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    return tmp_path


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def found(folder):
    return [(str(p.file.relative_to(folder)), p.line, p.advice.instead) for p in places(folder)]


@pytest.mark.parametrize("advice", IN_CODE + IN_TEMPLATES, ids=lambda advice: advice.seen)
def test_the_example_of_each_entry_is_found(advice):
    assert re.search(advice.pattern, LINES.get(advice.seen, advice.seen))


@pytest.mark.parametrize(
    "line",
    [
        "from html import escape", "count // 2", "x = a / 2.5", "profile(name)", "app.file(name)",
        "self.sort(key=len)", "d.map(None)", 'open(path, "rb")', "    return application",
        "# count / 2", "url = 'a/2'", "re.subscribe(x)",
    ],
)  # fmt: skip
def test_a_line_that_is_right_is_not_found(tmp_path, line):
    (tmp_path / "page.py").write_text(line + "\n")
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("keywords='kid friendly pil',", None),
        ("description='nose, as it was',", None),
        ('"PIL",', "pil"),
        ('"flup[server] >= 1.0, <2",', "flup"),
        ("install_requires=['suds>=0.4'],", "suds"),
    ],
)
def test_only_what_is_a_requirement_as_a_whole_is_named_in_setup_py(tmp_path, line, named):
    (tmp_path / "setup.py").write_text(line + "\n")
    assert [one[2] for one in found(tmp_path)] == ([REQUIREMENTS[named]] if named else [])


def test_places_are_named_by_file_and_line(old):
    escape = "from html import escape, escape(text)"
    assert found(old) == [
        ("requirements.txt", 1, REQUIREMENTS["elixir"]),
        ("setup.py", 1, REQUIREMENTS["mysql-python"]),
        ("wiki/page.py", 2, escape),
        ("wiki/page.py", 9, escape),
        ("wiki/templates/page.mako", 1, "'id' in row"),
    ]


@pytest.mark.process
def test_it_lists_and_changes_nothing(old):
    before = contents(old)
    done = paster("moving", ".", cwd=old)
    assert (done.returncode, done.stderr) == (1, "")
    assert "    wiki/page.py:9: return cgi.escape(self.text)\n" in done.stdout
    assert done.stdout.endswith("5 places in 4 files to look at.\n")
    assert contents(old) == before


@pytest.mark.process
def test_write_translates_the_code(old, tmp_path_factory):
    # Neither imported by what translates, nor written to.
    (old / "difflib.py").write_text("raise SystemExit('imported')\n")
    outside = tmp_path_factory.mktemp("outside") / "page.py"
    outside.write_text("print 'x'\n")
    (old / "wiki" / "linked.py").symlink_to(outside)
    done = paster("moving", "--write", ".", cwd=old)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    text = (old / "wiki" / "page.py").read_text()
    compile(text, "page.py", "exec")
    assert "if 'x' in self.pages:" in text and "print('x'" in text
    # A text stays as it is.
    assert text.count("\t") == 1 and "\n\tindented by a tab" in text
    assert (old / "wiki" / "latin.py").read_bytes().endswith(b"'\xf6'\n")
    assert (old / "data" / "other.py").read_text() == "import cgi\n"
    assert outside.read_text() == "print 'x'\n"


@pytest.mark.process
def test_an_application_whose_requirements_are_missing_is_read(old):
    (old / "Wiki.egg-info").mkdir()
    (old / "Wiki.egg-info" / "PKG-INFO").write_text(
        "Metadata-Version: 1.0\nName: Wiki\nVersion: 1\n"
    )
    (old / "Wiki.egg-info" / "requires.txt").write_text("docutils==0.4\n")
    (old / "Wiki.egg-info" / "paster_plugins.txt").write_text("NoSuchPlugin\n")
    assert paster("moving", ".", cwd=old).returncode == 1


@pytest.mark.process
def test_where_nothing_is_to_change_it_says_so(tmp_path):
    (tmp_path / "page.py").write_text("print('x')\n")
    done = paster("moving", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Nothing to look at was found.\n")


@pytest.mark.process
def test_what_is_no_folder_is_named(tmp_path):
    done = paster("moving", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "nowhere is no folder: name that of the application's setup.py."
        in done.stdout + done.stderr
    )


@pytest.mark.process
def test_a_folder_without_code_is_named(tmp_path):
    done = paster("moving", "--write", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert ". has no Python file: name the folder of" in done.stdout + done.stderr


@pytest.mark.process
def test_what_fissix_cannot_read_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("def (:\n")
    done = paster("moving", "--write", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "fissix failed: " in done.stdout + done.stderr and "broken.py" in done.stdout + done.stderr
    )
