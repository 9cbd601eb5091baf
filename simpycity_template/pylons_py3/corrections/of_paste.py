"""What is corrected in Paste, PasteScript and Routes, which may correct it themselves in a later release."""

from simpycity_template.pylons_py3.corrections.entry import Correction

CORRECTIONS = [
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
    Correction(
        "where requests are kept",
        "paste.registry",
        why="gevent replaces it, which is too late for a module that has it already; see below.",
        old="import paste.util.threadinglocal as threadinglocal;",
        new="import paste.util.threadinglocal as threadinglocal; "
        "from simpycity_template.pylons_py3.greenlets import refuse_late_greenlets;",
    ),
    Correction(
        "greenlets that share a request",
        "paste.registry",
        why="Visitors got each other's request and session, without an error as a rule.",
        old="app_iter = None\n        reg = ",
        new="app_iter = refuse_late_greenlets()\n        reg = ",
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
        old="            filename = request.path_info_pop(environ)\n        full = self.normpath(",
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
        "the arguments of an address",
        "routes.util",
        why="`url.current` and `url_for` made bytes of them, which ended in a TypeError for a host or "
        "a protocol, and showed as b'...' in an anchor.",
        old="kargs[key] = val.encode(encoding)",
        new="kargs[key] = val",
    ),
    Correction(
        "bytes in an address",
        "routes.util",
        why="They showed as b'...'; the branch that leaves them as they are asked for text again.",
        old="elif isinstance(string, six.text_type):",
        new="elif isinstance(string, six.binary_type):",
        times=2,
    ),
    Correction(
        "bytes in the query of a path",
        "routes.util",
        why="They showed as b'...'.",
        old="urllib.parse.quote(six.text_type(val).encode(encoding))",
        new="_url_quote(val, encoding)",
        times=2,
    ),
    Correction(
        "bytes in a list in the query of a path",
        "routes.util",
        why="They showed as b'...'.",
        old="urllib.parse.quote(six.text_type(value).encode(encoding))",
        new="_url_quote(value, encoding)",
        times=2,
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
