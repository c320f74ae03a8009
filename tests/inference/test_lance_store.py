"""A folder of LanceDB finds what an index finds, and forgets for good."""

import json
import os
import shutil

import numpy as np
import pytest

pytest.importorskip('lancedb')

from mmps.errors import InputError
from mmps.evaluation.features import Boxes
from mmps.inference import LanceStore, Source, Where
from mmps.inference.file_records import FileRecord
from mmps.inference.lance_store import sql
from tests.inference.test_gallery_index import drawn, index_of

NOON = 1.7e9


def pictures(num, counts=5, dims=16, seed=0):
    """An index with ties: pictures a second apart, of two cameras."""
    embeddings, query = drawn(seed, num=num * counts, dims=dims)
    sources = [
        Source(
            f'/rec/{("gate", "back")[i % 2]}/{i:04d}.jpg',
            camera=('gate', "bob's")[i % 2],
            time=NOON + i,
        )
        for i in range(num)
    ]
    return index_of(embeddings, [counts] * num, sources), query


def part(index, start, stop):
    """Sources and boxes of some pictures."""
    boxes, stop = index.boxes, min(stop, len(index.sources))
    rows = slice(boxes.offsets[start], boxes.offsets[stop])
    return index.sources[start:stop], Boxes(
        boxes.bboxes[rows],
        boxes.scores[rows],
        boxes.embeddings[rows],
        boxes.offsets[start : stop + 1] - boxes.offsets[start],
    )


def record_of(source):
    return FileRecord(source.image, 9, 99, source.camera, source.time, None, 1)


def filled(path, index, step=50):
    dims = index.boxes.embeddings.shape[1]
    store = LanceStore.create(path, 'net', 0.5, dims)
    for start in range(0, len(index.sources), step):
        sources, boxes = part(index, start, start + step)
        store.add(sources, boxes, list(map(record_of, sources)))
    return store


@pytest.fixture(autouse=True)
def few_queries(monkeypatch):
    """To measure the recall of an index takes a moment."""
    monkeypatch.setattr('mmps.inference.lance_store._QUERIES', 3)


@pytest.fixture(scope='module')
def index():
    return pictures(200)[0]


@pytest.fixture(scope='module')
def store(index, tmp_path_factory):
    """To be read alone."""
    return filled(tmp_path_factory.mktemp('lance') / 'store', index)


def words_in(folder, words):
    """Which words are anywhere in the files of a folder."""
    found = set()
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), 'rb') as file:
                content = file.read()
            found |= {word for word in words if word in content}
    return found


@pytest.mark.parametrize(
    'where',
    [
        None,
        Where(cameras=["bob's"]),
        Where(cameras=['gate', 'nobody'], after=NOON + 20, min_score=0.7),
        Where(after=NOON + 20.5, before=NOON + 150, images='/rec/gate'),
        Where(cameras=[]),
        Where(min_score=float(np.float32(0.61))),
    ],
)
def test_lists_are_those_of_the_index_to_the_last_bit(store, index, where):
    assert store.exact
    for seed in range(3):
        _, query = drawn(seed)
        for top in (1, 10, 300, None):
            found = store.search(query, top, where)
            assert found == index.search(query, top, where)


def test_indexes_of_columns_change_no_list(tmp_path, monkeypatch):
    monkeypatch.setattr('mmps.inference.lance_store._INDEXED', 100)
    index, query = pictures(100)
    store = LanceStore.create(tmp_path, 'net', 0.5, 16)
    store.add(*part(index, 0, 60))
    store.compact()
    store.add(*part(index, 60, 100))  # not indexed yet
    assert len(store._table.list_indices()) == 3
    assert store.exact
    where = Where(cameras=["bob's"], after=NOON + 20, before=NOON + 80)
    for _ in range(2):
        assert store.search(query, 50, where) == index.search(query, 50, where)
        store.compact()
    path = index.sources[3].image.encode()
    assert store.delete(Where(before=NOON + 10)) == 50
    assert words_in(tmp_path, [path]) == set()
    assert store.search(query, 50, where) == index.search(query, 50, where)


