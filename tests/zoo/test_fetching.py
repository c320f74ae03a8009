import pytest

from mmps.checkpoints import CheckpointError
from mmps.zoo import (
    ZooError,
    fetch_file,
    is_address,
    mirrors,
    resolve,
    table_file,
    weights_file,
)
from tests.checkpoints.server import serve

from .small import (
    DATA,
    cached,
    entry,
    flipped,
    keys_of,
    make_default,
    put,
    write_zoo,
)

NAME = 'oim_r18-00c0ffee.safetensors'
PATH = f'weights/{NAME}'


@pytest.fixture
def index(tmp_path):
    """A zoo of one network, whose file is not beside it."""
    model = entry('oim_r18', **keys_of(PATH, DATA))
    return write_zoo(tmp_path / 'zoo', model, entry('oim_r50'))


@pytest.fixture
def get(index, monkeypatch):
    """Fetch from mirrors."""

    def fetch_here(*addresses):
        monkeypatch.setenv('MMPS_ZOO_URL', ' '.join(addresses))
        return fetch_file(index.find('oim_r18').weights, index)

    return fetch_here


def test_a_file_is_downloaded_once(get, cache):
    with serve({PATH: DATA}) as server:
        path = get(server.url)
        assert get(server.url) == path
    assert path.read_bytes() == DATA
    assert server.requests == [(f'/{PATH}', None)]
    assert path == cache / 'zoo' / NAME
    assert cached(cache) == [NAME]


def test_a_download_that_is_cut_goes_on(get, cache):
    cuts = [70_000, 65_536, 0, 1]
    with serve({PATH: DATA}, cuts=cuts) as server:
        assert get(server.url).read_bytes() == DATA
    asked = [header for _, header in server.requests]
    assert asked == [
        None,
        'bytes=70000-',
        *['bytes=135536-'] * 2,
        'bytes=135537-',
    ]
    assert cached(cache) == [NAME]


def test_the_next_mirror_goes_on_where_one_stopped(get, cache):
    with (
        serve({PATH: DATA}, cuts=[70_000, 0, 0, 0]) as first,
        serve({PATH: DATA}) as second,
    ):
        assert get(first.url, second.url).read_bytes() == DATA
    assert len(first.requests) == 4
    assert second.requests == [(f'/{PATH}', 'bytes=70000-')]
    assert cached(cache) == [NAME]


def test_a_flipped_bit_is_refused_and_nothing_stays(get, cache):
    sha256 = keys_of(PATH, DATA)['SHA256']
    with (
        serve({PATH: flipped(DATA)}) as server,
        pytest.raises(CheckpointError, match=f'expected {sha256}') as caught,
    ):
        get(server.url)
    assert f'{server.url}/{PATH}: the downloaded file is refused' in str(
        caught.value
    )
    assert cached(cache) == []


def test_a_flipped_bit_in_the_cache_is_noticed(get, cache):
    with serve({PATH: DATA}) as server:
        path = get(server.url)
        path.write_bytes(flipped(DATA))
        assert get(server.url).read_bytes() == DATA
    assert len(server.requests) == 2
    assert cached(cache) == [NAME]


def test_a_damaged_cache_without_a_mirror_is_no_file(get):
    with serve({PATH: DATA}) as server:
        get(server.url).write_bytes(flipped(DATA))
    with pytest.raises(CheckpointError, match='no mirror has it'):
        get(server.url)


@pytest.mark.parametrize(
    'bad',
    [
        dict(status=404),
        dict(status=503),
        dict(bodies=flipped(DATA)),
        dict(bodies=DATA[:-1]),
        dict(bodies=b'<html>', kind='text/html'),
        dict(length=10**9),
        None,
    ],
    ids=lambda bad: '-'.join(bad) if bad else 'down',
)
def test_the_next_mirror_is_asked(bad, get, cache):
    with serve({PATH: DATA}, **(bad or {})) as first:
        url = first.url
        if bad is None:
            first.server_close()  # nobody listens
        with serve({PATH: DATA}) as second:
            assert get(url, second.url).read_bytes() == DATA
    assert [path for path, _ in second.requests] == [f'/{PATH}']
    assert cached(cache) == [NAME]


def test_no_mirror_is_asked_after_a_good_one(get):
    with (
        serve({}) as empty,
        serve({PATH: DATA}) as good,
        serve({PATH: DATA}) as unused,
    ):
        get(empty.url, good.url, unused.url)
    counts = [len(s.requests) for s in (empty, good, unused)]
    assert counts == [1, 1, 0]


