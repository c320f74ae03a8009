import hashlib
from urllib.parse import urlsplit

import pytest
import yaml

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.checkpoints.download import file_name
from mmps.published import NETWORKS
from mmps.zoo import (
    ZooError,
    external_details,
    external_overview,
    fetch_external,
    load_external,
)
from tests.checkpoints.server import serve
from tests.published.files import checkpoint_of, save_old

from .small import cached, entry, make_default, write_zoo

DATA = bytes(range(256)) * 80
SHA256 = hashlib.sha256(DATA).hexdigest()
RECORD = {
    'Name': 'theirs',
    'Title': 'SeqNet',
    'Network': 'seqnet',
    'Dataset': 'prw',
    'Config': 'seqnet_r50_prw',
    'Repository': 'https://example.org/theirs',
    'Licence': 'MIT',
    'Where': 'on a drive',
}
FIGURES = {'Figures': {'mAP': 1.5, 'top-1': 2.5}, 'Figures Source': 'README'}


@pytest.fixture
def theirs(tmp_path):
    """Writes a list of one network; returns its entry."""

    def write(*records, **keys):
        path = tmp_path / 'zoo/configs/external.yml'
        path.parent.mkdir(parents=True, exist_ok=True)
        records = records or ({**RECORD, **keys},)
        path.write_text(yaml.safe_dump({'Networks': list(records)}))
        return load_external(tmp_path / 'zoo').get('theirs')

    return write


def test_the_list_of_this_repository():
    networks = load_external()
    assert {n.network for n in networks.values()} == set(NETWORKS)
    for name, network in networks.items():
        published = NETWORKS[network.network]
        assert network.title == published.title
        assert network.config == published.config_for(network.dataset)
        assert published.repository in network.repository
        assert network.licence == published.licence
        assert bool(network.figures) == bool(network.source), name
        if network.url:
            assert urlsplit(network.url).netloc == 'github.com'
            assert published.repository in network.url
            assert file_name(network.url)


def test_a_zoo_without_a_list_has_none(tmp_path):
    assert load_external(tmp_path) == {}


def test_a_line_has_the_figures_of_the_authors(theirs):
    networks = {'a': theirs(**FIGURES), 'b': theirs(URL='http://x/y.pth')}
    head, *lines = external_overview(networks).splitlines()
    assert head.split() == [
        *('name', 'network', 'data', 'mAP', 'top-1', 'ours', 'file')
    ]
    found = [line.split()[2:] for line in lines[:2]]
    assert found == [
        ['prw', '1.5', '2.5', 'not', 'run', 'by', 'hand'],
        ['prw', '-', '-', 'not', 'run', 'download'],
    ]
    assert 'Figures are those of the authors' in lines[3]


def test_details_are_all_that_is_known(theirs):
    lines = external_details(theirs(**FIGURES)).splitlines()
    assert 'authors   mAP 1.5, top-1 2.5 (README)' in lines
    assert 'ours      not run' in lines
    assert 'file      on a drive' in lines
    assert 'get       by hand' in lines
    convert = 'mmps convert-weights FILE --from seqnet --dataset prw'
    assert f'convert   {convert} --out theirs.safetensors' in lines
    assert 'test      mmps test seqnet_r50_prw theirs.safetensors' in lines
    lines = external_details(theirs(URL='http://x/y.pth')).splitlines()
    assert 'authors   no figures are known here' in lines
    assert 'get       mmps zoo download theirs' in lines


@pytest.mark.parametrize(
    ('records', 'match'),
    [
        ([{**RECORD, 'Licence': ''}], 'entry theirs has no Licence'),
        ([{'Title': 'x'}], r'entry \? has no Name, Network'),
        ([{**RECORD, 'Url': 'x'}], 'theirs has Url, which mean'),
        ([RECORD, dict(RECORD)], 'theirs is listed twice'),
        ([RECORD, 5], 'Networks is not a list of entries'),
        ([{**RECORD, 'Where': {'x': 1}}], 'is not a list of entries, whose'),
    ],
)
def test_a_wrong_list_is_told(records, match, theirs):
    with pytest.raises(ZooError, match=match):
        theirs(*records)


def test_the_first_download_is_kept_in_mind(theirs, cache):
    with serve({'y.pth': DATA}) as server:
        network = theirs(URL=f'{server.url}/y.pth')
        path = fetch_external(network)
        assert path.read_bytes() == DATA
        assert cached(cache) == ['y.pth', 'y.pth.sha256']
        beside = path.with_name('y.pth.sha256').read_text()
        assert beside == f'{SHA256}  y.pth\n'
        assert fetch_external(network) == path
        assert len(server.requests) == 1
        path.unlink()
        assert fetch_external(network) == path
        assert len(server.requests) == 2


def test_another_file_at_the_same_address_is_refused(theirs, cache):
    with serve({'y.pth': DATA}) as server:
        network = theirs(URL=f'{server.url}/y.pth')
        fetch_external(network).unlink()
        server.files['y.pth'] = DATA[::-1]
        with pytest.raises(CheckpointError, match='SHA-256 is'):
            fetch_external(network)
    assert cached(cache) == ['y.pth.sha256']


def test_a_hash_of_the_list_is_not_trusted_away(theirs, cache):
    with serve({'y.pth': DATA}) as server:
        url = f'{server.url}/y.pth'
        with pytest.raises(CheckpointError, match=r'expected 0{64}'):
            fetch_external(theirs(URL=url, SHA256=64 * '0'))
        assert cached(cache) == []
        path = fetch_external(theirs(URL=url, SHA256=SHA256))
    assert path.with_name('y.pth.sha256').read_text().startswith(SHA256)


def test_a_hash_of_the_list_goes_before_the_one_that_was_kept(theirs, cache):
    with serve({'y.pth': DATA[::-1]}) as server:
        url = f'{server.url}/y.pth'
        fetch_external(theirs(URL=url))
        server.files['y.pth'] = DATA
        path = fetch_external(theirs(URL=url, SHA256=SHA256))
    assert path.read_bytes() == DATA
    assert path.with_name('y.pth.sha256').read_text().startswith(SHA256)


def test_an_old_file_is_readable_after_its_download(theirs, tmp_path):
    """torch before 1.6 wrote no checksums; the kept hash is one."""
    save_old(checkpoint_of({}), tmp_path / 'old.pth')
    content = (tmp_path / 'old.pth').read_bytes()
    with serve({'y.pth': content}) as server:
        path = fetch_external(theirs(URL=f'{server.url}/y.pth'))
    assert load_checkpoint_file(path)['epoch'] == 19


def test_a_drive_is_for_people(theirs):
    with pytest.raises(
        CheckpointError, match=r'cannot download .* drive. Down'
    ):
        fetch_external(theirs())


def test_the_command_knows_them(theirs, tmp_path, command, monkeypatch):
    with serve({'y.pth': DATA}) as server:
        network = theirs(URL=f'{server.url}/y.pth')
        make_default(monkeypatch, tmp_path / 'zoo')
        write_zoo(tmp_path / 'zoo', entry('ours'))
        networks = {'theirs': network}
        for words, text in (
            (('list', '--external'), external_overview(networks)),
            (('info', 'theirs'), external_details(network)),
        ):
            assert command('zoo', *words)[:2] == (0, f'{text}\n')
        code, out, _ = command('zoo', 'download', 'theirs')
        assert code == 0
        assert out.splitlines()[-1].endswith('/external/theirs/y.pth')
        assert command('zoo', 'download', 'theirs', 'typo')[0] == 2
    assert command('zoo', 'info', 'ours')[0] == 0
