"""Notes in the folder of an archive: JSON, which anybody may have written."""

import json
from os import PathLike
from pathlib import Path

from mmps.errors import InputError

FORMAT, VERSION = 'mmps archive', 1
#: Entries of a note -> their types; in the place of types, those of entries.
NETWORK = {
    'network': str,
    'det_thr': int | float,
    'dims': int,
    **dict.fromkeys(('model', 'weights'), str | None),
}
INDEX = {'partitions': int, 'probes': int, 'recall': float | int | None}
ENTRY = {
    'when': float | int,
    'people': int,
    'by': {
        'cameras': list | None,
        **dict.fromkeys(('after', 'before'), float | int | None),
        'path': bool,
    },
}
DELETION = {
    'condition': str,
    'entry': ENTRY,
    'fragments': list,
    'index': dict | None,
}


def is_archive(path: str | PathLike) -> bool:
    """Whether a folder is an archive, of any version."""
    return Path(path, 'archive.json').is_file()


def read_network(path: Path) -> dict:
    """What an archive says of its network.

    Raises:
        FileNotFoundError: There is no archive.
        InputError: It is of another version, or not one.
    """
    if not is_archive(path):
        raise FileNotFoundError(
            f'{path}: is no archive; `mmps archive add` makes one'
        )
    file = path / 'archive.json'
    notes = read_note(file, NETWORK)
    made = notes.get('format'), notes.get('version')
    if made != (FORMAT, VERSION):
        raise _foreign(file, f'it is {made[0]!r:.80}, version {made[1]!r:.80}')
    return notes


def read_note(file: Path, kinds: dict) -> dict:
    """A file that is one object.

    Args:
        file: Is there.
        kinds: Such as ``NETWORK``.

    Raises:
        InputError: It is something else, or lacks an entry.
    """
    return parse_note(file.read_text(errors='replace'), kinds, file)


def parse_note(text: str, kinds: dict, file: Path) -> dict:
    """As ``read_note``, of a text that stands in a file."""
    try:
        note = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _foreign(file, error) from error
    return check_note(note, kinds, file)


def check_note(note: object, kinds: dict, file: Path) -> dict:
    """The same object, if its entries are of these types.

    Raises:
        InputError: They are not.
    """
    if not isinstance(note, dict):
        raise _foreign(file, f'{note!r:.80} is no object')
    for name, kind in kinds.items():
        if isinstance(kind, dict):
            check_note(note.get(name), kind, file)
        elif not isinstance(note.get(name), kind):
            raise _foreign(file, f'{name} is {note.get(name)!r:.80}')
    return note


def _foreign(file: Path, why: object) -> InputError:
    return InputError(
        file,
        f'is not that of an archive that this program reads ({why})',
        'Give another folder, or the version of mmps that wrote it',
    )