def test_scores_are_compared_as_float32(store, index):
    for score in index.boxes.scores[:20].tolist():
        kept = int((index.boxes.scores >= np.float32(score)).sum())
        found = store.search(drawn(0)[1], None, Where(min_score=score))
        assert len(found) == kept


def test_a_folder_is_opened_again_as_it_was(store, index):
    again = LanceStore(store.path)
    assert (again.network, again.det_thr, again.dims) == ('net', 0.5, 16)
    assert len(again) == len(index)
    assert again.recall is None
    assert again.cameras() == {
        'gate': (500, NOON, NOON + 198),
        "bob's": (500, NOON + 1, NOON + 199),
    }
    records = again.records()
    assert list(records) == [source.image for source in index.sources]
    path = index.sources[7].image
    assert again.records([path, 'x']) == {path: record_of(index.sources[7])}


def test_other_networks_thresholds_and_folders_are_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r'by network net, this is other'):
        LanceStore.create(store.path, 'other', 0.5, 16)
    with pytest.raises(ValueError, match=r'score of 0\.5 .* these have 0\.4'):
        LanceStore.create(store.path, 'net', 0.4, 16)
    with pytest.raises(ValueError, match='of 16 numbers, these have 8'):
        LanceStore.create(store.path, 'net', 0.5, 8)
    with pytest.raises(FileNotFoundError, match='mmps archive add'):
        LanceStore(tmp_path)
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(InputError, match=r'other files \(photo\.jpg\)'):
        LanceStore.create(tmp_path, 'net', 0.5, 8)
    (tmp_path / 'archive.json').write_text('{"format": "mmps archive"}')
    with pytest.raises(InputError, match='not that of an archive'):
        LanceStore(tmp_path)


def test_a_damaged_archive_is_named(store, tmp_path):
    noted = (store.path / 'archive.json').read_text()
    folder = tmp_path / 'damaged'
    folder.mkdir()
    for text, message in (
        ('[' * 10**5, 'not that of an archive'),
        (noted.replace('"net"', str([1] * 999)), r'network is \[1, 1, '),
        (noted.replace('"version": 1', '"version": 2'), 'version 2'),
        (noted.replace('mmps archive', 'theirs'), "it is 'theirs', version 1"),
        (noted, 'its people cannot be read'),
    ):
        (folder / 'archive.json').write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            LanceStore(folder)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ('name', 'read'),
    [
        ('index.json', LanceStore._probes),
        ('cleaning.json', LanceStore.finish_deletion),
        ('deletions.jsonl', LanceStore.deletions),
    ],
)
@pytest.mark.parametrize('text', ['{"entry"', '[]', '{}', '\0'])
def test_damaged_notes_are_named(name, read, text, store):
    file = store.path / name
    kept = file.read_bytes() if file.exists() else None
    file.write_text(text)
    try:
        with pytest.raises(InputError, match=f'{name}.* not that of an arch'):
            read(store)
    finally:
        file.unlink()
        if kept is not None:
            file.write_bytes(kept)


@pytest.mark.parametrize(
    ('part', 'value', 'named'),
    [
        ('index', {}, 'partitions is None'),
        ('entry', {'when': 1.0, 'people': 1, 'by': {}}, 'path is None'),
        ('entry', {'when': 1.0, 'people': 1}, 'None is no object'),
    ],
)
def test_a_damaged_deletion_deletes_nobody(part, value, named, store):
    by = dict(cameras=None, after=None, before=None, path=False)
    begun = dict(
        condition='true',
        fragments=[],
        index=None,
        entry=dict(when=1.0, people=1, by=by),
    )
    file = store.path / 'cleaning.json'
    file.write_text(json.dumps({**begun, part: value}))
    people = len(store)
    with pytest.raises(InputError, match=rf'cleaning\.json: .*{named}'):
        store.finish_deletion()
    assert len(store) == people


