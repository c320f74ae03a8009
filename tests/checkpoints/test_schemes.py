import hashlib
import io
import pickle

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmps.checkpoints import CheckpointError, cache_dir, schemes

from .server import serve

load = CheckpointLoader.load_checkpoint


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def as_bytes(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def named(stem, data, suffix='pth'):
    return f'{stem}-{hashlib.sha256(data).hexdigest()[:8]}.{suffix}'


DATA = as_bytes({'conv1.weight': torch.arange(3.0)})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMPS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('MMPS_TORCHVISION_URL', raising=False)
    return tmp_path / 'cache'


def cached(cache):
    return sorted(
        p.name for p in cache.rglob('*') if p.is_file() and p.suffix != '.lock'
    )


def test_local(tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(DATA)
    assert load(str(path))['conv1.weight'].tolist() == [0, 1, 2]
    assert not cache_dir().exists()


def test_http(cache):
    name = named('r18', DATA)
    with serve({name: DATA, 'x.pth': DATA}) as server:
        for file in (name, 'x.pth'):
            loaded = load(f'{server.url}/{file}', map_location='cpu')
            assert loaded['conv1.weight'].tolist() == [0, 1, 2]
    assert cached(cache) == [name, 'x.pth']


def test_a_query_is_no_part_of_the_name(cache):
    buffer = io.BytesIO()
    torch.save(
        {'a': torch.ones(1)}, buffer, _use_new_zipfile_serialization=False
    )
    name = named('old', buffer.getvalue())  # only the hash vouches for it
    with serve({f'{name}?download=1': buffer.getvalue()}) as server:
        assert load(f'{server.url}/{name}?download=1')['a'] == 1
    assert cached(cache) == [name]


def test_nothing_that_is_served_runs(tmp_path, cache):
    canary = tmp_path / 'canary'
    bare = pickle.dumps(Canary(canary))
    zipped = as_bytes({'state_dict': {'a': Canary(canary)}})
    files = {named('z', zipped): zipped, named('b', bare): bare}
    with serve({**files, 'z.pth': zipped, 'b.pth': bare}) as server:
        for name in server.files:
            with pytest.raises(CheckpointError):
                load(f'{server.url}/{name}')
    assert not canary.exists()


@pytest.mark.parametrize('damage', ['cut', 'flip', 'page'])
def test_a_damaged_download_leaves_nothing(damage, cache):
    data = bytearray(DATA)
    if damage == 'cut':
        del data[-100:]
    elif damage == 'flip':
        data[DATA.index(torch.tensor(1.0).numpy().tobytes())] ^= 1
    else:
        data = b'<html>not found</html>'
    with serve({'x.pth': bytes(data)}) as server:
        url = f'{server.url}/x.pth'
        with pytest.raises(CheckpointError, match=r'x\.pth: the downloaded'):
            load(url)
        assert cached(cache) == []
        server.files['x.pth'] = DATA
        assert load(url)['conv1.weight'].tolist() == [0, 1, 2]


def test_torchvision_names_resolve_without_torchvision(monkeypatch):
    asked = []
    monkeypatch.setattr(
        schemes, 'load_from_http', lambda url, _: asked.append(url)
    )
    for name in ('resnet18', 'resnet50'):
        load(f'torchvision://{name}')
    base = 'https://download.pytorch.org/models'
    assert asked == [
        f'{base}/resnet18-f37072fd.pth',
        f'{base}/resnet50-0676ba61.pth',
    ]


def test_a_mirror_of_torchvision_is_used_and_verified(monkeypatch, cache):
    with serve({'resnet18-f37072fd.pth': DATA}) as server:
        monkeypatch.setenv('MMPS_TORCHVISION_URL', f'{server.url}/')
        with pytest.raises(CheckpointError, match='expected f37072fd'):
            load('torchvision://resnet18')
    assert [path for path, _ in server.requests] == ['/resnet18-f37072fd.pth']
    assert cached(cache) == []


def test_a_mirror_of_torchvision_delivers(monkeypatch):
    name = named('resnet18', DATA)
    monkeypatch.setattr(
        schemes,
        '_hub_file',
        lambda _: {'r18': f'https://download.pytorch.org/models/{name}'},
    )
    with serve({name: DATA}) as server:
        monkeypatch.setenv('MMPS_TORCHVISION_URL', server.url)
        loaded = load('torchvision://r18')
    assert loaded['conv1.weight'].tolist() == [0, 1, 2]


def test_mmcls_gives_the_backbone(monkeypatch):
    data = as_bytes(
        {'state_dict': {'backbone.a': torch.ones(1), 'head.b': torch.ones(1)}}
    )
    with serve({'x.pth': data}) as server:
        monkeypatch.setattr(
            schemes,
            '_hub_file',
            lambda _: {'r18': f'{server.url}/x.pth'},
        )
        assert list(load('mmcls://r18')['state_dict']) == ['a']


def test_openmmlab_names_resolve(monkeypatch):
    asked = []
    monkeypatch.setattr(
        schemes, 'load_from_http', lambda url, _: asked.append(url)
    )
    load('open-mmlab://detectron2/resnet50_caffe')
    load('openmmlab://resnet50_caffe')  # renamed since
    assert asked[0].startswith('https://download.openmmlab.com/')
    assert asked[0].endswith('resnet50_msra-5891d200.pth')
    assert 'resnet50_caffe' in asked[1] or asked[1] == asked[0]


@pytest.mark.parametrize(
    ('address', 'message'),
    [
        ('torchvision://resnet1800', "'resnet1800' is not one of the"),
        ('open-mmlab://nothing', "'nothing' is not one of"),
        ('s3://bucket/x.pth', 'storage services are not supported'),
        ('cluster:petrel://x.pth', 'storage services are not supported'),
        ('pavi://x', 'storage services are not supported'),
        ('zoo2://x', 'zoo2:// is not a known source'),
        ('/no/such/x.pth', 'no such file'),
    ],
)
def test_other_addresses_are_refused_by_one_error(address, message):
    with pytest.raises(CheckpointError, match=message):
        load(address)


def test_no_stock_loader_is_left():
    for loader in CheckpointLoader._schemes.values():
        assert loader.__module__.startswith('mmps.')
