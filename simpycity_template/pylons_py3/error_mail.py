"""The report of an error by mail."""

import smtplib

from backlash.tracing.reporters.mail import EmailReporter
from paste.util.converters import aslist

# Seconds that a mail server may take for each answer, while the visitor waits.
MAIL_TIMEOUT = 10

# What a mail says of the request: nothing that proves who somebody is, and no query.
MAILED = (
    *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "CONTENT_TYPE", "CONTENT_LENGTH"),
    *("HTTP_HOST", "HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE"),
    *("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme"),
)


class Mail(EmailReporter):
    """Reports by mail, and waits only so long for the server."""

    def report(self, traceback):
        with smtplib.SMTP(self.smtp_server, timeout=MAIL_TIMEOUT) as server:
            if self.smtp_use_tls:
                server.starttls()
            if self.smtp_username and self.smtp_password:
                server.login(self.smtp_username, self.smtp_password)
            message = self.assemble_email(traceback)
            # An error's text may have whatever ends a line, and a header is one line.
            subject = " ".join(str(message["Subject"]).split())
            message.replace_header("Subject", subject)
            server.send_message(message, self.from_address, self.error_email)


def addresses(setting):
    """Return a setting as a list: of what is separated by commas and spaces."""
    if isinstance(setting, str):
        setting = setting.replace(",", " ")
    return aslist(setting)
