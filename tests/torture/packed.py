"""Archives that would write elsewhere, or take all memory.

Whatever of mmps reads an archive is given archives of strangers: checkpoints
(zip, and tar as torch once wrote it), dumps and indexes (zip).
"""

import gzip
import hashlib
import io
import random
import stat
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch

from mmps.checkpoints import (
    CheckpointError,
    load_checkpoint_file,
    newest_valid_checkpoint,
)
from mmps.distillation import read_table
from mmps.evaluation import read_dump, write_dump
from mmps.inference.gallery_index import GalleryIndex
from mmps.published.source import read_published
from tests.evaluation.random_sets import random_features

from .damage import limits, quiet
from .trial import Trial

#: Bytes that a bomb inflates to.
_BOMB = 400_000_000
_DEVICES = ('CON', 'NUL', 'aux.txt', 'COM1', '/dev/null', '/dev/stdout')


def attack(trial: Trial) -> str:
    """Give archives to all who read one; nothing may be written."""
    place = trial.folder / 'place'
    place.mkdir()
    temporary = trial.folder / 'temporary'
    temporary.mkdir()
    makers, counts = _Makers(trial.folder), Counter()
    slowest, most = 0.0, 0.0
    before = tempfile.tempdir
    tempfile.tempdir = str(temporary)
    try:
        for number, rng in trial.each():
            name, reader = rng.choice(list(_READERS.items()))
            path = place / ('epoch_1.pth' if '.pth' in name else 'x.npz')
            path.write_bytes(makers.archive(rng, place, '.pth' in name))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            beside = path.with_name(f'{path.name}.sha256')
            if rng.random() < 0.5:
                beside.write_text(digest)
            given = _files(trial.folder)
            refusal = CheckpointError if '.pth' in name else ValueError
            with trial.attempt(number), quiet(), limits(name) as spent:
                try:
                    reader(path, digest)
                    counts['read'] += 1
                except refusal:
                    counts['refused'] += 1
            with trial.attempt(number):
                more = _files(trial.folder) - given
                assert not more, f'{name} has written {sorted(more)[:3]}'
            slowest = max(slowest, spent.seconds)
            most = max(most, spent.megabytes)
            path.unlink()
            beside.unlink(missing_ok=True)
    finally:
        tempfile.tempdir = before
    if trial.done >= 200:
        with trial.attempt(trial.done):
            assert makers.escaped > 50, 'these archives would not escape'
            assert counts['read'] > 5
    return (
        f'0 files written, {counts["refused"]:,} archives refused, '
        f'{counts["read"]:,} whole but for names that nobody unpacks; '
        f'slowest {slowest:.2f} s, {most:.0f} MB'
    )


def _files(folder: Path) -> set[str]:
    """All that is there, and beside the folder, where '..' would lead."""
    return {
        *(str(path) for path in folder.rglob('*')),
        *(str(path) for path in folder.parent.glob('escaped*')),
        *(str(path) for path in Path.cwd().glob('escaped*')),
    }


_READERS: dict[str, Callable[[Path, str], object]] = {
    'checkpoint.pth': lambda path, digest: load_checkpoint_file(path),
    'known checkpoint.pth': lambda path, digest: load_checkpoint_file(
        path, sha256=digest
    ),
    'published.pth': read_published,
    'table.pth': lambda path, digest: read_table(path),
    'newest.pth': lambda path, digest: newest_valid_checkpoint(path.parent),
    'dump': lambda path, digest: read_dump(path),
    'index': lambda path, digest: GalleryIndex.load(path),
}


