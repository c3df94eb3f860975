"""Python in a process of its own, with the checkout and the tests on its path."""

import os
import subprocess
import sys


def run_python(
    *argv: str, check: bool = True, timeout: float = 60, **environ: str
) -> subprocess.CompletedProcess[str]:
    here = os.path.dirname(__file__)
    first = environ.pop("PYTHONPATH", "")  # shadows what is installed
    paths = [first, here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environ}
    command = [sys.executable, *argv]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=check, timeout=timeout
    )
