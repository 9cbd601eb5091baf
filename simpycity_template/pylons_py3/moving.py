"""What a person has to change in an application of Python 2, and where: the list of docs/moving.rst.

`places` finds it in a folder by the text of each line. fissix mends what it knows by itself;
here stands what it cannot know, does not read (templates), or does wrong.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Advice(NamedTuple):
    """One thing to change.

    Arguments:
        seen: what is in the application, as an example.
        instead: what to write.
        pattern: a regular expression of the lines that have it.
        early: whether only applications from before Pylons 1.0 have it.
    """

    seen: str
    instead: str
    pattern: str
    early: bool = False


class Place(NamedTuple):
    """A line that somebody has to look at."""

    file: Path
    line: int
    text: str
    advice: Advice


IN_CODE = [
    Advice("import cgi, cgi.escape(text)", "from html import escape, escape(text)",
           r"\bimport cgi\b|from cgi import|\bcgi\.(escape|FieldStorage|parse_qsl?)\b"),
    Advice("literal(resp.body)", "literal(resp.text); a body is bytes",
           r"literal\(\s*\w+\.body\s*\)"),
    Advice("hashlib.sha1(salt + password)", 'hashlib.sha1((salt + password).encode("utf-8"))',
           r"\bhashlib\.\w+\(\s*[^)\s]|\.(md5|sha1|new|update)\(\w+ \+"),
    Advice("str(name.encode('utf-8'))", "name; it is text", r"\bstr\(.*\.encode\("),
    Advice("from repoze.what import ..., import turbomail", "what takes its place; see the requirements below",
           r"^\s*(from|import) (BeautifulSoup|Cheetah|authkit|cjson|elementtree|elixir|flup|kid|migrate|ordereddict|"
           r"pysqlite2|repoze\.what|toscawidgets|turbomail|tw|unittest2)\b"),
    Advice('open(path, "w") for an upload', 'open(path, "wb"); to read it, "rb"',
           r"\bopen\([^)]*,\s*['\"][wa]\+?['\"]"),
    Advice("StringIO.StringIO() for bytes", "io.BytesIO()", r"\bc?StringIO\("),
    Advice("subprocess.Popen(command, ...)", "add text=True where its output is text",
           r"\bsubprocess\.(Popen|check_output|call)\(|\bPopen\("),
    Advice("count / 2 of whole numbers", "count // 2",
           r"^(?!.*://)[^#'\"]*[\w)\]]\s*/\s*(?:\d+\b(?!\.)|len\()"),
    Advice("file(name)", "open(name)", r"(?<![\w.])file\("),
    Advice("import md5, md5.new(data)", "import hashlib, hashlib.md5(data)",
           r"\bimport (md5|sha)\b|from (md5|sha) import|(?<![\w.])(md5|sha)\.new\("),
    Advice("import sets", "set is built in", r"\bimport sets\b|from sets import|\bsets\.Set\b"),
    Advice("orm.mapper(Page, pages_table)",
           "orm.registry().map_imperatively(Page, pages_table) on SQLAlchemy 2",
           r"(?<!\w)mapper\(\s*\w+\s*,"),
    Advice("relation('Group')", "relationship('Group') on SQLAlchemy 2", r"(?<![\w.])relation\("),
    Advice("select([a, b], a == b)", "select(a, b).where(a == b) on SQLAlchemy 2", r"\bselect\(\s*\["),
    Advice("sorted(rows, cmp=order)", "sorted(rows, key=functools.cmp_to_key(order))",
           r"\bcmp\s*=|(?<![\w.])cmp\(|\.sort\(\s*(cmp|lambda \w+,)"),
    Advice("def __cmp__(self, other)", "def __lt__(self, other), and __eq__",
           r"def __cmp__\b"),
    Advice("def __unicode__(self)", "def __str__(self), where there is none yet",
           r"def __unicode__\b"),
    Advice("func.im_func, func.im_self", "func itself where it is plain; func.__func__, __self__ of a method",
           r"\.im_(func|self|class)\b|['\"]im_(func|self|class)['\"]"),
    Advice("re.sub(pattern, new, some_literal)", "lit_sub(pattern, new, some_literal), which keeps it a literal",
           r"\bre\.sub\("),
    Advice("string.letters, string.join(words)", "string.ascii_letters, ' '.join(words)",
           r"\bstring\.(letters|lowercase|uppercase|join|split|replace|maketrans|atoi|lower|upper|strip)\b"),
    Advice('text.encode("hex"), .encode("base64")', "binascii.hexlify(data), base64.b64encode(data)",
           r"\.(en|de)code\(\s*['\"](hex|base64|zlib|rot13|string.escape)['\"]"),
    Advice("sys.setdefaultencoding(...)", "nothing; text is Unicode",
           r"\bsetdefaultencoding\b|(?<![\w.])reload\(sys\)"),
    Advice("map(None, a, b)", "itertools.zip_longest(a, b)", r"(?<![\w.])map\(\s*None\b"),
    Advice("from email.MIMEText import MIMEText", "from email.mime.text import MIMEText",
           r"\bemail\.(MIME\w+|Utils|Header|Encoders|Message|Charset)\b"),
    Advice("import Image", "from PIL import Image", r"^\s*import (Image|ImageDraw|ImageFont)\b"),
    Advice("redirect_to('pages')", "redirect(url('pages'))", r"\bredirect_to\b", early=True),
    Advice("from pylons import Response, h, g, c", "app_globals for g, tmpl_context as c, and from pylons.controllers.util import Response",
           r"from pylons import .*\b(Response|g|h|Cache)\b", early=True),
    Advice("config.init_app(...)", "after it config['pylons.strict_tmpl_context'] = False where a template "
           "reads c.missing, and config['pylons.tmpl_context_attach_args'] = True where it reads arguments of actions",
           r"\b\w+\.init_app\(", early=True),
    Advice("return app in config/middleware.py", "app.config = config._current_obj() before it",
           r"^\s+return app\s*$", early=True),
]  # fmt: skip

IN_TEMPLATES = [
    Advice("unicode(tag.id) in a template", "str(tag.id); fissix reads no templates",
           r"(?<![\w.])(unicode|basestring|unichr|long|xrange|raw_input)\("),
    Advice("row.has_key('id') in a template", "'id' in row", r"\.has_key\("),
    Advice("d.iteritems() in a template", "d.items()", r"\.iter(items|keys|values)\("),
    Advice("print x in a template", "print(x)", r"^\s*print\s+[^(=\s]"),
    Advice("names = d.keys(); names.sort()", "names = sorted(d)",
           r"=\s*[\w.]+\.(keys|values|items)\(\)\s*(;|$)|\.keys\(\)\.sort\("),
    Advice("except Error, error: in a template", "except Error as error:",
           r"^\s*except\s+[\w.()]+\s*,\s*\w+\s*:"),
]  # fmt: skip

# What an application asks for, is gone, and has a kept successor.
REQUIREMENTS = {
    "authkit": "nothing kept; repoze.who authenticates on Python 3",
    "beautifulsoup": "beautifulsoup4",
    "cheetah": "CT3",
    "cjson": "json, of Python",
    "elementtree": "xml.etree, of Python",
    "elixir": "SQLAlchemy's declarative classes",
    "flup": "a server of docs/deployment.rst",
    "hashlib": "hashlib, of Python",
    "kid": "Genshi",
    "mysql-python": "mysqlclient",
    "nose": "pytest; nose.tools can be imported",
    "ordereddict": "collections, of Python",
    "pil": "Pillow",
    "pycrypto": "pycryptodome",
    "pysqlite": "sqlite3, of Python",
    "python-openid": "python3-openid",
    "repoze.what": "nothing kept; write the checks into __before__",
    "repoze.what-pylons": "nothing kept; write the checks into __before__",
    "repoze.what-quickstart": "nothing kept; write the checks into __before__",
    "sqlalchemy-migrate": "alembic",
    "suds": "suds-community",
    "toscawidgets": "tw2.core",
    "turbomail": "smtplib and email, of Python",
    "tw.forms": "tw2.forms",
    "unittest2": "unittest, of Python",
    "webhelpers2": "WebHelpers 1.3, which is installed",
}
# The name in a quoted text that is one requirement as a whole: "Routes[extra]>=1.10,<2".
QUOTED_REQUIREMENT = re.compile(
    r"""['"]([A-Za-z][\w.-]*)\s*(?:\[[\w\s,-]*\]\s*)?(?:[<>=!~]=?[^'"]*)?['"]"""
)
PINNED = Advice('"Routes==1.12" in setup.py', "Routes; few releases of that time run on Python 3",
                r"^(?!.*[Pp]ylons==).*['\"][\w.-]+\s*==\s*[\d.]+")  # fmt: skip

TEMPLATES = {".mako", ".html", ".mak", ".tmpl", ".jinja2", ".jinja", ".xml", ".myt", ".kid"}
SKIPPED = {".git", ".hg", ".svn", ".bzr", "node_modules", "build", "dist", "data", ".tox", "public"}


def places(folder: Path) -> Iterator[Place]:
    """Yield what somebody has to look at in an application, file by file.

    Arguments:
        folder: the application's; nothing in it is changed, and no module is imported.

    Raises:
        OSError: a file cannot be read.
    """
    for file in files(folder):
        text = file.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            for advice in advices(file, line):
                yield Place(file, number, line.strip(), advice)


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of an application that may have to change, in an order that stays.

    Links are passed over: what they lead to is found under its own name, or is not the application's.
    """
    for place, folders, names in os.walk(folder):
        # Environments have their own.
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED and not name.endswith(".egg-info")
            and not Path(place, name, "pyvenv.cfg").exists()
        )  # fmt: skip
        for name in sorted(names):
            file = Path(place, name)
            if not file.is_symlink() and (
                file.suffix in {".py", *TEMPLATES} or is_requirements(file)
            ):
                yield file


def is_requirements(file: Path) -> bool:
    """Tell whether a file lists requirements, one to a line."""
    return file.suffix == ".txt" and file.name.startswith("requirements")


def advices(file: Path, line: str) -> Iterator[Advice]:
    """Yield what there is to say of a line."""
    if is_requirements(file):
        yield from of_requirements(re.findall(r"^\s*([A-Za-z][\w.-]*)", line))
        return
    if file.name == "setup.py":
        yield from of_requirements(QUOTED_REQUIREMENT.findall(line))
        if re.search(PINNED.pattern, line):
            yield PINNED
    known = IN_TEMPLATES if file.suffix in TEMPLATES else IN_CODE
    if not line.lstrip().startswith("#"):
        yield from (advice for advice in known if re.search(advice.pattern, line))


def of_requirements(names: list[str]) -> Iterator[Advice]:
    """Yield what takes the place of requirements that are gone."""
    for name in names:
        successor = REQUIREMENTS.get(name.lower().replace("_", "-"))
        if successor:
            yield Advice(name, successor, "")