def test_every_answer_is_told_if_no_mirror_has_it(get, index, cache):
    with serve({}) as empty, serve({PATH: flipped(DATA)}) as bad:
        with pytest.raises(CheckpointError) as caught:
            get(empty.url, bad.url)
        lines = str(caught.value).splitlines()
    own = index.root.as_uri()
    assert lines[0] == f'{PATH}: no mirror has it'
    assert lines[1] == (
        f'  {empty.url}/{PATH}: the server answers 404 Not Found'
    )
    assert lines[2].startswith(f'  {bad.url}/{PATH}: the downloaded file is')
    assert lines[3] == f'  {own}/{PATH}: No such file or directory'
    assert lines[4].startswith('Set MMPS_ZOO_URL to a mirror')
    assert cached(cache) == []


def test_a_folder_may_be_a_mirror(get, tmp_path):
    # blanks separate addresses: as_uri() writes %20
    address = put(tmp_path / 'a mirror', PATH, DATA)
    assert ' ' not in address
    assert get(f'{address}/').read_bytes() == DATA


def test_the_own_folder_comes_last(get, index):
    put(index.root, PATH, DATA)
    with serve({}) as empty:
        assert get(f'{empty.url}/').read_bytes() == DATA
    assert empty.requests == [(f'/{PATH}', None)]
    assert mirrors(index.root) == [empty.url, index.root.as_uri()]


def test_without_mirrors_the_own_folder_is_asked(index, tmp_path):
    put(index.root, PATH, DATA)
    path = weights_file('oim_r18', index)
    assert path.read_bytes() == DATA
    assert tmp_path / 'zoo' not in path.parents


def test_what_is_in_the_cache_needs_no_mirror(index):
    put(index.root, PATH, DATA)
    weights_file('oim_r18', index)
    (index.root / PATH).unlink()
    assert weights_file('oim_r18', index).read_bytes() == DATA


@pytest.mark.parametrize(
    'address', ['ftp://example.org', '/some/folder', 'example.org', 'file:/x']
)
def test_a_wrong_address_of_a_mirror_is_refused(address, get):
    match = f"MMPS_ZOO_URL: '{address}' is not an http, https or file address"
    with (
        serve({PATH: DATA}) as server,
        pytest.raises(ZooError, match=match) as caught,
    ):
        get(server.url, address)
    assert 'MMPS_ZOO_URL=file:///path/of/folder' in str(caught.value)
    assert server.requests == []


def test_a_path_with_two_slashes_is_no_other_folder(get, tmp_path):
    address = put(tmp_path / 'mirror', PATH, DATA)
    wrong = address.replace('file:///', 'file://')
    with pytest.raises(CheckpointError, match='name of another machine'):
        get(wrong)


def test_a_cache_that_cannot_be_written_is_not_the_mirrors_fault(
    get, tmp_path, monkeypatch
):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MMPS_CACHE', str(tmp_path / 'file'))
    with (
        serve({PATH: DATA}) as server,
        pytest.raises(CheckpointError, match='nothing can be cac') as caught,
    ):
        get(server.url, server.url)
    assert server.requests == []
    assert caught.value.hint == 'Set MMPS_CACHE to another folder'


@pytest.mark.parametrize(
    ('find', 'what'), [(weights_file, 'weights are'), (table_file, 'table is')]
)
def test_what_is_not_released_can_be_trained(find, what, index):
    with pytest.raises(CheckpointError, match=f'{what} not released') as error:
        find('zoo://oim_r50', index)
    assert str(error.value).startswith('zoo://oim_r50: its ')
    command = 'mmps train oim_r50'
    assert str(error.value).endswith(f'Train it: {command}')


def test_weights_and_table_are_told_apart(tmp_path):
    table = keys_of('weights/t.pth', b'table', 'File')
    model = entry('x', Table=table, **keys_of('weights/x.pth', b'weights'))
    index = write_zoo(tmp_path, model)
    put(tmp_path, 'weights/t.pth', b'table')
    put(tmp_path, 'weights/x.pth', b'weights')
    assert weights_file('x', index).read_bytes() == b'weights'
    assert table_file('x', index).read_bytes() == b'table'


def test_an_address_resolves_to_config_and_weights(index, monkeypatch):
    put(index.root, PATH, DATA)
    make_default(monkeypatch, index.root)
    config, weights = resolve('zoo://oim_r18')
    assert config == index.root / 'configs/oim/oim_r18.py'
    assert weights.read_bytes() == DATA
    with pytest.raises(CheckpointError, match='Did you mean oim_r18'):
        resolve('zoo://oim_r19')


@pytest.mark.parametrize(
    ('source', 'expected'),
    [('zoo://x', True), ('x', False), ('http://zoo://x', False)],
)
def test_what_an_address_is(source, expected):
    assert is_address(source) == expected
