"""Is what the user obtained the whole data set, and can all of it be read?

Counts are compared with the published ones, or, for a synthetic data set,
with those that its writer left in ``synthetic.json``. Own data have nothing
to compare with; for them counts tell what can be trained and measured.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from .coco_person import read_coco_person
from .cuhk_sysu import read_boxes, read_cuhk_sysu
from .cuhk_sysu_protocols import PROTOCOL_FILES
from .errors import DatasetError
from .json_files import read_json
from .matfile import CELL, STRUCT, iter_mat, read_mat
from .person_search_dataset import list_images
from .prw import (
    QUERY_FILE,
    read_frame,
    read_frame_names,
    read_probes,
    read_prw,
)
from .published_counts import PUBLISHED
from .records import SplitRecords, check_root
from .transforms import ClipPeople, LoadScene

MARKER = 'synthetic.json'
#: Layout -> a file that only this layout has.
LAYOUTS = {
    'cuhk-sysu': 'annotation/Images.mat',
    'prw': 'frame_train.mat',
    'coco-person': 'annotations/train.json',
}
READERS = {
    'cuhk-sysu': read_cuhk_sysu,
    'prw': read_prw,
    'coco-person': lambda root, split: read_coco_person(
        root, split, f'annotations/{split}.json'
    ),
}


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        layout: One of ``LAYOUTS``.
        source: Where the expected counts come from.
        found: Counts by name; empty if a file could not be read.
        expected: Counts by name; only some may be known.
        problems: Every file that is missing or broken, in words.
        warnings: What cannot be trained or measured, or is measured wrongly,
            though every file can be read.
        notes: Oddities that do not matter by themselves.
    """

    layout: str
    source: str
    found: dict[str, int]
    expected: dict[str, int]
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> list[str]:
        """Names of counts that were expected, found, and differ."""
        both = self.expected.keys() & self.found.keys()
        return sorted(n for n in both if self.expected[n] != self.found[n])

    @property
    def is_readable(self) -> bool:
        """Whether all files can be read and no count differs."""
        return not self.problems and not self.differences

    @property
    def is_complete(self) -> bool:
        """Whether, besides, everything can be trained and measured."""
        return self.is_readable and not self.warnings


def check_dataset(
    root: str | Path,
    *,
    layout: str | None = None,
    own: bool = False,
    decode: bool = False,
    jobs: int = 1,
    progress: Callable = iter,
) -> Report:
    """Check a data set.

    Args:
        root: Folder that the layout calls its root.
        layout: One of ``LAYOUTS``; None to find out.
        own: Whether the data are own ones in a published layout, whose counts
            say nothing about them.
        decode: Whether to decode every image and compare the boxes of people
            and queries with its size, which takes minutes for a real data
            set.
        jobs: Images decoded at a time.
        progress: Wraps the iteration over images, e.g. ``tqdm``.
    """
    root = check_root(root)
    layout = layout or detect_layout(root)
    if layout not in LAYOUTS:
        raise ValueError(f'layout {layout!r} is none of {list(LAYOUTS)}')
    source, expected = ('none', {}) if own else expected_counts(root, layout)
    problems, halves = list(broken_files(root, layout)), {}
    for split in ('train', 'test') if not problems else ():
        try:
            halves[split] = READERS[layout](root, split)
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        return Report(layout, source, {}, expected, tuple(problems))
    images = [i for s, half in halves.items() for i in list_images(half, s)]
    look = check_image if decode else check_presence
    with ThreadPoolExecutor(jobs) as pool:  # decoding runs without the GIL
        problems += filter(None, progress(pool.map(look, images)))
    notes = [note for half in halves.values() for note in half.notes]
    if layout == 'prw' and not own:
        notes += compare_identities(root, halves)
    found = count(halves['train'], halves['test'])
    report = Report(
        layout=layout,
        source=source,
        found=found,
        expected=expected,
        problems=tuple(problems),
        warnings=(*limits(found), *shared_people(halves)),
        notes=tuple(notes),
    )
    if source == 'published' and len(report.differences) > len(expected) / 2:
        note = 'own data in this layout? --own compares no published counts'
        report = replace(report, notes=(*report.notes, note))
    return report


def table(report: Report) -> str:
    """Lay the counts out in columns, and mark what differs."""
    lines = [f'{"":<32}{report.source:>12}{"found":>12}']
    for name in dict.fromkeys([*report.expected, *report.found]):
        expected = report.expected.get(name, '')
        found = report.found.get(name, 'not there')
        mark = '  differs' if name in report.differences else ''
        lines.append(f'{name:<32}{expected:>12}{found:>12}{mark}')
    return '\n'.join(lines)


def detect_layout(root: Path) -> str:
    """Return the layout whose typical file is there."""
    for layout, file in LAYOUTS.items():
        if (root / file).is_file():
            return layout
    raise DatasetError(
        root,
        f'has none of {", ".join(LAYOUTS.values())}, so its layout is unknown',
        'is this the root that docs/datasets.md means? Otherwise name the '
        'layout, and the missing files are listed',
    )


def expected_counts(root: Path, layout: str) -> tuple[str, dict[str, int]]:
    """Return where the expected counts come from, and the counts."""
    marker = root / MARKER
    if not marker.is_file():
        source = 'published' if PUBLISHED[layout] else 'none'
        return source, PUBLISHED[layout]
    content = read_json(marker)
    try:
        counts = content['counts']
        counts = {str(name): int(number) for name, number in counts.items()}
    except (
        *(ArithmeticError, AttributeError, KeyError, TypeError, ValueError),
    ) as error:
        raise DatasetError(
            marker, f"has no 'counts' that can be read ({error!r})"
        ) from error
    return MARKER, counts


