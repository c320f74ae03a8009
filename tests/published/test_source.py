import argparse
import hashlib

import pytest
import torch

from mmps.checkpoints import CheckpointError
from mmps.published import read_published

from .files import Code, checkpoint_of, python2, save_old

WEIGHTS = {'a.weight': torch.arange(6.0).view(2, 3), 'b': torch.ones(2)}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(published, path):
    assert published.path == path
    assert published.sha256 == sha256(path)
    assert published.weights.keys() == WEIGHTS.keys()
    for key, value in WEIGHTS.items():
        assert torch.equal(published.weights[key], value)


def test_a_file_with_checksums_is_read(tmp_path):
    path = tmp_path / 'epoch_19.pth'
    torch.save(checkpoint_of(WEIGHTS), path)
    same(read_published(path), path)
    same(read_published(path, sha256(path)), path)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'epoch_19.pth'
    save_old(checkpoint_of(WEIGHTS), path)
    return path


def test_an_old_file_is_asked_for_its_hash(old):
    with pytest.raises(CheckpointError) as refused:
        read_published(old)
    assert f'Its SHA-256 is {sha256(old)}. ' in str(refused.value)
    assert str(refused.value).endswith(f'--sha256 {sha256(old)}')
    same(read_published(old, sha256(old)), old)
    same(read_published(old, sha256(old)[:8]), old)


def test_a_hash_beside_or_in_the_name_is_enough(old):
    named = old.with_name(f'seqnet-{sha256(old)[:8]}.pth')
    named.write_bytes(old.read_bytes())
    same(read_published(named), named)
    line = f'{sha256(old)}  {old.name}\n'
    old.with_name(f'{old.name}.sha256').write_text(line)
    same(read_published(old), old)


@pytest.mark.parametrize('save', [save_old, torch.save])
def test_another_hash_is_refused(save, tmp_path):
    path = tmp_path / 'x.pth'
    save(checkpoint_of(WEIGHTS), path)
    with pytest.raises(CheckpointError, match=r'SHA-256 is .*, expected 0{8}'):
        read_published(path, 8 * '0')


def test_a_file_of_python_2_is_read(old):
    content = python2(old.read_bytes())
    assert b'X\x08\x00\x00\x00a.weight' in old.read_bytes()
    assert b'U\x08a.weight' in content
    assert b'X\x08' not in content
    old.write_bytes(content)
    same(read_published(old, sha256(old)), old)


@pytest.mark.parametrize('save', [save_old, torch.save])
@pytest.mark.parametrize(
    ('value', 'name'),
    [(argparse.Namespace(a=1), 'argparse.Namespace'), (Code(), 'loads')],
)
def test_more_than_weights_is_refused(save, value, name, tmp_path):
    path = tmp_path / 'x.pth'
    save({**checkpoint_of(WEIGHTS), 'args': value}, path)
    with pytest.raises(CheckpointError, match=name) as refused:
        read_published(path, sha256(path))
    assert 'Only tensors, numbers, strings' in str(refused.value)


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        (WEIGHTS, 'no weights under `model`; it has a.weight, b'),
        ({}, 'no weights under `model`; it has nothing'),
        ({'model': {}}, 'no weights under `model`; it has model'),
        ({'model': torch.ones(2)}, 'no weights under `model`'),
        ({'model': {**WEIGHTS, 'c': 'x'}}, r'no tensors: model\.c'),
        ([WEIGHTS], 'holds a list'),
        (
            {'model': {**WEIGHTS, 'c': torch.tensor([1.0, torch.nan])}},
            '1 tensors hold NaN or infinity: c',
        ),
    ],
)
def test_other_contents_are_refused(content, match, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=match):
        read_published(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(checkpoint_of(WEIGHTS), path)
    content = bytearray(path.read_bytes())
    content[content.index(WEIGHTS['a.weight'].numpy().tobytes()) + 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='wrong checksum'):
        read_published(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(
        CheckpointError, match=r'no such file.*list --external'
    ):
        read_published(tmp_path / 'x.pth')
