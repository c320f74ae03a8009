"""Score the findings of pairs that are on disk, without network or data set.

A test leaves its queries and protocols beside the findings, so that other
options and, where all of their pairs are there, other protocols can be scored
from the files alone.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmps.structures import Protocol, Query

from .npz import Kind, meta_entry, read_npz, write_npz
from .pair_findings import by_query
from .pair_store import Identities, PairStore
from .pairs import images_to_search
from .scoring import Scored, check_options, score_findings, select
from .search_arrays import (
    protocols_from_arrays,
    protocols_to_arrays,
    queries_from_arrays,
    queries_to_arrays,
)

TEST_SET = Kind('mmps test set', 1, 'test set', 'a test of pairs')


@dataclass(frozen=True, eq=False)
class SearchSet:
    """What scoring needs of a test set beside the findings.

    Attributes:
        image_names: metainfo['image_names'] of the test set.
        queries: All of them.
        protocols: Name -> protocol, all that were loaded.
        identities: What identifies each image and each query.
    """

    image_names: list[str]
    queries: tuple[Query, ...]
    protocols: dict[str, Protocol]
    identities: Identities


def note_test_set(folder: Path, meta: Mapping, identities: Identities) -> None:
    """Leave the test set in the folder of a network.

    Args:
        folder: Folder of one network, ``work_dir/pairs/<fingerprint>``.
        meta: Metainfo of the data set.
        identities: What identifies each image and each query.
    """
    protocols = meta['protocols']
    arrays = {
        'image_names': np.array(meta['image_names'], dtype=np.str_),
        'image_identities': identities.images,
        'query_identities_of': identities.queries,
        **queries_to_arrays(meta['queries']),
        **protocols_to_arrays(protocols),
    }
    digest = hashlib.sha256(json.dumps(list(protocols)).encode())
    for name, value in sorted(arrays.items()):
        digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    file = folder / f'test_set_{digest.hexdigest()[:16]}.npz'
    if file.exists():
        os.utime(file)  # the last that was tested
        return
    notes = dict(protocols=list(protocols))
    write_npz(file, {**arrays, 'meta': meta_entry(TEST_SET, notes)})


def read_search_set(file: Path) -> SearchSet:
    """Inverse of ``note_test_set``."""
    return read_npz(
        file,
        TEST_SET,
        lambda arrays, meta: SearchSet(
            [str(name) for name in arrays['image_names']],
            queries_from_arrays(arrays),
            protocols_from_arrays(arrays, meta['protocols']),
            Identities(
                arrays['image_identities'], arrays['query_identities_of']
            ),
        ),
    )


def score_stored(
    folder: str | os.PathLike,
    *,
    det_thr: float = 0.5,
    protocols: Sequence[str] | None = None,
    duplicates: str = 'seqnet',
    cws: bool = False,
) -> Scored:
    """Score what tests of pairs have left in the folder of a network.

    Args:
        folder: ``<work_dir>/pairs/<network>``.
        det_thr: Detections below this score are not there; at least that of
            the test.
        protocols: Names; None for all whose pairs are all there.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
        cws: Add rows where similarity is multiplied by the detection score.

    Raises:
        FileNotFoundError: The folder has no test set.
        ValueError: Pairs of a protocol are missing.
    """
    check_options(
        det_thr=det_thr, protocols=protocols, duplicates=duplicates, cbgm=None
    )
    folder = Path(folder)
    files = sorted(folder.glob('test_set_*.npz'), key=os.path.getmtime)
    if not files:
        raise FileNotFoundError(
            f'{folder} has no findings of pairs; a test of a query-guided '
            'network leaves them in <work_dir>/pairs/<network>'
        )
    sets = [read_search_set(file) for file in reversed(files)]
    known = {n: p for s in reversed(sets) for n, p in s.protocols.items()}
    left = set(select(known, protocols))
    scored, missing, too_high = Scored({}, []), {}, 0
    for searched in sets:  # of the last test first
        store = PairStore(folder, searched.identities, det_thr)
        asked = {n: p for n, p in searched.protocols.items() if n in left}
        wanted = images_to_search(asked, len(searched.image_names))
        usable, above = store.usable(wanted)
        too_high += above
        found = by_query(store.read(usable, wanted), wanted)
        lacks = {
            name: _missing(protocol, found, len(searched.image_names), name)
            for name, protocol in asked.items()
        }
        missing = {**lacks, **missing}
        complete = {n: p for n, p in asked.items() if not lacks[n]}
        left -= complete.keys()
        more = score_findings(
            found,
            complete,
            searched.queries,
            searched.image_names,
            duplicates=duplicates,
            cws=cws,
        )
        scored = Scored(
            {**scored.result, **more.result}, scored.queries + more.queries
        )
    if not scored.result or (protocols is not None and left):
        missing = {
            n: 0 if n not in left else num for n, num in missing.items()
        }
        raise ValueError(_what_is_missing(folder, missing, too_high, det_thr))
    return scored


def _missing(
    protocol: Protocol, found: Mapping, num_images: int, name: str
) -> int:
    """How many pairs of a protocol are not there."""
    wanted = images_to_search({name: protocol}, num_images)
    return sum(
        len(np.setdiff1d(images, found[query].images))
        for query, images in wanted.items()
    )


def _what_is_missing(
    folder: Path, missing: Mapping[str, int], too_high: int, det_thr: float
) -> str:
    counts = ', '.join(f'{name} {num}' for name, num in missing.items() if num)
    there = ', '.join(name for name, num in missing.items() if not num)
    text = f'{folder}: pairs that were not run: {counts}'
    if too_high:
        text += (
            f'; {too_high} were run at a det_thr above {det_thr:g}; use the '
            'det_thr of the test'
        )
    return (
        f'{text}; complete: {there or "no protocol"}. A cascade or '
        'num_queries leaves pairs out: test without them'
    )
