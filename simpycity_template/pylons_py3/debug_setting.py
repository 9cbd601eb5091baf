"""Where an INI file may turn the debugger on: in [DEFAULT] alone."""

from configparser import ConfigParser

from paste.deploy.converters import asbool


def shows_debugger(global_conf, errorware):
    """Return whether errors are answered with the debugger: whether [DEFAULT] says so.

    Raises:
        BadCommand: the application's own section says otherwise, which would have no effect.
    """
    debug = asbool(global_conf.get("debug"))
    file = global_conf.get("__file__", "the INI file")
    said = [("the application's section", errorware.get("debug", debug)), *_debug_of_sections(file)]
    for section, value in said:
        if asbool(value) != debug:
            # It loads much that only paster needs, and has loaded.
            from paste.script.command import BadCommand

            raise BadCommand(
                f"{file}: debug is {str(debug).lower()} in [DEFAULT] and {str(value).lower()} in "
                f"{section}, where it has no effect: write it in [DEFAULT] alone. Where it is "
                "true, an error gives its visitor a console that runs any code."
            )
    return debug


def _debug_of_sections(file):
    """Yield the sections of applications that have a debug of their own, and its value.

    PasteDeploy passes over what stands in [DEFAULT], too.
    """
    # So that [DEFAULT] is a section like others here, and adds nothing to them.
    parser = ConfigParser(interpolation=None, strict=False, default_section="")
    parser.read(file, encoding="utf-8")
    for name in parser.sections():
        if name.partition(":")[0] in ("app", "application") and parser.has_option(name, "debug"):
            yield f"[{name}]", parser.get(name, "debug")
