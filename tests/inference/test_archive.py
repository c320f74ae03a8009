"""Files come into an archive once, whatever happens on the way."""

import fcntl
import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('lancedb')

from mmps.commands import main
from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.inference import LanceStore, Match, Origins, Source, Where
from mmps.inference.archive import ArchiveWriter
from mmps.inference.store_locks import Claims, exclusive
from tests.inference.archive_kills import campaign, check
from tests.inference.fake_people import (
    FRAMES,
    FakePeople,
    people_of,
    sources_of,
)
from tests.inference.rankings import assert_same_matches

NOON = 1.7e9


@pytest.fixture
def files_of_scenes(data):
    return sorted(map(str, (data / 'Image/SSM').glob('*.jpg')))[:3]


@pytest.fixture
def files(tmp_path):
    """Images of two cameras, and a video."""
    folder = tmp_path / 'files'
    for number, name in enumerate(
        ('gate/0.jpg', 'gate/1.jpg', 'gate/2.mp4', 'back/3.jpg', 'back/4.png')
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'%d' % number)
        os.utime(path, (NOON + number, NOON + number))
    return folder


def add(store, files, people=None, origins=None, **options):
    people = people or FakePeople()
    writer = ArchiveWriter(store, files, origins or Origins())
    return writer.add(people, **options), people


def everybody(store):
    archive = LanceStore(store)
    found = archive.candidates(
        np.eye(archive.dims, dtype=np.float32)[0], len(archive) + 1
    )
    return sorted(
        (source.image, source.frame or 0, int(number))
        for source, number in zip(found.sources, found.numbers, strict=True)
    )


def test_the_second_time_nothing_is_looked_at(tmp_path, files):
    store = tmp_path / 'store'
    added, people = add(store, [str(files)])
    assert added.files == 5
    assert len(people.seen) == 4 + FRAMES
    before = everybody(store)
    assert added.people == len(before) == len(LanceStore(store)) > 5
    again, people = add(store, [str(files), str(files / 'gate')])
    assert (again.files, again.known, people.seen) == (0, 5, [])
    assert everybody(store) == before
    cameras = LanceStore(store).cameras()
    assert set(cameras) == {'gate', 'back'}
    assert cameras['back'][1] >= NOON + 3


def test_a_file_that_has_changed_replaces_itself(tmp_path, files):
    store = tmp_path / 'store'
    add(store, [str(files)])
    before = everybody(store)
    changed = files / 'gate/2.mp4'
    os.utime(changed, (NOON + 50, NOON + 50))
    added, people = add(store, [str(files)])
    assert (added.files, added.known) == (1, 4)
    assert people.seen == sources_of(str(changed))
    assert everybody(store) == before
    assert LanceStore(store).cameras()['gate'][2] > NOON + 50


def test_a_video_goes_on_where_it_was(tmp_path, files):
    store = tmp_path / 'store'
    video = str(files / 'gate/2.mp4')
    sources = sources_of(video)

    class Stops(FakePeople):
        def stream(self, *args, **options):
            for number, found in enumerate(super().stream(*args, **options)):
                if number == 5:
                    raise KeyboardInterrupt
                yield found

    with pytest.raises(KeyboardInterrupt):
        add(store, [video], Stops(), seconds=0)
    (record,) = LanceStore(store).records().values()
    assert (record.done, record.frame, record.pictures) == (False, 4, 5)
    added, people = add(store, [video])
    assert people.seen == sources[5:]
    assert added.files == 1
    (record,) = LanceStore(store).records().values()
    assert (record.done, record.frame) == (True, FRAMES - 1)
    assert record.pictures == FRAMES
    whole = tmp_path / 'whole'
    add(whole, [video])
    assert everybody(store) == everybody(whole)