class _Makers:
    """Makes archives: some of nothing else, some of a whole file and more.

    Attributes:
        escaped: How many of them write elsewhere when they are unpacked
            carelessly.
    """

    def __init__(self, folder: Path) -> None:
        checkpoint = io.BytesIO()
        weights = {'a': torch.arange(6.0)}
        torch.save(
            {'state_dict': weights, 'model': weights, 'meta': {}}, checkpoint
        )
        write_dump(random_features(seed=2, ties=False), folder / 'whole.npz')
        self._whole = {
            True: checkpoint.getvalue(),
            False: (folder / 'whole.npz').read_bytes(),
        }
        self.escaped = 0

    @cached_property
    def _bomb(self) -> bytes:
        """Packed once: to pack zeros takes longer than all else."""
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive,
            archive.open('archive/data.pkl', 'w') as entry,
        ):
            for _ in range(_BOMB // 10**7):
                entry.write(bytes(10**7))
        return buffer.getvalue()

    def archive(
        self, rng: random.Random, place: Path, is_checkpoint: bool
    ) -> bytes:
        """The bytes of an archive."""
        make = rng.choice((self._zip, self._zip, self._added, self._tar))
        if rng.random() < 0.1:
            make = self._bombs
        return make(rng, place, is_checkpoint)

    def _name(self, rng: random.Random, place: Path) -> str:
        name = f'escaped{rng.randrange(10**6)}'
        kinds = (
            *('../' * rng.randint(1, 6) + name, f'archive/../../{name}'),
            *(str(place.parent / name), f'/{name}', f'..\\..\\{name}'),
            *(f'archive/data/../../../{name}', f'C:\\{name}', f'~/{name}'),
            *(f'{name}/', f'./{name}', '\u202e' + name, '..', '.', ' '),
            rng.choice(_DEVICES),
        )
        found = rng.choice(kinds)
        self.escaped += found.startswith(('..', '/'))
        return found

    def _entries(self, rng: random.Random, place: Path) -> list:
        return [
            (self._name(rng, place), rng.randbytes(rng.randint(0, 60)))
            for _ in range(rng.randint(1, 5))
        ]

    def _zip(self, rng, place, is_checkpoint) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            self._write(archive, rng, place)
        return buffer.getvalue()

    def _write(self, archive: zipfile.ZipFile, rng, place: Path) -> None:
        for name, content in dict(self._entries(rng, place)).items():
            entry = zipfile.ZipInfo(name)
            kind = rng.choice(
                (stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO)
            )
            entry.external_attr = (kind | 0o777) << 16
            if kind == stat.S_IFLNK:
                content = rng.choice((b'/etc/passwd', b'../../..', b'/'))
            archive.writestr(entry, content)

    def _added(self, rng, place, is_checkpoint) -> bytes:
        """Behind the entries of a whole file."""
        buffer = io.BytesIO(self._whole[is_checkpoint])
        with zipfile.ZipFile(buffer, 'a') as archive:
            self._write(archive, rng, place)
        return buffer.getvalue()

    def _tar(self, rng, place, is_checkpoint) -> bytes:
        buffer = io.BytesIO()
        mode = rng.choice(('w', 'w', 'w:gz'))
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for part in ('sys_info', 'pickle', 'storages', 'tensors'):
                entry = tarfile.TarInfo(part)
                entry.size = 4
                archive.addfile(entry, io.BytesIO(b'\x80\x02].'))
            for name, content in self._entries(rng, place):
                entry = tarfile.TarInfo(name)
                entry.type = rng.choice(
                    (
                        *(tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE),
                        *(tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE),
                    )
                )
                entry.linkname = rng.choice(('/etc/passwd', '../..'))
                if entry.isreg():
                    entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    def _bombs(self, rng, place, is_checkpoint) -> bytes:
        """A huge ratio; the same bytes many times; a lie about a size."""
        kind = rng.randrange(4)
        if kind == 0:
            return self._bomb
        if kind == 1:
            return gzip.compress(self._bomb)
        content = bytearray(self._whole[is_checkpoint])
        entry = content.index(b'PK\x01\x02')
        if kind == 2:  # sizes of the first entry, packed and unpacked
            size = rng.choice((2**31, 2**32 - 2, 10**9)).to_bytes(4, 'little')
            content[entry + 20 : entry + 28] = size * 2
            return bytes(content)
        buffer = io.BytesIO(bytes(content))
        with zipfile.ZipFile(buffer, 'a') as archive:
            large = max(archive.filelist, key=lambda each: each.file_size)
            archive.filelist += [large] * rng.randint(100, 3000)
            archive._didModify = True
        return buffer.getvalue()
