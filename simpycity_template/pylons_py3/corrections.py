"""What is corrected in the installed packages, one entry for each thing, and why.

To add an entry: name the thing, the module, and why it does not work as installed; `old` is a
piece of the installed text as short as it can be while it is found exactly `times` times, and
`new` is what stands there instead, in as many lines. Python 2 syntax and renamed modules of
the standard library need no entry: fissix translates them afterwards. In modules that are
translated, ``_py3`` is ``runtime.py``.
"""

import os
from contextlib import suppress
from typing import NamedTuple

# Translated whole: the code of these packages is Python 2.
TRANSLATED = frozenset({"pylons", "webhelpers"})

# The only versions that the corrections are made for.
VERSIONS = {"pylons": ("Pylons", "1.0.3"), "webhelpers": ("WebHelpers", "1.3")}


class Replacement(NamedTuple):
    """A module in whose place another one is imported, with all below it."""

    module: str
    by: str
    why: str


REPLACEMENTS = [
    Replacement(
        "webhelpers.html.secure_form",
        "webhelpers.pylonslib.secure_form",
        why="Pylons looks for it here first; WebHelpers 1.3 has it there.",
    ),
    Replacement(
        "webhelpers.textile",
        "simpycity_template.pylons_py3.textile",
        why="It needs sgmllib, which is gone; the textile package is its kept successor.",
    ),
    Replacement(
        "nose",
        "simpycity_template.pylons_py3.nose",
        why="nose 1.3.7 cannot be imported on current Pythons, and tests take their assertions from it.",
    ),
    Replacement(
        "weberror.evalexception",
        "simpycity_template.pylons_py3.errors",
        why="The debugger is backlash's, the kept successor of WebError's.",
    ),
    Replacement(
        "weberror.errormiddleware",
        "simpycity_template.pylons_py3.errors",
        why="The report by log and mail is backlash's, too.",
    ),
]


class Missing(NamedTuple):
    """A module that is not carried to Python 3."""

    module: str
    instead: str


MISSING = [
    Missing("webhelpers.pylonslib._jsmin", "the jsmin package"),
    Missing("weberror.collector", "backlash.tbtools.get_current_traceback"),
    Missing("weberror.evalcontext", "backlash.console.Console"),
    Missing("weberror.formatter", "the traceback module, or backlash.tbtools.Traceback"),
    Missing("weberror.pdbcapture", "weberror.evalexception.EvalException"),
    Missing("weberror.reporter", "backlash.tracing.reporters"),
    Missing("weberror.util", "backlash.utils"),
    Missing("weberror.exceptions", "weberror.errormiddleware"),
]


class Correction(NamedTuple):
    """A piece of a module's installed text that is replaced before it is translated."""

    name: str
    module: str
    why: str
    old: str
    new: str
    times: int = 1