def test_broken_files_are_noted_and_not_read_again(tmp_path, files):
    store = tmp_path / 'store'
    broken = files / 'gate/0.jpg'
    broken.write_bytes(b'broken')
    with pytest.raises(DatasetError, match=r'0\.jpg: is no image'):
        add(store, [str(files)], strict=True)
    added, _ = add(store, [str(files)])
    assert list(added.broken) == [str(broken)]
    record = LanceStore(store).records()[str(broken)]
    assert 'is no image' in record.note
    assert (record.pictures, record.camera) == (0, 'gate')
    assert add(store, [str(files)])[0].known == 5
    broken.write_bytes(b'mended')
    added, people = add(store, [str(files)])
    assert [source.image for source in people.seen] == [str(broken)]
    assert LanceStore(store).records()[str(broken)].note == ''


def test_an_archive_of_broken_files_alone_is_not_made(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'broken')
    added, _ = add(tmp_path / 'store', [str(path)])
    assert list(added.broken) == [str(path)]
    assert not (tmp_path / 'store/archive.json').exists()


def test_files_that_vanish_are_named(tmp_path, files):
    writer = ArchiveWriter(tmp_path / 'store', [str(files)], Origins())
    gone = files / 'back/4.png'
    gone.unlink()
    added = writer.add(FakePeople())
    assert added.gone == [str(gone)]
    assert added.files == 4


def test_another_network_is_refused_by_name(tmp_path, files):
    store = tmp_path / 'store'
    add(store, [str(files / 'gate')])
    with pytest.raises(ValueError, match='by network fake, this is other'):
        add(store, [str(files)], FakePeople(network='other'))


def test_paths_that_do_not_fit_are_refused_before_anything(tmp_path, files):
    with pytest.raises(InputError, match=r'3\.jpg: does not end as'):
        add(
            tmp_path / 'store',
            [str(files)],
            origins=Origins(pattern='gate/{time:%S}.*', camera='x'),
        )
    assert not (tmp_path / 'store').exists()


def test_what_was_deleted_for_its_age_does_not_come_back(tmp_path, files):
    store = tmp_path / 'store'
    origins = Origins()
    add(store, [str(files)], origins=origins)
    archive = LanceStore(store)
    kept = {m for m in everybody(store) if '/3.jpg' in m[0] or '/4' in m[0]}
    limit = NOON + 3
    archive.delete(Where(before=limit))
    # frames of the video that are younger stay, with its record
    video = str(files / 'gate/2.mp4')
    begin = origins.of_file(video)[1]
    frames = [s for s in sources_of(video) if begin + s.timestamp >= limit]
    now = everybody(store)
    assert {m for m in now if m[0] != video} == kept
    assert {m[1] for m in now if m[0] == video} <= {s.frame for s in frames}
    added, people = add(store, [str(files)])
    assert (len(added.expired), added.known, people.seen) == (2, 3, [])
    assert everybody(store) == now
    # nor frames of another video from the same time
    other = files / 'gate/5.mp4'
    other.write_bytes(b'5')
    os.utime(other, (begin, begin))
    add(store, [str(files)])
    times = [m.source.time for m in archive.search(np.eye(16)[0], None)]
    assert min(times) >= limit


