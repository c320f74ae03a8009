import hashlib
import multiprocessing
import threading

import pytest

from mmps.checkpoints import CheckpointError, cache_dir, download, fetch

from .server import serve

DATA = bytes(range(256)) * 800  # 204 800 bytes
HASH = hashlib.sha256(DATA).hexdigest()
NAME = f'weights-{HASH[:8]}.pth'


@pytest.fixture
def get(tmp_path):
    """Fetch into a fresh cache, quickly."""

    def fetch_here(url, limit=60, **options):
        return fetch(
            url,
            folder=tmp_path / 'cache',
            pause=0.01,
            timeout=limit,
            **options,
        )

    fetch_here.folder = tmp_path / 'cache'
    return fetch_here


def kept(tmp_path):
    """Files of the cache, but for locks."""
    files = (tmp_path / 'cache').rglob('*')
    return sorted(p.name for p in files if p.is_file() and p.suffix != '.lock')


def test_a_file_is_fetched_once(get, tmp_path):
    with serve({NAME: DATA}) as server:
        path = get(f'{server.url}/{NAME}')
        assert get(f'{server.url}/{NAME}') == path
    assert path.read_bytes() == DATA
    assert server.requests == [(f'/{NAME}', None)]
    assert kept(tmp_path) == [NAME]


def test_names_without_hash_are_told_apart_by_address(get):
    with serve({'a/x.pth': b'one', 'b/x.pth': b'two'}) as server:
        paths = [get(f'{server.url}/{f}/x.pth') for f in 'ab']
    assert [p.read_bytes() for p in paths] == [b'one', b'two']
    assert {p.name for p in paths} == {'x.pth'}


@pytest.mark.parametrize('name', [NAME, 'plain.pth'])
def test_cuts_are_continued_by_range(name, get, tmp_path):
    cuts = [70_000, 0, 1, 65_536, 0, 0, 50_000]
    with serve({name: DATA}, cuts=cuts, etag='"1"') as server:
        path = get(f'{server.url}/{name}')
    assert path.read_bytes() == DATA
    starts = [asked for _, asked in server.requests]
    assert starts[0] is None
    assert starts[1] == starts[2] == 'bytes=70000-'
    assert starts[3] == 'bytes=70001-'
    assert len(starts) == len(cuts) + 1
    assert kept(tmp_path) == [name]


