"""What is corrected in Pylons 1.0.3."""

from simpycity_template.pylons_py3.corrections.entry import Correction

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
        "where a new controller answers",
        "pylons.commands",
        why="Nobody said it.",
        old="template_renderer=_py3.render_template)\n"
        "            if not self.options.no_test:\n                file_op.copy_file(\n"
        "                    template='test_controller.py_tmpl',",
        new="template_renderer=_py3.render_template); _py3.say_address(file_op, base_package)\n"
        "            if not self.options.no_test:\n                file_op.copy_file(\n"
        "                    template='test_controller.py_tmpl',",
    ),
    Correction(
        "the route of a REST controller",
        "pylons.commands",
        why="Its own tests failed until it was added.",
        old="            print resource_command",
        new="            print _py3.route_of(file_op, base_package) or resource_command",
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
]