CORRECTIONS = [
    Correction(
        "the version of Pylons",
        "pylons",
        why="It is known here. Asking for it checks the requirements of all requirements, which "
        "took half of the time of the import.",
        old="__version__ = __figure_version()",
        new="__version__ = '1.0.3'",
    ),
    # Calling an action
    Correction(
        "the method behind an action",
        "pylons.controllers.core",
        why="fissix renames the attribute of a method, but not where a string names it.",
        old="getattr(func, 'im_func',",
        new="getattr(func, '__func__',",
    ),
    Correction(
        "the arguments of an action",
        "pylons.controllers.core",
        why="getargspec was removed in Python 3.11; the first fields are the same.",
        old="inspect.getargspec(",
        new="inspect.getfullargspec(",
    ),
    Correction(
        "the arguments of a cached function",
        "pylons.decorators.cache",
        why="getargspec was removed in Python 3.11; the first fields are the same.",
        old="inspect.getargspec(",
        new="inspect.getfullargspec(",
    ),
    Correction(
        "the arguments of a JSON-RPC method",
        "pylons.controllers.jsonrpc",
        why="getargspec was removed in Python 3.11; the first fields are the same.",
        old="inspect.getargspec(",
        new="inspect.getfullargspec(",
    ),
    Correction(
        "the arguments of an XML-RPC method",
        "pylons.controllers.xmlrpc",
        why="getargspec was removed in Python 3.11; the first fields are the same.",
        old="inspect.getargspec(",
        new="inspect.getfullargspec(",
    ),
    Correction(
        "the class of a cached action",
        "pylons.decorators.cache",
        why="A function taken from a class no longer knows the class but by its name.",
        old="    if hasattr(func, 'im_func'):\n        kls = func.im_class\n        func = func.im_func",
        new="    if not self and _py3.owner(func):\n        kls = _py3.owner(func)\n        func = func",
    ),
    # What an action returns
    Correction(
        "an action that returns bytes",
        "pylons.controllers.core",
        why="On Python 2 str was bytes.",
        old="isinstance(response, str)",
        new="isinstance(response, bytes)",
    ),
    Correction(
        "an action that returns pieces of text, or a WSGI application",
        "pylons.controllers.core",
        why="A WSGI server takes only bytes; on Python 2 pieces of str were that. An application "
        "that was made a body answered, too, but began its answer a second time.",
        old="py_response.app_iter = response",
        new="py_response = _py3.with_body(py_response, response, "
        "environ.get('pylons.action_method', self))",
    ),
    Correction(
        "a WSGI application as a controller",
        "pylons.wsgiapp",
        why="It may still give pieces of text, as the documentation shows it.",
        old="elif response is not None:\n                return response",
        new="elif response is not None:\n                return _py3.encoded(response, 'utf-8', "
        "environ.get('pylons.action_method', controller))",
    ),
    # Requests and responses
    Correction(
        "the options of a request",
        "pylons.wsgiapp",
        why="WebOb no longer knows them, and warns; names are decoded, and errors replaced.",
        old=", charset=req_options['charset'],\n"
        "                      unicode_errors=req_options['errors'],\n"
        "                      decode_param_names=req_options['decode_param_names'])",
        new=", charset=req_options['charset'])\n\n",
    ),
    Correction(
        "the options of a request in tests",
        "pylons.testutil",
        why="WebOb no longer knows them, and warns; names are decoded, and errors replaced.",
        old=", charset=request_defaults['charset'],\n"
        "                      unicode_errors=request_defaults['errors'],\n"
        "                      decode_param_names=request_defaults['decode_param_names']\n"
        "        )",
        new=", charset=request_defaults['charset'])\n\n\n",
    ),
    Correction(
        "the parts of the path",
        "pylons.wsgiapp",
        why="Routes leaves each byte a character of its own; on Python 2 it decoded them.",
        old="req.link, req.route_dict = environ['wsgiorg.routing_args']",
        new="req.link, req.route_dict = _py3.routing_args(environ)",
    ),
    Correction(
        "the languages that a browser accepts",
        "pylons.controllers.util",
        why="The parts of WebOb's header object that it used are gone.",
        old="languages = property(languages)",
        new="languages = property(_py3.languages)",
    ),
    Correction(
        "the first type that a browser accepts",
        "pylons.controllers.util",
        why="WebOb's header object no longer has first_match.",
        old="self.accept.first_match(mimetypes)",
        new="_py3.first_match(self.accept, mimetypes)",
    ),
    Correction(
        "the exception of an HTTP response",
        "pylons.controllers.util",
        why="The response itself can be raised, and WebOb dropped the name; Pylons' own tests "
        "and applications still raise it.",
        old="from webob.exc import status_map",
        new="from webob.exc import status_map, WSGIHTTPException; "
        "WSGIHTTPException.exception = property(lambda self: self)",
    ),
    Correction(
        "the name of the cookies' dictionary",
        "pylons.controllers.util",
        why="WebOb's str_cookies is gone; cookies has text in both Pythons' sense.",
        old="self.str_cookies",
        new="self.cookies",
    ),
    Correction(
        "the secret of a signed cookie",
        "pylons.controllers.util",
        why="A signature is made of bytes.",
        old="hmac.new(secret, pickled, sha1)",
        new="hmac.new(_py3.to_bytes(secret), pickled, sha1)",
        times=2,
    ),
    Correction(
        "the value of a signed cookie",
        "pylons.controllers.util",
        why="Base 64 is bytes, and a cookie is text.",
        old="sig + base64.standard_b64encode(pickled)",
        new="sig + base64.standard_b64encode(pickled).decode('ascii')",
    ),
    Correction(
        "a signed cookie that nobody signed",
        "pylons.controllers.util",
        why="What is not ASCII is a ValueError, of which binascii.Error is a kind.",
        old="except binascii.Error:",
        new="except ValueError:",
    ),
    Correction(
        "the address of a redirect",
        "pylons.controllers.util",
        why="A header is text of which each character stands for a byte (PEP 3333), and the page "
        "showed these.",
        old="raise exc(location=url.encode('utf-8'))",
        new="raise _py3.redirection(exc, url)",
    ),
    Correction(
        "text in a response without a charset",
        "pylons.controllers.util",
        why="On Python 2 str was bytes, which need none; WebOb refused it.",
        old="class Response(WebObResponse):",
        new="class Response(_py3.taking_text(WebObResponse)):",
    ),
    Correction(
        "a form in bytes that is filled in",
        "pylons.decorators",
        why="FormEncode takes text.",
        old="return htmlfill.render(response,",
        new="return htmlfill.render(_py3.decoded(response, request.charset),",
    ),
    Correction(
        "sorting translations that are made later",
        "pylons.i18n.translation",
        why="On Python 2 everything had an order.",
        old="class LazyString(object):",
        new="class LazyString(_py3.Sortable):",
    ),
    Correction(
        "the body of the page for tests",
        "pylons.wsgiapp",
        why="A WSGI body is bytes.",
        old="return ['%s' % paste.registry.restorer.get_request_id(environ)]",
        new="return [b'%d' % paste.registry.restorer.get_request_id(environ)]",
    ),
    Correction(
        "a controller named by a dotted path",
        "pylons.wsgiapp",
        why="pkg_resources warns of load() with an argument.",
        old=".load(False)",
        new=".resolve()",
    ),
    Correction(
        "an object named by a dotted path",
        "pylons.util",
        why="pkg_resources warns of load() with an argument.",
        old=".load(False)",
        new=".resolve()",
    ),
    # Calling an application inside another
    Correction(
        "an exception handed to start_response",
        "pylons.util",
        why="fissix takes it for a class that is to be called, and it is an instance.",
        old="raise exc_info[0], exc_info[1], exc_info[2]",
        new="raise exc_info[1].with_traceback(exc_info[2])",
    ),
    Correction(
        "the body that an error document replaces",
        "pylons.middleware",
        why="Nobody closed it, and what it holds (a connection) stayed open.",
        old="newstatus, headers, app_iter, exc_info = call_wsgi_application(\n"
        "                    self.app, new_environ, catch_exc_info=True)",
        new="newstatus, headers, app_iter, exc_info = _py3.replacing(environ,\n"
        "                    call_wsgi_application, self.app, new_environ)",
    ),
    Correction(
        "debug = false in the application's section alone",
        "pylons.middleware",
        why="It was overlooked, and visitors got the debugger.",
        old="if asbool(global_conf.get('debug')):",
        new="if _py3.shows_debugger(global_conf, errorware):",
    ),
    Correction(
        "the lines of a template in the debugger",
        "pylons.error",
        why="Mako's render gives bytes where a template has an encoding.",
        old="html_error_template().render(",
        new="html_error_template().render_unicode(",
    ),
    # RPC
    Correction(
        "the body of a JSON-RPC request",
        "pylons.controllers.jsonrpc",
        why="It is bytes, and unquote_plus takes text.",
        old="urllib.unquote_plus(raw_body)",
        new="urllib.unquote_plus(raw_body.decode('utf-8'))",
    ),
    Correction(
        "a JSON-RPC call that leaves out an argument",
        "pylons.controllers.jsonrpc",
        why="Python 3 says it in other words, and says them of a call inside the method, too.",
        old="if 'takes at least' in str(e):",
        new="if _py3.is_of_call(e):",
    ),
    # Translations
    Correction(
        "gettext for unicode",
        "pylons.i18n.translation",
        why="gettext returns text on Python 3, and ugettext is gone.",
        old="pylons.translator.ugettext(",
        new="pylons.translator.gettext(",
    ),
    Correction(
        "plural forms for unicode",
        "pylons.i18n.translation",
        why="ngettext returns text on Python 3, and ungettext is gone.",
        old="pylons.translator.ungettext(",
        new="pylons.translator.ngettext(",
    ),
    Correction(
        "the translator of an application",
        "pylons.i18n.translation",
        why="Applications call its ugettext and ungettext, which are gone.",
        old="translation(conf['pylons.package'], localedir,\n"
        "                                 languages=lang, **kwargs)",
        new="translation(conf['pylons.package'], localedir, languages=lang,\n"
        "                                 **{'class_': _py3.Translations, **kwargs})",
    ),
    Correction(
        "the translator of an application without translations",
        "pylons.i18n.translation",
        why="Applications call its ugettext and ungettext, which are gone.",
        old="return NullTranslations()",
        new="return _py3.NullTranslations()",
    ),
    # Security
    Correction(
        "the warning of a forged request",
        "pylons.decorators.secure",
        why="logging's warn is deprecated.",
        old="log.warn(",
        new="log.warning(",
    ),
    Correction(
        "the token of a secure form",
        "webhelpers.pylonslib.secure_form",
        why="It keeps forged requests out only if it cannot be guessed.",
        old="random.getrandbits(",
        new="random.SystemRandom().getrandbits(",
    ),
    # Commands
    Correction(
        "a missing lib.base",
        "pylons.commands",
        why="Python 3 says it in other words, and with a name.",
        old="if 'No module named lib.base' in str(ie):",
        new="if ie.name in (package + '.lib', package + '.lib.base'):",
    ),
    Correction(
        "a name that no controller can have",
        "pylons.commands",
        why="A module was written that Python cannot compile.",
        old="    if not name:\n"
        "        # This happens when the name is an existing directory\n"
        "        raise BadCommand('Please give the name of a controller.')",
        new="    if not name.isidentifier():\n"
        "        raise BadCommand('Please give the name of a controller: letters, digits and _, '\n"
        "            'beginning with a letter.')",
    ),
    Correction(
        "how the template of a controller is filled in",
        "pylons.commands",
        why="An entry below corrects its text.",
        old="template_renderer=paste_script_template_renderer",
        new="template_renderer=_py3.render_template",
        times=4,
    ),
    Correction(
        "what the page of a controller ends with",
        "pylons.commands",
        why="It was said to be one for Mako in each project.",
        old="'tmpl_name': name,",
        new="'tmpl_name': name + _py3.page_ending(base_package),",
    ),
    Correction(
        "an error typed into the shell",
        "pylons.commands",
        why="Without IPython the console ran where its ImportError was handled, and Python 3 shows "
        "that before each error.",
        old="except ImportError:\n            import code\n            py_prefix",
        new="except ImportError: shell = None\n        if shell is None:\n"
        "            import code; py_prefix",
    ),
    Correction(
        "a transaction that the shell leaves open",
        "pylons.commands",
        why="An idle prompt kept its transaction open, and with it locks that others wait for.",
        old="shell = code.InteractiveConsole(locals=locs)",
        new="shell = _py3.console(locs)",
    ),
    Correction(
        "a transaction that the shell leaves open, with IPython",
        "pylons.commands",
        why="An idle prompt kept its transaction open, and with it locks that others wait for.",
        old="shell = InteractiveShellEmbed(banner2=banner)",
        new="shell = _py3.with_ipython(InteractiveShellEmbed(banner2=banner), locs)",
    ),
    Correction(
        "the text of make-config",
        "pylons.util",
        why="A template is text, and pkg_resources gives bytes.",
        old="pkg_resources.resource_string(module, self.config_file),",
        new="pkg_resources.resource_string(module, self.config_file).decode('utf-8'),",
    ),
    Correction(
        "a message over two lines",
        "pylons.util",
        why="fissix would join the lines, and those that follow would move.",
        old="print >> sys.stderr, \\\n"
        "                'Try running python setup.py egg_info to regenerate that file'",
        new="sys.stderr.write(\n"
        "                'Try running python setup.py egg_info to regenerate that file\\n')",
    ),
    Correction(
        "Pylons' plugin for nose",
        "pylons.test",
        why="pytest has one of ours.",
        old="import nose.plugins\n",
        new="nose = _py3.nose\n",
    ),
    Correction(
        "templates in a package",
        "paste.script.copydir",
        why="pkg_resources gives bytes already.",
        old="content = pkg_resources.resource_string(source[0], full)\n"
        "            content = content.encode()",
        new="content = pkg_resources.resource_string(source[0], full)\n",
    ),
    Correction(
        "a template in a package",
        "paste.script.filemaker",
        why="A template is text, and pkg_resources gives bytes.",
        old="self.source_dir[0], fullpath)",
        new="self.source_dir[0], fullpath).decode('utf-8')",
    ),
    Correction(
        "making a file for make-config",
        "paste.script.command",
        why="Text was written to a file of bytes; and it has a secret in it, and soon a password.",
        old="print('Creating %s' % filename)\n"
        "            if not self.simulate:\n"
        "                f = open(filename, 'wb')",
        new="print('Creating %s' % filename)\n"
        "            if not self.simulate:\n"
        "                f = open(filename, 'w', encoding='utf-8', newline='',"
        " opener=lambda name, flags: os.open(name, flags, 0o600))",
    ),
    Correction(
        "writing a file for make-config",
        "paste.script.command",
        why="Text was written to a file of bytes.",
        old="f = open(filename, 'wb')",
        new="f = open(filename, 'w', encoding='utf-8', newline='')",
        times=2,
    ),
    Correction(
        "reading a file for make-config",
        "paste.script.command",
        why="It is compared with text.",
        old="f = open(filename, 'rb')",
        new="f = open(filename, encoding='utf-8', newline='')",
        times=2,
    ),
    Correction(
        "a DSN on the terminal",
        "paste.script.create_distro",
        why="It may have a password in it, and terminals keep what they show.",
        old="' '*(max_var-len(name)), value))",
        new="' '*(max_var-len(name)), '(not shown)' if name == 'dsn' else value))",
    ),
    Correction(
        "the file that makes a package",
        "paste.script.filemaker",
        why="Text was written to a file of bytes.",
        old='f.write("#\\n")',
        new='f.write(b"#\\n")',
    ),
    Correction(
        "writing a file made from a template",
        "paste.script.filemaker",
        why="Text was written to a file of bytes.",
        old="f = open(filename, 'wb')",
        new="f = open(filename, 'w', encoding='utf-8', newline='')",
        times=2,
    ),
    Correction(
        "reading a file made from a template",
        "paste.script.filemaker",
        why="It is compared with text.",
        old="f = open(filename, 'rb')",
        new="f = open(filename, encoding='utf-8', newline='')",
    ),
]

