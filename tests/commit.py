"""Which code gave a result that is kept."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commit() -> str:
    """Short hash of the code; with + where it was changed."""
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty=+', '--exclude=*'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