def test_nothing_is_added_of_what_is_refused(store, index):
    sources, boxes = part(index, 0, 2)
    wrong = Boxes(boxes.bboxes, boxes.scores, 2 * boxes.embeddings, [0, 5, 10])
    with pytest.raises(ValueError, match='length 2'):
        store.add(sources, wrong)
    other, boxes = part(pictures(2, dims=8)[0], 0, 2)
    with pytest.raises(ValueError, match='of 16 numbers, these have 8'):
        store.add(other, boxes)
    assert len(store) == len(index)


def test_what_is_deleted_is_nowhere_on_the_disk(tmp_path):
    # one person in 1000: LanceDB itself keeps a fragment of which so little
    # is deleted
    whole, query = pictures(200, seed=1)
    embeddings = np.random.default_rng(0).normal(size=(1000, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    index = index_of(
        embeddings.astype(np.float32), [5] * 200, list(whole.sources)
    )
    store = filled(tmp_path / 'store', index, step=100)
    store.build_index(probes=2)
    gone, stays = 17, 18
    words = {
        number: [
            row.tobytes()
            for row in part(index, number, number + 1)[1].embeddings
        ]
        for number in (gone, stays)
    }
    path = index.sources[gone].image
    assert words_in(store.path, words[gone]) == set(words[gone])
    assert store.delete(Where(images=path)) == 5
    # paths are compressed in the table, but not in the notes of a deletion
    assert words_in(store.path, [path.encode(), *words[gone]]) == set()
    assert words_in(store.path, words[stays]) == set(words[stays])
    assert not store.exact  # the index is there again, without them
    exhaustive = LanceStore(store.path, exhaustive=True)
    left = [m for m in index.search(query, None) if m.position != gone]
    assert exhaustive.search(query, 50) == left[:50]
    assert len(store.records()) == 199
    # everybody of a time and camera, and then everybody
    assert store.delete(Where(cameras=['gate'], before=NOON + 100)) == 250
    left = [
        match
        for match in left
        if match.source.camera != 'gate' or match.source.time >= NOON + 100
    ]
    assert exhaustive.search(query, None) == left
    assert store.delete(Where(images='/rec')) == len(left)
    assert words_in(store.path, [b'/rec/', *words[stays]]) == set()
    assert store.search(query, 5) == []
    assert not (store.path / 'cleaning.json').exists()


def test_the_log_of_deletions_names_cameras_and_times_alone(tmp_path):
    index, _ = pictures(20)
    store = filled(tmp_path / 'store', index)
    assert store.delete(Where(cameras=['nobody'])) == 0
    assert store.deletions() == []
    store.delete(Where(cameras=['gate'], before=NOON + 5))
    store.delete(Where(images='/rec/back/0001'))
    first, second = store.deletions()
    assert first.pop('when') > NOON
    assert first == dict(
        people=15,
        records=3,
        cameras=['gate'],
        oldest=NOON,
        youngest=NOON + 4,
        by=dict(cameras=['gate'], after=None, before=NOON + 5, path=False),
    )
    assert second['people'] == 5
    assert second['by']['path'] is True
    assert '/rec' not in (store.path / 'deletions.jsonl').read_text()
    assert store.horizon('gate') == NOON + 5
    assert store.horizon("bob's") == -np.inf
    store.delete(Where(before=NOON + 9))
    assert store.horizon("bob's") == NOON + 9


def test_a_deletion_must_say_whom(store):
    with pytest.raises(ValueError, match='give one of these'):
        store.delete(Where())
    with pytest.raises(ValueError, match='no min_score'):
        store.delete(Where(cameras=['gate'], min_score=0.9))


def test_a_deletion_that_was_killed_is_finished(tmp_path, monkeypatch):
    index, query = pictures(40)
    store = filled(tmp_path / 'store', index)
    path = index.sources[3].image
    with monkeypatch.context() as patched:
        patched.setattr(type(store._table), 'optimize', _killed)
        with pytest.raises(KeyboardInterrupt):
            store.delete(Where(images=path))
    assert words_in(store.path, [path.encode()])  # still on disk
    again = LanceStore(store.path)
    again.finish_deletion()
    assert not words_in(store.path, [path.encode()])
    assert len(again.deletions()) == 1
    left = [m for m in index.search(query, None) if m.position != 3]
    assert again.search(query, None) == left


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_an_index_says_that_it_is_approximate(tmp_path):
    index, query = pictures(400)
    store = filled(tmp_path / 'store', index, step=400)
    assert LanceStore(store.path).exact
    recall = store.build_index(partitions=16, probes=2)
    for opened in (store, LanceStore(store.path)):
        assert not opened.exact
        assert opened.recall == recall
        assert 0 < recall <= 1
    found = store.search(query, 20)
    exact = {(m.position, m.box): m for m in index.search(query, None)}
    # whom it finds it scores as the index does
    assert all(exact[m.position, m.box] == m for m in found)
    # with all partitions nobody is missed
    assert store.build_index(partitions=16, probes=16) == 1
    assert store.search(query, 20) == index.search(query, 20)
    # and a condition that leaves few people finds them all
    few = Where(before=NOON + 2)
    store.build_index(partitions=16, probes=1)
    assert len(store.search(query, 10, few)) == 10
    whole = LanceStore(store.path, exhaustive=True)
    assert whole.exact
    assert whole.search(query, 20) == index.search(query, 20)


def test_indexes_of_few_people_and_odd_numbers_are_refused(store, tmp_path):
    few = filled(tmp_path / 'few', pictures(10)[0])
    with pytest.raises(ValueError, match=r'at least 256 people, .* has 50'):
        few.build_index()
    with pytest.raises(ValueError, match='got 9 and 8'):
        store.build_index(partitions=8, probes=9)


def test_conditions_are_quoted():
    where = Where(cameras=["a' OR true --"], images="b'c")
    assert sql(where) == (
        "camera IN ('a'' OR true --') AND starts_with(file, 'b''c')"
        ' AND number >= 0'
    )
    assert sql(None) == ''


def test_searches_survive_a_deletion_of_another_process(tmp_path):
    index, query = pictures(40)
    store = filled(tmp_path / 'store', index)
    reader = LanceStore(store.path)
    assert len(reader.search(query, 10)) == 10
    store.delete(Where(before=NOON + 10))
    left = [m for m in index.search(query, None) if m.position >= 10]
    assert reader.search(query, None) == left


def test_lancedb_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'lancedb', None)
    with pytest.raises(InputError, match=r"pip install 'mmps\[store\]'"):
        LanceStore.create(tmp_path / 's', 'net', 0.5, 4)


def test_notes_of_a_new_archive_are_kept(tmp_path):
    store = LanceStore.create(tmp_path, 'net', 0.5, 4, model='zoo://x')
    assert json.loads((tmp_path / 'archive.json').read_text()) == store.notes
    assert LanceStore(tmp_path).notes['model'] == 'zoo://x'
    assert len(store) == 0
    assert store.search(np.eye(4)[0], 3) == []


def test_commits_are_not_remembered_without_end(index, tmp_path, monkeypatch):
    import lancedb

    limit = 1 << 17
    monkeypatch.setattr('mmps.inference.lance_store._REMEMBERED', limit)
    session, sessions = lancedb.Session, []

    def noted(**sizes):
        sessions.append(session(**sizes))
        return sessions[-1]

    monkeypatch.setattr(lancedb, 'Session', noted)
    store = LanceStore.create(tmp_path, 'net', 0.5, 16)
    sizes = []
    for start in range(30):
        store.add(*part(index, start, start + 1))
        sizes.append(sessions[-1].size_bytes)
    assert sizes[2] < sizes[5]
    assert max(sizes) < 1.5 * limit


def test_an_archive_that_is_made_anew_is_read_anew(tmp_path):
    for seed in range(2):
        index, query = pictures(20, seed=seed)
        store = filled(tmp_path / 'store', index)
        assert store.search(query, 10) == index.search(query, 10)
        shutil.rmtree(tmp_path / 'store')