# WebHelpers
CORRECTIONS += [
    Correction(
        "a base that no class there has",
        "webhelpers.html.builder",
        why="UserDict's mix-in is gone.",
        old="from UserDict import DictMixin",
        new="",
    ),
    *(
        Correction(
            "what re makes of a literal",
            f"webhelpers.{module}",
            why="It was a literal on Python 2, and what was put into it was escaped; see "
            "`literal_re.py`. Without that lit_sub lets the tags of any text through.",
            old="import re\n",
            new="re = _py3.literal_re\n",
        )
        for module in ("html.builder", "html.tools", "html.converters", "text")
    ),
    Correction(
        "bytes in HTML",
        "webhelpers.html.builder",
        why="They were text while they were ASCII, and a page would show b'...'.",
        old="    from markupsafe import escape_silent as escape",
        new="    escape = _py3.escape",
    ),
    Correction(
        "bytes as a literal",
        "webhelpers.html.builder",
        why="They were text while they were ASCII, and a page would show b'...'.",
        old="    __slots__ = ()",
        new="    __slots__ = (); __new__ = _py3.new_literal",
    ),
    Correction(
        "a literal as the content of a tag",
        "webhelpers.html.builder",
        why="Its characters were literals on Python 2, and would be escaped again.",
        old='args = kw.pop("c")',
        new='args = kw.pop("c"); args = list(map(literal, args)) '
        "if isinstance(args, literal) else args",
    ),
    Correction(
        "the id that is made of a name",
        "webhelpers.html.tags",
        why="It had the letters of ASCII alone, and style sheets and scripts go by it.",
        old="re.sub(r'(?!-)\\W', \"\", idstring)",
        new="re.sub(r'(?a)(?!-)\\W', \"\", idstring)",
    ),
    Correction(
        "the base of a dictionary",
        "webhelpers.util",
        why="UserDict's mix-in is gone; the abstract class asks for the same methods.",
        old="from UserDict import DictMixin",
        new="from collections.abc import MutableMapping as DictMixin",
    ),
    Correction(
        "escaped text",
        "webhelpers.util",
        why="It is text, and was a str.",
        old="s.encode('ascii', 'xmlcharrefreplace')",
        new="s.encode('ascii', 'xmlcharrefreplace').decode('ascii')",
    ),
    Correction(
        "dates in a feed",
        "webhelpers.feedgenerator",
        why="They are text already.",
        old=").decode('utf-8'))",
        new="))",
        times=5,
    ),
    Correction(
        "the categories of a feed",
        "webhelpers.feedgenerator",
        why="force_unicode was never defined there.",
        old="[force_unicode(c)",
        new="[unicode(c)",
    ),
    Correction(
        "the number of pages",
        "webhelpers.paginate",
        why="Whole numbers were divided.",
        old="(self.item_count - 1) / self.items_per_page",
        new="(self.item_count - 1) // self.items_per_page",
    ),
    Correction(
        "a collection that cannot be sliced",
        "webhelpers.paginate",
        why="Python 3 also names the type, and since 3.12 a slice may be a key.",
        old='except TypeError, e:\n                    if str(e) == "unhashable type":',
        new="except (TypeError, KeyError), e:\n"
        '                    if str(e).startswith(("unhashable type", "slice(")):',
    ),
    Correction(
        "the number of rows of a select",
        "webhelpers.paginate",
        why="SQLAlchemy 2 has no row count for what it selects; the database counts.",
        old="self.sqlalchemy_session.execute(self.obj).rowcount",
        new="self.sqlalchemy_session.scalar(sqlalchemy.select("
        "sqlalchemy.func.count()).select_from(self.obj.subquery()))",
    ),
    Correction(
        "entities in HTML that is sanitised",
        "webhelpers.html.render",
        why="Python 3's parser would turn &lt;script&gt; into a tag.",
        old="p = HTMLSanitizer()",
        new="p = HTMLSanitizer(convert_charrefs=False)",
    ),
    Correction(
        "the names of countries",
        "webhelpers.constants",
        why="The file says Latin-1 and is UTF-8, which showed once str was not bytes.",
        old="    _country_codes = e",
        new="    _country_codes = [(code, _py3.to_text(name)) for code, name in e]",
    ),
    Correction(
        "the first bytes of a picture",
        "webhelpers.media",
        why="They are compared with text.",
        old="header = f.read(1024)",
        new="header = f.read(1024).decode('latin-1')",
    ),
    Correction(
        "the marker of a part of a JPEG",
        "webhelpers.media",
        why="It is a byte.",
        old='if marker != "\\xff":',
        new='if marker != b"\\xff":',
    ),
    Correction(
        "the name of a part of a PNG",
        "webhelpers.media",
        why="It is compared with text.",
        old="control = f.read(4)",
        new="control = f.read(4).decode('latin-1')",
    ),
    Correction(
        "the imaging library",
        "webhelpers.media",
        why="Pillow, its successor, has its modules in a package.",
        old="import Image",
        new="from PIL import Image",
    ),
    Correction(
        "the types that a browser accepts",
        "webhelpers.mimehelper",
        why="WebOb's header object is made, and asked, in another way.",
        old="webob.acceptparse.MIMEAccept('ACCEPT', ",
        new="_py3.AcceptedTypes(",
    ),
    Correction(
        "style sheets without spaces",
        "webhelpers.pylonslib.minify",
        why="cssutils gives bytes, in the encoding that the style sheet names.",
        old="f_minified_source.write(sheet.cssText)",
        new="f_minified_source.buffer.write(sheet.cssText)",
    ),
]

