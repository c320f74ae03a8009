"""Text files that are there whole or not at all."""

import os
from pathlib import Path


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a file in UTF-8; until it is whole the old one stays.

    Args:
        path: Its folder is made if it does not exist.
        text: Lines end as they do here, whatever the system.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        with partial.open('w', encoding='utf-8', newline='') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