@pytest.mark.parametrize('cut', range(0, len(DATA), len(DATA) // 10 + 1))
def test_a_later_call_goes_on_where_one_stopped(cut, get, tmp_path):
    with serve({NAME: DATA}, cuts=[cut, 0, 0, 0, 0]) as server:
        with pytest.raises(
            CheckpointError, match=rf'at byte {cut:,}: .*Run again'
        ):
            get(f'{server.url}/{NAME}')
        assert kept(tmp_path) == [f'{NAME}.partial']
        assert get(f'{server.url}/{NAME}').read_bytes() == DATA
    expected = f'bytes={cut}-' if cut else None
    assert server.requests[-1] == (f'/{NAME}', expected)
    assert kept(tmp_path) == [NAME]


def test_a_server_without_ranges_starts_over(get):
    with serve({NAME: DATA}, cuts=[100_000], ranges=False) as server:
        assert get(f'{server.url}/{NAME}').read_bytes() == DATA
    assert len(server.requests) == 2


def test_a_file_that_changes_meanwhile_starts_over(get):
    old = dict(etag=['"old"'], bodies=[DATA[::-1]], cuts=[100_000])
    with serve({'x.pth': DATA}, **old) as server:
        assert get(f'{server.url}/x.pth').read_bytes() == DATA
    assert server.requests[1][1] == 'bytes=100000-'


def test_without_a_hash_or_etag_a_part_is_not_trusted(get, tmp_path):
    with serve({'x.pth': DATA}, cuts=[9, 9, 0, 0, 0, 0]) as server:
        with pytest.raises(CheckpointError, match='at byte 9: '):
            get(f'{server.url}/x.pth')
        assert kept(tmp_path) == []
        assert get(f'{server.url}/x.pth').read_bytes() == DATA
    assert {asked for _, asked in server.requests} == {None}


def test_a_part_of_an_earlier_run_is_not_trusted_without_a_hash(get):
    cuts = [9, 0, 0, 0, 0]
    with serve({'x.pth': DATA}, cuts=cuts, etag='"1"') as server:
        with pytest.raises(CheckpointError, match='at byte 9: '):
            get(f'{server.url}/x.pth')
        assert get(f'{server.url}/x.pth').read_bytes() == DATA
    asked = [header for _, header in server.requests]
    assert asked == [
        None,
        'bytes=9-',
        'bytes=9-',
        'bytes=9-',
        'bytes=9-',
        None,
    ]


def test_another_range_than_asked_for_is_not_appended(get):
    options = dict(etag='"1"', ranges='from 0', cuts=[100_000])
    with serve({'x.pth': DATA}, **options) as server:
        assert get(f'{server.url}/x.pth').read_bytes() == DATA
    asked = [header for _, header in server.requests]
    assert asked == [None, 'bytes=100000-', None]


def test_parts_that_do_not_belong_are_thrown_away(get, tmp_path):
    folder = tmp_path / 'cache'
    folder.mkdir()
    for junk in (b'junk', DATA + b'more', DATA[:-1] + b'?'):
        (folder / f'{NAME}.partial').write_bytes(junk)
        with serve({NAME: DATA}) as server:
            path = get(f'{server.url}/{NAME}')
        assert path.read_bytes() == DATA
        assert kept(tmp_path) == [NAME]
        path.unlink()


def test_a_wrong_hash_never_enters_the_cache(get, tmp_path):
    name = 'weights-00000000.pth'
    with (
        serve({name: DATA}) as server,
        pytest.raises(
            CheckpointError, match=rf'SHA-256 is {HASH[:8]}.*expected 00000000'
        ),
    ):
        get(f'{server.url}/{name}')
    assert kept(tmp_path) == []


def test_a_given_hash_is_checked_too(get, tmp_path):
    with serve({'x.pth': DATA}) as server:
        url = f'{server.url}/x.pth'
        with pytest.raises(CheckpointError, match='SHA-256'):
            get(url, sha256='0' * 64)
        assert get(url, sha256=HASH).read_bytes() == DATA


def test_a_rotten_file_in_the_cache_is_fetched_again(get):
    with serve({NAME: DATA}) as server:
        path = get(f'{server.url}/{NAME}')
        path.write_bytes(DATA[:-1] + b'?')
        assert get(f'{server.url}/{NAME}').read_bytes() == DATA
    assert len(server.requests) == 2


def test_what_the_check_refuses_never_enters_the_cache(get, tmp_path):
    def check(path):
        raise CheckpointError(path, 'is blue')

    with (
        serve({'x.pth': DATA}) as server,
        pytest.raises(
            CheckpointError, match=r'x\.pth: the downloaded file.*is blue'
        ),
    ):
        get(f'{server.url}/x.pth', check=check)
    assert kept(tmp_path) == []


@pytest.mark.parametrize('length', [len(DATA) + 5, 10**9])
def test_a_length_that_is_not_reached_is_an_error(length, get, tmp_path):
    with (
        serve({'x.pth': DATA}, length=length) as server,
        pytest.raises(CheckpointError, match=f'{length:,} bytes promised'),
    ):
        get(f'{server.url}/x.pth')
    assert 'x.pth' not in kept(tmp_path)


def test_without_length_only_a_hash_will_do(get, tmp_path):
    files = {'x.pth': DATA, NAME: DATA}
    with serve(files, length='') as server:
        with pytest.raises(CheckpointError, match='neither length nor'):
            get(f'{server.url}/x.pth')
        assert kept(tmp_path) == []
        assert get(f'{server.url}/{NAME}').read_bytes() == DATA


@pytest.mark.parametrize('status', [404, 403, 410])
def test_a_refusal_is_told_at_once(status, get):
    with (
        serve({NAME: DATA}, status=status) as server,
        pytest.raises(CheckpointError, match=f'the server answers {status}'),
    ):
        get(f'{server.url}/{NAME}')
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(get):
    with serve({NAME: DATA}, status=[503, 429, 500, 200]) as server:
        assert get(f'{server.url}/{NAME}').read_bytes() == DATA
    assert len(server.requests) == 4


def test_a_web_page_is_not_a_checkpoint(get, tmp_path):
    kind = 'text/html; charset=utf-8'
    with (
        serve({NAME: b'<html>'}, kind=kind) as server,
        pytest.raises(CheckpointError, match='web page'),
    ):
        get(f'{server.url}/{NAME}')
    assert kept(tmp_path) == []


@pytest.mark.parametrize('target', ['http://[x', 'file:///etc/passwd'])
def test_a_redirect_to_no_web_address_is_refused(target, get, tmp_path):
    with (
        serve({NAME: DATA}, target=target) as server,
        pytest.raises(CheckpointError, match=r'/redirect: the server '),
    ):
        get(f'{server.url}/redirect')
    assert kept(tmp_path) == []


def test_redirects_are_followed(get):
    with serve({NAME: DATA}) as server:
        path = get(f'{server.url}/redirect', sha256=HASH)
    assert path.read_bytes() == DATA


class TestFileAddresses:
    @pytest.fixture
    def source(self, tmp_path):
        path = tmp_path / 'a folder' / NAME
        path.parent.mkdir()
        path.write_bytes(DATA)
        return path

    def test_a_file_is_copied_once(self, source, get, tmp_path):
        path = get(source.as_uri())
        assert path.read_bytes() == DATA
        assert path.parent == tmp_path / 'cache'
        source.unlink()
        assert get(source.as_uri()) == path
        assert kept(tmp_path) == [NAME]

    def test_this_machine_may_be_named(self, source, get):
        url = source.as_uri().replace('file://', 'file://localhost')
        assert get(url).read_bytes() == DATA

    def test_no_other_machine_is_asked(self, source, get, tmp_path):
        url = source.as_uri().replace('file:///', 'file://')
        with pytest.raises(CheckpointError, match='three slashes') as caught:
            get(url)
        assert caught.value.file == url
        assert kept(tmp_path) == []

    @pytest.mark.parametrize('content', [DATA[::-1], DATA[:-1], b''])
    def test_a_wrong_hash_never_enters_the_cache(
        self, content, source, get, tmp_path
    ):
        source.write_bytes(content)
        with pytest.raises(CheckpointError, match=f'expected {HASH[:8]}'):
            get(source.as_uri())
        assert kept(tmp_path) == []

    def test_an_old_part_does_not_matter(self, source, get, tmp_path):
        get.folder.mkdir()
        (get.folder / f'{NAME}.partial').write_bytes(b'junk')
        assert get(source.as_uri()).read_bytes() == DATA
        assert kept(tmp_path) == [NAME]

    @pytest.mark.parametrize('folder', [False, True])
    def test_what_is_no_file_is_named(self, folder, source, get, tmp_path):
        source.unlink()
        if folder:
            source.mkdir()
        with pytest.raises(CheckpointError) as caught:
            get(source.as_uri())
        problem = 'Is a directory' if folder else 'No such file or directory'
        assert str(caught.value) == f'{source.as_uri()}: {problem}'
        assert kept(tmp_path) == []


def test_nobody_there(get):
    with serve({}) as server:
        url = f'{server.url}/{NAME}'
    with pytest.raises(CheckpointError, match=r'4 times.*refused'):
        get(url)


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('http://127.0.0.1:9/a%00b.pth', 'a zero byte'),
        ('file:///a%00b.pth', 'a zero byte'),
        (f'http://127.0.0.1:9/{"a" * 5000}.pth', 'more than 200 bytes'),
        ('http://[::1/x.pth', 'not an address: Invalid IPv6'),
        ('http://\udcff/x.pth', 'not an address'),
    ],
)
def test_an_address_that_is_none_is_refused(url, message, get):
    with pytest.raises(CheckpointError, match=message) as caught:
        get(url)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    'url', ['ftp://x/y.pth', 'http://x/', 'https://x', 'file:///x/', '/x.pth']
)
def test_only_files_of_web_addresses(url, get):
    with pytest.raises(CheckpointError, match='not the address of a file'):
        get(url)