# Other packages, which may correct it themselves in a later release.
CORRECTIONS += [
    Correction(
        "what is raised where an object is not there",
        "paste.registry",
        why="hasattr(c, 'user') outside of a request was False on Python 2, whatever was raised.",
        old="import paste.util.threadinglocal as threadinglocal\n",
        new="import paste.util.threadinglocal as threadinglocal; "
        "_NotThere = type('NotThere', (TypeError, AttributeError), {})\n",
    ),
    Correction(
        "an object that is not there",
        "paste.registry",
        why="It was a TypeError alone; see above.",
        old="raise TypeError(\n                    'No object (name: %s)",
        new="raise _NotThere(\n                    'No object (name: %s)",
    ),
    # Paths are text of WSGI, of which each character stands for a byte (PEP 3333).
    Correction(
        "the path of a request",
        "paste.httpserver",
        why="It was decoded as UTF-8, and what decodes it again failed.",
        old="path = unquote(path)",
        new="path = unquote(path, 'latin-1')",
    ),
    Correction(
        "the address of a request",
        "paste.request",
        why="Each byte of the path was quoted as a character.",
        old="url += quote(environ.get('SCRIPT_NAME',''))",
        new="url += quote(environ.get('SCRIPT_NAME',''), encoding='latin-1')",
    ),
    Correction(
        "the path in the address of a request",
        "paste.request",
        why="Each byte of the path was quoted as a character.",
        old="url += quote(environ.get('PATH_INFO',''))",
        new="url += quote(environ.get('PATH_INFO',''), encoding='latin-1')",
    ),
    Correction(
        "static files whose names are not ASCII",
        "paste.urlparser",
        why="They were not found.",
        old="            filename = request.path_info_pop(environ)\n"
        "        full = self.normpath(",
        new="            from simpycity_template.pylons_py3.wsgi_text import to_file_name; "
        "filename = to_file_name(request.path_info_pop(environ))\n"
        "        full = self.normpath(",
    ),
    Correction(
        "files of a folder whose names are not ASCII",
        "paste.fileapp",
        why="They were not found.",
        old="path = os.path.join(self.path, path_info.lstrip('/'))",
        new="from simpycity_template.pylons_py3.wsgi_text import to_file_name; "
        "path = os.path.join(self.path, to_file_name(path_info.lstrip('/')))",
    ),
    Correction(
        "the address of a route that redirects",
        "routes.middleware",
        why="Each byte of the path was quoted as a character.",
        old="location = url(route_name, **match)",
        new="from simpycity_template.pylons_py3.wsgi_text import all_to_text; "
        "location = url(route_name, **all_to_text(match))",
    ),
    Correction(
        "the zone of dates in headers",
        "paste.httpheaders",
        why="HTTP asks for GMT, and it was -0000.",
        old="return (formatdate(time),)",
        new="return (formatdate(time, usegmt=True),)",
    ),
    Correction(
        "a project without a websetup module",
        "paste.util.import_string",
        why="Python 3 quotes the name of a missing module; setup-app took it for an error.",
        old="desc = desc[len('No module named '):]",
        new="desc = desc[len('No module named '):].strip(\"'\")",
    ),
    Correction(
        "the list of modules to watch",
        "paste.reloader",
        why="On Python 2 it was a copy; an import in another thread ended `serve --reload`.",
        old="in sys.modules.values():",
        new="in list(sys.modules.values()):",
    ),
    Correction(
        "`paster moving` in the folder of an application",
        "paste.script.command",
        why="It is for applications whose requirements are not installed, and must not ask for them.",
        old="pluginlib.find_egg_info_dir(os.getcwd())",
        new="sys.argv[1:2] != ['moving'] and pluginlib.find_egg_info_dir(os.getcwd())",
    ),
    Correction(
        "a mistake in what paster was asked",
        "paste.script.command",
        why="It ended in a traceback through PasteScript; now `cli_errors.py` says it in a sentence.",
        old="system_plugins = []\n\ndef run(",
        new="system_plugins = []; from simpycity_template.pylons_py3.cli_errors import told\n"
        "@told\ndef run(",
    ),
    Correction(
        "a requirement that is not installed",
        "paste.script.pluginlib",
        why="pkg_resources makes its message of the arguments that were replaced here.",
        old="e.args = (msg",
        new="e.message = (msg",
        times=2,
    ),
    Correction(
        "a template that there is not",
        "paste.script.create_distro",
        why="It ended in a traceback.",
        old="raise LookupError(\n                    'Template by name %r not found' % tmpl_name)",
        new="raise BadCommand('There is no template %r, but %s' % (tmpl_name,\n"
        "                    ', '.join(sorted(e.name for e in self.all_entry_points()))))",
    ),
    Correction(
        "make-config for a distribution that is not installed",
        "paste.script.appinstall",
        why="easy_install is gone, and ended in its usage; `cli_errors.py` says what is missing.",
        old='print("Must install %s" % req)',
        new="raise",
    ),
    Correction(
        "make-config without the name of a file",
        "paste.script.appinstall",
        why="A filter cannot be indexed on Python 3; it ended in a traceback.",
        old="filter(None, self.call_sysconfig_functions(\n"
        "                'default_config_filename', self.installer))",
        new="list(filter(None, self.call_sysconfig_functions(\n"
        "                'default_config_filename', self.installer)))",
    ),
    Correction(
        "a port that there is not",
        "paste.script.serve",
        why="waitress listened on another one without a word.",
        old="            return loadserver(\n",
        new="            from simpycity_template.pylons_py3.cli_errors import load_server; return load_server(\n",
    ),
    # With --monitor-restart a first process starts the one that serves, again when it has died.
    Correction(
        "what the second process of `serve --daemon --monitor-restart` does",
        "paste.script.serve",
        why="It was a daemon, too. The first took it for dead and started another, again and again.",
        old="if getattr(self.options, 'daemon', False):\n            try:\n",
        new="if (getattr(self.options, 'daemon', False) "
        "and not os.environ.get(self._monitor_environ_key)):\n            try:\n",
    ),
    Correction(
        "whose number is in the file of `serve --monitor-restart`",
        "paste.script.serve",
        why="It was the second process's, and to stop the server started it again.",
        old="            return self.restart_with_monitor()\n\n        if self.options.pid_file:\n",
        new="            if self.options.pid_file: self.record_pid(self.options.pid_file)\n"
        "            return self.restart_with_monitor()\n"
        "        if self.options.pid_file and not os.environ.get(self._monitor_environ_key):\n",
    ),
    Correction(
        "`serve --monitor-restart restart`",
        "paste.script.serve",
        why="Now the second process finds the first's number there, and would stop it.",
        old="result = self.stop_daemon()",
        new="result = not os.environ.get(self._monitor_environ_key) and self.stop_daemon()",
    ),
    Correction(
        "the end of the process that serves",
        "paste.script.serve",
        why="With --monitor-restart or --reload the first process did not wait for it, and what "
        "was started next, by hand or by `restart`, found its port taken. (Another Ctrl-C "
        "reaches the one that serves, too.)",
        old="os.kill(proc.pid, signal.SIGTERM)\n",
        new="signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "os.kill(proc.pid, signal.SIGTERM); proc.wait()\n",
    ),
    Correction(
        "how `serve --stop-daemon` stops",
        "paste.script.serve",
        why="A second SIGINT, a second later, cut off what the first had begun: to end the "
        "requests in flight and to close their sessions.",
        old="            os.kill(pid, signal.SIGINT)\n",
        new="            if j == 0: os.kill(pid, signal.SIGINT)\n",
    ),
    Correction(
        "the exit status of `serve --reload`",
        "paste.script.serve",
        why="It was 0 also where the server could not be started.",
        old="self.restart_with_monitor(reloader=True)",
        new="return self.restart_with_monitor(reloader=True)",
    ),
    Correction(
        "Ctrl-C during `serve --reload`",
        "paste.script.serve",
        why="To end the server is no failure, as it is none without --reload.",
        old="                        raise\n                    return 1\n",
        new="                        raise\n                    return 0\n",
    ),
    Correction(
        "the server's own number in a log",
        "paste.script.serve",
        why="Where output went to a file, it was written when the server had ended.",
        old="            print(msg)\n\n        def serve():",
        new="            print(msg, flush=True)\n\n        def serve():",
    ),
    Correction(
        "a mistake while `serve --reload` loads the application",
        "paste.script.serve",
        why="Only a SyntaxError was survived; after any other the command had to be typed again.",
        old="except SyntaxError as e:\n"
        "            if self.options.reload and os.environ.get(self._reloader_environ_key):\n"
        "                traceback.print_exc()\n"
        "                reloader.watch_file(e.filename)\n"
        "                while True:\n"
        "                    time.sleep(60*60)\n",
        new="except Exception as e:\n"
        "            from simpycity_template.pylons_py3 import cli_errors\n"
        "            if (self.options.reload and os.environ.get(self._reloader_environ_key)\n"
        "                    and os.path.exists(self.args[0])):\n"
        "                return cli_errors.tell_and_wait_for_change(e, reloader)\n\n",
    ),
    Correction(
        "SIGTERM while serving",
        "paste.script.serve",
        why="It is what `kill` and init systems send, and killed the process: nothing that is to "
        "happen at exit did. Now it ends the server as Ctrl-C does.",
        old="                server(app)",
        new="                _turn_sigterm_into_systemexit(); server(app)",
    ),
]

