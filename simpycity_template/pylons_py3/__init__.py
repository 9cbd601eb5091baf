"""Makes the installed, unchanged Pylons 1.0.3 importable on Python 3.

    startup.py       hooks into `import`, and loads nothing else
    importer.py      finds the installed files, and loads their translation
    cache.py         keeps the byte code
    translation.py   Python 2 source to Python 3 source, line by line
    corrections/     the list of what is corrected, and why; files by package
    runtime.py       what corrected lines call
    wsgi_text.py     text of WSGI, of which each character stands for a byte
    responses.py     what WebOb's responses take
    nose/            what tests take from nose
    literal_re.py    re, for which a piece of a literal is a literal, as it was
    cli_errors.py    what paster says of a mistake, in place of a traceback
    errors.py        the debugger and the error handler, in WebError's place
    pytest_plugin.py what Pylons' plugin for nose did
    coverage_plugin.py  which lines of translated modules coverage.py counts

This package stands alone: it knows nothing of the rest of the distribution.
"""