def count(train: SplitRecords, test: SplitRecords) -> dict[str, int]:
    """Return all counts that this module knows the names of."""
    found = {}
    for split, half in (('train', train), ('test', test)):
        names = [name for image in half.images for name in image.identities]
        labelled = sum(name is not None for name in names)
        found[f'images/{split}'] = len(half.images)
        found[f'boxes/{split}'] = len(names)
        found[f'labelled/{split}'] = labelled
        found[f'unlabelled/{split}'] = len(names) - labelled
        found[f'identities/{split}'] = len(people_of(half))
        found[f'images without identity/{split}'] = sum(
            not any(image.identities) for image in half.images
        )
    for name, protocol in test.protocols.items():
        found[f'queries/{name}'] = len(protocol.queries)
        found[f'positives/{name}'] = sum(
            len(gallery.positives) for gallery in protocol.galleries
        )
    main = next(iter(test.protocols.values()), None)
    asked = () if main is None else main.queries
    found['queries'] = len(asked)
    found['query images'] = len(
        {test.queries[position].image for position in asked}
    )
    return found


def limits(found: dict[str, int]) -> Iterator[str]:
    """Say what cannot be trained or measured with such counts.

    Args:
        found: From ``count``.
    """
    for split, use in (('train', 'trained'), ('test', 'measured')):
        if not found[f'boxes/{split}']:
            yield f'no box in {split}: detection cannot be {use}'
    if not found['identities/train']:
        yield (
            'no identity in train: no network that searches can be trained, '
            'detectors can'
        )
    elif not found['identities/test']:
        yield 'no identity in test: search cannot be measured, detection can'
    if not found['queries']:
        yield 'no query: search cannot be measured, detection can'
    for key, number in found.items():
        kind, _, name = key.partition('/')
        if kind == 'positives' and found[f'queries/{name}'] and not number:
            yield (
                f'protocol {name!r}: no gallery shows the person of its query '
                'again: search cannot be measured, every score is 0'
            )


def shared_people(halves: dict[str, SplitRecords]) -> Iterator[str]:
    """Name people who are trained on and tested with.

    Args:
        halves: 'train' and 'test' -> what was read.
    """
    test = people_of(halves['test'])
    shared = sorted(test.intersection(halves['train'].identity_names))
    if shared:
        names = ', '.join(shared[:5]) + ', ...' * (len(shared) > 5)
        yield (
            f'{len(shared)} of {len(test)} people of test are in train, too '
            f'({names}): figures of search are too high for people whom the '
            'network has never seen'
        )


def people_of(half: SplitRecords) -> set[str]:
    """Names of the identities of a split: of a test set, the searched ones.

    Test frames of PRW also show labelled people who are no query anywhere.
    """
    searched = {query.identity for query in half.queries}
    return searched or set(half.identity_names)


def check_presence(image: dict) -> str | None:
    """Return what is wrong with the file of an image, without opening it."""
    path = Path(image['img_path'])
    try:
        if not path.is_file():
            return f'{path}: no such image'
        return None if path.stat().st_size else f'{path}: is empty'
    except OSError as error:  # such as a name that is too long
        return f'{path}: {error.strerror}'


def check_image(image: dict) -> str | None:
    """Return what is wrong with an image, its people or its queries."""
    try:
        ClipPeople().transform(LoadScene().transform(dict(image)))
    except DatasetError as error:
        return f'{error.file}: {error.problem}'
    return None


def broken_files(root: Path, layout: str) -> Iterator[str]:
    """Name every annotation file that is missing or cannot be read."""
    if layout == 'coco-person':
        return  # one file for each half, which is read next
    if layout == 'prw':
        yield from _broken_frames(root)
        yield from _errors(partial(read_probes, root / QUERY_FILE))
        return
    folder = root / 'annotation'
    yield from _errors(partial(read_boxes, root))
    yield from _errors(partial(read_mat, folder / 'pool.mat', 'pool'))
    tests = {
        p: v
        for p, v in PROTOCOL_FILES.values()
        if (folder / 'test' / p).is_file()
    }
    for file, variable, kind in (
        ('train_test/Train.mat', 'Train', CELL),
        *((file, variable, STRUCT) for file, variable in tests.items()),
    ):
        rows = iter_mat(folder / 'test' / file, variable, kind)
        yield from _errors(lambda rows=rows: deque(rows, maxlen=0))


def _broken_frames(root: Path) -> Iterator[str]:
    for split in ('train', 'test'):
        try:
            names = read_frame_names(root, split)
        except DatasetError as error:
            yield str(error)
            continue
        for name in names:
            yield from _errors(partial(read_frame, root, name))


def _errors(read: Callable) -> Iterator[str]:
    try:
        read()
    except DatasetError as error:
        yield str(error)


def compare_identities(root: Path, halves: dict) -> Iterator[str]:
    """Compare the people in the frames of PRW with its lists of people."""
    for split, variable in (('train', 'ID_train'), ('test', 'ID_test2')):
        try:
            listed = read_mat(root / f'ID_{split}.mat', variable)
            listed = {str(int(value)) for value in np.ravel(listed)}
        except (ArithmeticError, TypeError, ValueError) as error:
            yield f'{error} (not needed, it only lists the identities)'
            continue
        seen = people_of(halves[split])
        if listed != seen:
            yield (
                f'ID_{split}.mat and the frames differ in the identities '
                f'{sorted(listed ^ seen, key=int)[:10]}'
            )