# The files that `paster create -t pylons` and `paster controller` write; they are named by their
# path in the package.
CORRECTIONS += [
    Correction(
        "how Pylons' templates are filled in",
        "pylons.util",
        why="Their text is Python 2 code, too; the entries below correct it.",
        old="staticmethod(paste_script_template_renderer)",
        new="staticmethod(_py3.render_template)",
    ),
    Correction(
        "the template engine that was asked for",
        "pylons.util",
        why="The answer was thrown away, and each project was one for Mako.",
        old="vars['template_engine'] = 'mako'\n\n        template_engine = 'mako'",
        new="\n\n        template_engine = vars['template_engine']",
    ),
    Correction(
        "the page of a controller",
        "templates/controller.py_tmpl",
        why="Its name is whole.",
        old="{{tmpl_name}}.mako",
        new="{{tmpl_name}}",
    ),
    Correction(
        "where declarative_base is",
        "templates/default_project/+package+/model/meta.py_tmpl",
        why="SQLAlchemy 2 warns of the old place.",
        old="from sqlalchemy.ext.declarative import",
        new="from sqlalchemy.orm import",
    ),
    Correction(
        "where escape is",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="cgi.escape was removed in Python 3.8, and cgi itself in 3.13.",
        old="import cgi",
        new="from html import escape",
    ),
    Correction(
        "escaping what an error document shows",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="cgi.escape was removed in Python 3.8.",
        old="cgi.escape(",
        new="escape(",
        times=2,
    ),
    Correction(
        "the page that an error document shows",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="A body is bytes, and the page is text.",
        old="literal(resp.body)",
        new="literal(resp.text)",
    ),
]

