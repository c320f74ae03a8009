import copy
import hashlib
import io
import pickle
import random
import subprocess
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.checkpoints.reading import has_checksum, read_meta


def weights(size=6):
    values = torch.arange(float(size * size)).view(size, size)
    return OrderedDict(a=values, b=torch.tensor(3))


def save(path, content):
    torch.save(content, path)
    return path


def vouch(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f'{path.name}.sha256').write_text(f'{digest}  {path}\n')
    return path


class Runs:
    """Unpickles to the result of a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(canary):
    write = f"open({str(canary)!r}, 'w').close()"
    module = Runs(__import__, 'subprocess')
    reconstruct = np.zeros(1).__reduce__()[0]
    return dict(
        system=Runs(__import__('os').system, f'touch {canary}'),
        exec=Runs(exec, write),
        eval=Runs(eval, write),
        popen=Runs(subprocess.Popen, ['touch', str(canary)]),
        getattr=Runs(getattr, HistoryBuffer, '__init__'),
        nested_getattr=Runs(getattr, module, 'Popen'),
        globals=Runs(
            getattr, Runs(getattr, HistoryBuffer, 'min'), '__globals__'
        ),
        open=Runs(open, str(canary), 'w'),
        load=Runs(pickle.loads, pickle.dumps(Runs(exec, write))),
        hub_load=Runs(torch.hub.load_state_dict_from_url, 'http://127.0.0.1'),
        other_array=Runs(reconstruct, HistoryBuffer, (0,), b'b'),
        object_dtype=Runs(np.dtype, 'O'),
    )


PLACES = {
    'top': lambda bad: bad,
    'weights': lambda bad: {'state_dict': {**weights(), 'c': bad}},
    'optimizer': lambda bad: {
        'state_dict': weights(),
        'optimizer': {'state': {0: {'momentum_buffer': bad}}},
    },
    'message hub': lambda bad: {
        'state_dict': weights(),
        'message_hub': {'runtime_info': {'eta': bad}},
    },
    'meta': lambda bad: {'state_dict': weights(), 'meta': {'cfg': bad}},
}


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('kind', hostile(''))
def test_nothing_in_a_checkpoint_runs(kind, place, tmp_path):
    canary = tmp_path / 'canary'
    content = PLACES[place](hostile(canary)[kind])
    zipped = save(tmp_path / 'zip.pth', content)
    legacy = tmp_path / 'legacy.pth'
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    bare = tmp_path / 'bare.pth'
    bare.write_bytes(pickle.dumps(content))
    for path in (zipped, vouch(legacy), vouch(bare)):
        with pytest.raises(CheckpointError, match='cannot be read as weights'):
            load_checkpoint_file(path)
    assert not canary.exists()


def test_the_canary_would_have_died(tmp_path):
    canary = tmp_path / 'canary'
    path = save(tmp_path / 'x.pth', hostile(canary)['exec'])
    torch.load(path, weights_only=False)
    assert canary.exists()


def test_a_training_checkpoint_of_stock_mmengine_loads(tmp_path):
    hub = MessageHub.get_instance('test_checkpoint_io')
    for value in (1.5, 2.5, 4.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('best_score', np.float64(0.25))
    hub.update_info('steps', np.arange(3))
    content = dict(
        state_dict=weights(),
        message_hub=hub.state_dict(),
        meta=dict(epoch=2, iter=np.int64(7)),
        optimizer=dict(state={}, param_groups=[dict(lr=np.float32(0.5))]),
    )
    loaded = load_checkpoint_file(save(tmp_path / 'epoch_2.pth', content))
    buffer = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.data[0].tolist() == [1.5, 2.5, 4.0]
    assert buffer.statistics('mean', 2) == 3.25
    info = loaded['message_hub']['runtime_info']
    assert (info['best_score'], info['steps'].tolist()) == (0.25, [0, 1, 2])
    assert loaded['meta']['iter'] == 7
    assert loaded['optimizer']['param_groups'][0]['lr'] == 0.5


def test_configs_become_text_that_nothing_reads(tmp_path):
    content = dict(
        state_dict=weights(),
        meta=dict(cfg='a = 1', config='b = 2', epoch=1),
        message_hub=dict(
            runtime_info=dict(cfg='c = 3', epoch=1),
            resumed_keys=dict(cfg=True, epoch=True),
        ),
    )
    loaded = load_checkpoint_file(save(tmp_path / 'x.pth', content))
    assert loaded['meta'] == dict(
        cfg_text='a = 1', config_text='b = 2', epoch=1
    )
    assert loaded['message_hub'] == dict(
        runtime_info=dict(epoch=1), resumed_keys=dict(epoch=True)
    )


def fuzz(count, content, path, rng):
    """Flip a bit, or cut, ``count`` times; return what was loaded."""
    loaded, refused = [], 0
    for number in range(count):
        damaged = bytearray(content)
        if number % 3:
            damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(content)) :]
        path.write_bytes(damaged)
        try:
            loaded.append(load_checkpoint_file(path))
        except CheckpointError:
            refused += 1
    return loaded, refused


@pytest.mark.parametrize('seed', [0, 1])
def test_a_damaged_file_is_refused_or_right(seed, tmp_path):
    buffer = io.BytesIO()
    torch.save(dict(state_dict=weights(), meta=dict(epoch=3)), buffer)
    loaded, refused = fuzz(
        150, buffer.getvalue(), tmp_path / 'x.pth', random.Random(seed)
    )
    assert refused > 75
    for checkpoint in loaded:
        assert checkpoint['meta'] == dict(epoch=3)
        assert list(checkpoint['state_dict']) == list(weights())
        for key, value in weights().items():
            assert torch.equal(checkpoint['state_dict'][key], value)


def test_the_damage_is_named(tmp_path):
    path = save(tmp_path / 'x.pth', weights())
    content = bytearray(path.read_bytes())
    first = content.index(torch.tensor(1.0).numpy().tobytes())
    content[first] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r'x\.pth: damaged .* wrong checksum of .*data/0'
    ):
        load_checkpoint_file(path)


@pytest.mark.parametrize('content', [b'', b'\0' * 99, b'<!doctype html>'])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'not a zip archive.*sha256sum'):
        load_checkpoint_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        load_checkpoint_file(tmp_path / 'x.pth')


def test_a_compressed_archive_is_refused(tmp_path):
    with zipfile.ZipFile(
        tmp_path / 'x.pth', 'w', zipfile.ZIP_DEFLATED
    ) as archive:
        archive.writestr('x/data.pkl', bytes(10**6))
    with pytest.raises(CheckpointError, match=r'data\.pkl is compressed'):
        load_checkpoint_file(tmp_path / 'x.pth')


def test_meta_of_a_compressed_archive_is_not_looked_for(tmp_path):
    path = save(tmp_path / 'x.pth', dict(meta=dict(epoch=3)))
    assert read_meta(path) == dict(epoch=3)
    with zipfile.ZipFile(path) as archive:
        entries = {e.filename: archive.read(e) for e in archive.infolist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert torch.load(path)['meta'] == dict(epoch=3)
    assert read_meta(path) == {}


def overlapping(archive):
    large = max(archive.filelist, key=lambda entry: entry.file_size)
    for number in range(50):  # listed again, stored once
        again = copy.copy(large)
        again.filename = f'{large.filename}{number}'
        archive.filelist.append(again)


def twice(archive):
    archive.filelist.append(archive.filelist[-1])


def as_a_folder(archive):
    archive.getinfo('archive/data/0').external_attr |= 0x10


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        (overlapping, 'its entries overlap'),
        (twice, 'has two entries of one name'),
        (as_a_folder, 'archive/data/0 is a folder'),
    ],
)
def test_an_archive_that_torch_does_not_write_is_refused(
    change, problem, tmp_path
):
    path = tmp_path / 'x.pth'
    buffer = io.BytesIO()
    torch.save(weights(99), buffer)
    path.write_bytes(buffer.getvalue())
    with zipfile.ZipFile(path, 'a') as archive:
        change(archive)
        archive._didModify = True
    with pytest.raises(CheckpointError, match=f'{problem}: not written by'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('path', ['a' * 5000, '~nobody-here/x.pth'])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(CheckpointError, match='is no path'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('content', [[1], torch.ones(1), 'text'])
def test_a_checkpoint_is_a_dict(content, tmp_path):
    with pytest.raises(CheckpointError, match='not a dict'):
        load_checkpoint_file(save(tmp_path / 'x.pth', content))


@pytest.mark.parametrize('part', ['state_dict', 'ema_state_dict', None])
@pytest.mark.parametrize('value', [float('nan'), float('-inf')])
def test_weights_must_be_finite(part, value, tmp_path):
    bad = {**weights(), 'c': torch.tensor([1.0, value])}
    content = {'state_dict': weights(), part: bad} if part else bad
    with pytest.raises(CheckpointError, match=r'1 tensors hold NaN .*: c'):
        load_checkpoint_file(save(tmp_path / 'x.pth', content))


class TestWithoutChecksums:
    """Files that cannot show themselves that they are intact."""

    @pytest.fixture(params=['legacy', 'safetensors'])
    def content(self, request, tmp_path):
        path = tmp_path / 'original'
        if request.param == 'legacy':
            torch.save(weights(), path, _use_new_zipfile_serialization=False)
            return path.read_bytes(), 'pth'
        safetensors = pytest.importorskip('safetensors.torch')
        safetensors.save_file(weights(), path, {'dataset': 'synthetic'})
        return path.read_bytes(), 'safetensors'

    def read(self, loaded):
        return loaded.get('state_dict', loaded)

    def test_a_hash_in_the_name_vouches(self, content, tmp_path):
        data, suffix = content
        digest = hashlib.sha256(data).hexdigest()
        path = tmp_path / f'r18-{digest[:8]}.{suffix}'
        path.write_bytes(data)
        found = self.read(load_checkpoint_file(path))
        assert torch.equal(found['a'], weights()['a'])
        assert found['b'] == 3
        assert found['b'].dtype == torch.int64

    def test_a_hash_beside_vouches(self, content, tmp_path):
        data, suffix = content
        path = tmp_path / f'r18.{suffix}'
        path.write_bytes(data)
        vouch(path)
        assert list(self.read(load_checkpoint_file(path))) == ['a', 'b']

    def test_without_a_hash_it_is_refused(self, content, tmp_path):
        data, suffix = content
        path = tmp_path / f'r18.{suffix}'
        path.write_bytes(data)
        assert not has_checksum(path)
        with pytest.raises(CheckpointError, match='sha256sum r18'):
            load_checkpoint_file(path)

    def test_a_hash_that_is_given_vouches(self, content, tmp_path):
        data, suffix = content
        path = tmp_path / f'r18.{suffix}'
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        found = load_checkpoint_file(path, sha256=digest)
        assert list(self.read(found)) == ['a', 'b']
        with pytest.raises(CheckpointError, match='SHA-256 is'):
            load_checkpoint_file(path, sha256=digest[::-1])

    def test_any_damage_is_refused(self, content, tmp_path):
        data, suffix = content
        path = tmp_path / f'r18.{suffix}'
        path.write_bytes(data)
        vouch(path)
        loaded, refused = fuzz(60, data, path, random.Random(2))
        assert (loaded, refused) == ([], 60)


def test_a_hash_that_is_given_holds_for_files_with_checksums(tmp_path):
    path = save(tmp_path / 'x.pth', weights())
    assert has_checksum(path)
    with pytest.raises(CheckpointError, match='SHA-256 is'):
        load_checkpoint_file(path, sha256=64 * '0')


def test_an_archive_at_its_end_does_not_vouch_for_safetensors(tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(b'weights')
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('x', b'intact')
    assert zipfile.is_zipfile(path)
    with pytest.raises(CheckpointError, match='sha256sum'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('zipped', [False, True])
def test_an_archive_at_its_end_does_not_vouch_for_a_file(zipped, tmp_path):
    content = io.BytesIO()
    torch.save(weights(), content, _use_new_zipfile_serialization=zipped)
    first = bytearray(content.getvalue())
    first[first.index(torch.tensor(2.0).numpy().tobytes())] ^= 1
    path = save(tmp_path / 'x.pth', weights())
    path.write_bytes(first + path.read_bytes())
    assert zipfile.ZipFile(path).testzip() is None
    with pytest.raises(CheckpointError, match='does not begin with its'):
        load_checkpoint_file(path)


def test_a_hash_beside_counts_for_an_archive_too(tmp_path):
    path = vouch(save(tmp_path / 'x.pth', weights()))
    assert list(load_checkpoint_file(path)) == ['a', 'b']
    save(path, weights(2))
    with pytest.raises(CheckpointError, match='SHA-256 is'):
        load_checkpoint_file(path)


def test_a_hash_beside_that_is_no_text_is_named(tmp_path):
    path = save(tmp_path / 'x.pth', weights())
    path.with_name('x.pth.sha256').write_bytes(b'\xff\xfe')
    with pytest.raises(CheckpointError, match='start with a SHA-256'):
        load_checkpoint_file(path)
    path.write_bytes(b'no archive')
    with pytest.raises(CheckpointError, match='start with a SHA-256'):
        has_checksum(path)


def test_metadata_of_safetensors_is_kept(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'x.safetensors'
    safetensors.save_file(weights(), path, {'dataset': 'synthetic'})
    loaded = load_checkpoint_file(vouch(path), 'cpu')
    assert loaded['meta'] == {'dataset': 'synthetic'}
