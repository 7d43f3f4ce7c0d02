"""The command line: the verbs of the public surface, ``zoo VERB --help`` for each.

Exit codes: 0 done, 1 a check failed (verify), 2 a mistake in what was asked, 130 interrupted.
What a command was asked for goes to standard output, everything else to standard error. Nothing
here imports torch before a command needs it, so that ``zoo list`` answers at once.
"""

from zoo.startup import collector_paused

with collector_paused():
    from zoo.cli import (  # noqa: F401  (their commands join the app)
        anomaly,
        average,
        catalogue,
        compare,
        compress,
        draw,
        impute,
        label,
        make,
        measure,
        report,
        studies,
        train,
    )
    from zoo.cli.app import app, main

__all__ = ["app", "main"]
