"""JSON files of annotations."""

import json
import re
from pathlib import Path

from .errors import DatasetError

#: Half of a pair of UTF-16, which means nothing alone; as JSON writes it.
_HALF = re.compile(r'\\u[dD][89a-fA-F]')


def read_json(file: Path) -> object:
    """Content of a JSON file.

    Raises:
        DatasetError: It is missing, no JSON, nested too deep, or has text
            that cannot be written anywhere.
    """
    try:
        text = file.read_text('utf-8')
        content = json.loads(text)
        if _HALF.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(file, f'cannot be read as JSON: {error}') from error
    return content