def test_threads_at_once_download_once(get):
    with serve({NAME: DATA}) as server:
        found = []
        threads = [
            threading.Thread(
                target=lambda: found.append(get(f'{server.url}/{NAME}'))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [path.read_bytes() == DATA for path in found] == [True] * 4
    assert len(server.requests) == 1


def test_processes_at_once_download_once(get):
    processes = multiprocessing.get_context('fork')
    with serve({NAME: DATA}) as server, processes.Pool(3) as pool:
        url = f'{server.url}/{NAME}'
        calls = [
            pool.apply_async(fetch, (url,), dict(folder=get.folder))
            for _ in range(3)
        ]
        paths = [call.get(timeout=60) for call in calls]
    assert [path.read_bytes() == DATA for path in paths] == [True] * 3
    assert len(server.requests) == 1


def test_the_cache_is_not_made_until_needed(tmp_path, monkeypatch):
    monkeypatch.setenv('MMPS_CACHE', str(tmp_path / 'cache'))
    assert cache_dir() == tmp_path / 'cache'
    assert not cache_dir().exists()
    monkeypatch.delenv('MMPS_CACHE')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_dir() == tmp_path / '.cache' / 'mmps'


def test_a_cache_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with (
        serve({NAME: DATA}) as server,
        pytest.raises(
            CheckpointError, match=r'nothing can be cached here.*Set MMPS_C'
        ),
    ):
        fetch(f'{server.url}/{NAME}', folder=tmp_path / 'file' / 'cache')


def test_a_drip_is_given_up(get):
    with (
        serve({NAME: DATA}, drip=0.02) as server,
        pytest.raises(CheckpointError, match=r'slower than 1,000 bytes'),
    ):
        get(f'{server.url}/{NAME}', limit=0.2, tries=2)
    assert len(server.requests) == 2


@pytest.mark.parametrize('length', ['', None])
def test_no_more_is_stored_than_the_known_size(length, get, tmp_path):
    behaviour = {} if length is None else dict(length='', endless=True)
    with (
        serve({NAME: DATA}, **behaviour) as server,
        pytest.raises(CheckpointError, match='5,000 bytes are expected'),
    ):
        get(f'{server.url}/{NAME}', size=5000)
    assert len(server.requests) == 1
    assert kept(tmp_path) == []


def test_a_file_of_unknown_size_has_an_end(get, tmp_path, monkeypatch):
    monkeypatch.setattr('mmps.checkpoints.ranged_get.LARGEST', 300_000)
    with (
        serve({NAME: DATA}, length='', endless=True) as server,
        pytest.raises(CheckpointError, match='sends more where 300,000'),
    ):
        get(f'{server.url}/{NAME}')
    assert kept(tmp_path) == []


def test_a_copy_must_have_the_known_size(get, tmp_path):
    source = tmp_path / NAME
    source.write_bytes(DATA)
    with pytest.raises(CheckpointError, match=r'204,800 bytes where 9'):
        get(source.as_uri(), size=9)
    assert get(source.as_uri(), size=len(DATA)).read_bytes() == DATA
    with pytest.raises(CheckpointError, match='is no file'):
        get('file:///dev/zero')


def test_who_waits_for_another_says_so(get, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        download, 'print_log', lambda text, **_: said.append(text)
    )
    lock = tmp_path / 'cache' / f'{NAME}.lock'
    with serve({NAME: DATA}) as server:
        with download._one_at_a_time(lock):
            thread = threading.Thread(
                target=get, args=(f'{server.url}/{NAME}',)
            )
            thread.start()
            while not said:
                thread.join(0.01)
        thread.join()
    assert said[0] == f'Waiting for another process that downloads {NAME}'
    assert (tmp_path / 'cache' / NAME).read_bytes() == DATA