def test_claims_and_locks_are_those_of_one_process(tmp_path):
    path = tmp_path / 'lock'
    script = (
        'import sys\n'
        'from mmps.inference.store_locks import Claims, exclusive\n'
        'with Claims(sys.argv[1]) as claims:\n'
        "    print(claims.take('a'), claims.take('b'))\n"
    )
    with Claims(path) as claims:
        assert claims.take('a')
        assert claims.take('b')
        claims.release('b')
        told = subprocess.run(
            [sys.executable, '-c', script, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.split() == ['False', 'True']
    with (
        exclusive(path),
        open(path, 'ab') as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.long
def test_kills_lose_nothing_and_double_nothing(tmp_path):
    assert 'each once' in campaign(tmp_path, kills=3)


def test_the_check_of_the_campaign_sees_what_is_wrong(tmp_path):
    files = tmp_path / 'files'
    files.mkdir()
    for number in range(6):
        (files / f'{number}.jpg').write_bytes(b'%d' % number)
    store = tmp_path / 'store'
    add(store, [str(files)])
    check(store, files)
    (files / '7.jpg').write_bytes(b'7')
    with pytest.raises(AssertionError, match='others than expected'):
        check(store, files)
    add(store, [str(files)])
    archive = LanceStore(store)
    paths = sorted(map(str, files.iterdir()))
    source = next(
        each
        for each in (sources_of(path)[0] for path in paths)
        if len(people_of(each))
    )
    archive.add([source], people_of(source))
    with pytest.raises(AssertionError, match='there twice'):
        check(store, files)


def test_the_command_deletes_and_describes(tmp_path, files, capsys):
    store = tmp_path / 'store'
    add(store, [str(files)])
    num = len(LanceStore(store))
    of_gate = LanceStore(store).cameras()['gate'][0]
    assert main(['archive', 'info', str(store)]) == 0
    text = capsys.readouterr().out
    assert f'{num} people of {4 + FRAMES} pictures in 5 files' in text
    assert f'camera gate: {of_gate} people, 2023-11-1' in text
    assert main(['archive', 'delete', str(store)]) == 2
    assert 'nothing says whom' in capsys.readouterr().err
    command = ['archive', 'delete', str(store), '--camera', 'gate']
    assert main(command) == 0
    assert f'deleted {of_gate} people' in capsys.readouterr().out
    assert main(['archive', 'delete', str(store), '--before', '30d']) == 0
    assert f'deleted {num - of_gate} people' in capsys.readouterr().out
    assert main(['archive', 'index', str(store)]) == 2
    assert 'at least 256 people' in capsys.readouterr().err
    assert main(['archive', 'info', str(tmp_path)]) == 2
    assert 'is no archive' in capsys.readouterr().err


def test_the_command_finds_what_the_gallery_holds(
    tmp_path, oim, plain, files_of_scenes, capsys
):
    store, found = tmp_path / 'store', tmp_path / 'found.json'
    box = (30, 20, 90, 160)
    model = ('--model', oim.config, '--weights', oim.weights)
    command = ['archive', 'add', str(store), *files_of_scenes, *model]
    assert main([*command, '--camera', 'gate', '--device', 'cpu']) == 0
    assert f'of {len(files_of_scenes)} files; 0 files' in (
        capsys.readouterr().out
    )
    expected = plain.search(files_of_scenes[0], box, files_of_scenes, top=9)
    search = ['archive', 'search', str(store), files_of_scenes[0]]
    search += ['--device', 'cpu', '--top', '9', '--box', *map(str, box)]
    assert main(['archive', 'search', str(store), 'q.jpg', '--pick=-1']) == 2
    assert 'people count from 1' in capsys.readouterr().err
    # an archive may come from anybody, and a config is a program
    assert main(search) == 2
    assert f'--model {oim.config}' in capsys.readouterr().err
    search += model
    assert main([*search, '--camera', 'gate', '--json', str(found)]) == 0
    text = capsys.readouterr().out
    assert text.count('│ gate ') == 9
    matches = json.loads(found.read_text())['matches']
    assert [m['camera'] for m in matches] == ['gate'] * 9
    assert_same_matches(
        [
            Match(
                Source(m['image']),
                m['position'],
                tuple(m['box']),
                m['similarity'],
                m['score'],
            )
            for m in matches
        ],
        expected,
    )
    assert main([*search, '--camera', 'gaet']) == 0
    printed = capsys.readouterr()
    assert 'nobody was found' in printed.out
    assert 'cameras of this archive are gate' in printed.err
    # nothing is new: no network is needed
    assert main(['archive', 'add', str(store), *files_of_scenes]) == 0
    assert 'added 0 people of 0 files; 3 files' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('name', 'value'),
    [('network', 3), ('det_thr', 'high'), ('dims', None), ('model', [])],
)
def test_notes_of_another_kind_are_named(tmp_path, name, value):
    LanceStore.create(tmp_path / 'store', 'net', 0.5, 8)
    file = tmp_path / 'store' / 'archive.json'
    notes = json.loads(file.read_text())
    file.write_text(json.dumps(notes | {name: value}))
    with pytest.raises(InputError, match=f'archive.json: .*{name} is '):
        LanceStore(tmp_path / 'store')
