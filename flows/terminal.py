"""The run's log in the terminal: progress lines, warnings, and no traceback for what a user can mend."""

from __future__ import annotations

import logging


class _WithoutTraceback(logging.Filter):
    """A ValueError is a message for the user; it is printed once, at the end, by the command line."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ValueError):
            return False
        return "Finished in state Failed" not in record.getMessage()


def readable_logs() -> None:
    """Shape what Prefect's console prints; call it before a flow runs."""
    import prefect.logging.configuration as configuration

    configuration.setup_logging()
    for name in ("prefect", "mixstitch"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_WithoutTraceback())