_CORRECTED = frozenset(correction.module for correction in CORRECTIONS)


def replacement(name: str) -> str | None:
    """Return the module that is imported in place of `name`, if there is one."""
    for module, by, _ in REPLACEMENTS:
        if name == module or name.startswith(module + "."):
            return by + name[len(module) :]
    return None


def check_carried(name: str) -> None:
    """Refuse a module that is not carried to Python 3, and name what to use instead.

    Raises:
        ImportError: where it is one of those.
    """
    for module, instead in MISSING:
        if name == module:
            raise ImportError(
                f"{name} is not carried to Python 3; use instead: {instead}.", name=name
            )


def is_translated(name: str) -> bool:
    """Say whether a module is Python 2 code."""
    return name.partition(".")[0] in TRANSLATED


def concerns(name: str) -> bool:
    """Say whether a module is translated or corrected."""
    return is_translated(name) or name in _CORRECTED


def check_version(package: str, paths: list[str] | None) -> None:
    """Refuse a package in another version than that of the corrections.

    Arguments:
        package: the name that is imported.
        paths: where it is installed.

    Raises:
        ImportError: where a folder of metadata beside it says another version.
    """
    if package not in VERSIONS:
        return
    name, version = VERSIONS[package]
    for path in paths or ():
        with suppress(OSError):
            # The names of these folders say it; importlib.metadata takes long to load.
            for beside in os.listdir(os.path.dirname(path)):
                found = beside.lower().removesuffix(".dist-info").removesuffix(".egg-info")
                if beside.lower() != found and found.startswith(f"{package}-"):
                    _check_version(name, version, found.split("-")[1], package)


def _check_version(name: str, version: str, found: str, package: str) -> None:
    if found != version:
        raise ImportError(
            f"{name} {found} cannot be imported: only {name} {version} is corrected for "
            f'Python 3; install it with: pip install "{name}=={version}"',
            name=package,
        )


def correct(source: str, module: str) -> str:
    """Apply the corrections of a module to its installed text.

    Raises:
        ImportError: where an entry does not fit Python 2 code, because the text is not that of
            the release that the entry was written for. Elsewhere a later release may be
            installed, and the entry is left out.
    """
    for entry in CORRECTIONS:
        if entry.module == module:
            if source.count(entry.old) == entry.times:
                source = source.replace(entry.old, entry.new)
            elif is_translated(module):
                raise ImportError(
                    f"{module} cannot be corrected for Python 3: the text of "
                    f'"{entry.name}" is not in it as expected; install the release again.',
                    name=module,
                )
    return source
