"""What a wheel has inside."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmps.configs import find_config
from mmps.zoo import index as index_module
from mmps.zoo import load_index, mirrors
from mmps.zoo.index import find_root

ROOT = Path(__file__).parents[1]
ADDRESSES = ['https://a.example/zoo/', 'http://b.example']


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    """The folder of an mmps that was not installed in place."""
    out = tmp_path_factory.mktemp('built')
    stale = out / 'mmps/.mim/configs/oim/stale.py'
    stale.parent.mkdir(parents=True)
    stale.write_text('')
    subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', out],
        cwd=ROOT,
        env={**os.environ, 'MMPS_ZOO_URL': ' '.join(ADDRESSES)},
        check=True,
        timeout=120,
    )
    return out / 'mmps'


@pytest.fixture(scope='module')
def requires(tmp_path_factory):
    """What pip will read of the requirements."""
    out = tmp_path_factory.mktemp('egg')
    subprocess.run(
        [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', out],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    return (out / 'mmps.egg-info/requires.txt').read_text()


def test_the_torchvision_of_the_extra_fits_the_pinned_torch(requires):
    (low,) = re.findall(r'\[gpu\]\ntorchvision<0\.\d+,>=0\.(\d+)', requires)
    pinned = (ROOT / 'requirements.txt').read_text()
    (minor,) = re.findall(r'^torch==2\.(\d+)', pinned, re.M)
    assert int(low) == int(minor) + 15  # as of torch 2.0 and torchvision 0.15
    for file in ROOT.glob('requirements*.txt'):
        assert 'torchvision' not in file.read_text()


def test_the_demo_brings_all_that_it_needs(requires):
    needed = re.search(r'\[demo\]\n(.*?)\n(\[|\Z)', requires, re.DOTALL)[1]
    names = {re.match(r'[\w-]+', line)[0] for line in needed.splitlines()}
    assert names == {'gradio', 'mmcv-lite'}


def pins(name):
    """Package -> version of a file of requirements."""
    return dict(
        re.findall(r'^([\w-]+)==(\S+)', (ROOT / name).read_text(), re.M)
    )


def test_a_search_without_torch_has_the_versions_that_are_tested():
    alone = pins('requirements-onnx.txt')
    tested = pins('requirements.txt') | pins('requirements-dev.txt')
    assert alone.keys() > {'onnxruntime', 'numpy', 'opencv-python'}
    assert alone == {name: tested[name] for name in alone}


def files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def test_configs_tools_and_index_are_inside(package):
    inside = package / '.mim'
    expected = {'model-index.yml', 'zoo_url'}
    for name in ('configs', 'tools'):
        expected |= {f'{name}/{file}' for file in files(ROOT / name)}
    assert files(inside) == expected
    for file in expected - {'zoo_url'}:
        assert (inside / file).read_bytes() == (ROOT / file).read_bytes()


def test_every_module_is_inside(package):
    modules = {file for file in files(package) if '.mim' not in file}
    assert modules == files(ROOT / 'mmps')


def test_its_zoo_is_that_of_the_clone(package, monkeypatch):
    file = package / 'zoo/index.py'
    monkeypatch.setattr(index_module, '__file__', str(file))
    assert find_root() == package / '.mim'
    index = load_index()
    assert index.entries == load_index(ROOT).entries
    for entry in index.entries.values():
        assert (index.root / entry.config).is_file()


def test_the_addresses_of_its_build_are_its_last_mirrors(package, monkeypatch):
    monkeypatch.setenv('MMPS_ZOO_URL', 'https://first.example')
    root = package / '.mim'
    assert mirrors(root) == [
        *('https://first.example', root.as_uri()),
        *('https://a.example/zoo', 'http://b.example'),
    ]
    monkeypatch.delenv('MMPS_ZOO_URL')
    assert mirrors(ROOT) == [ROOT.as_uri()]  # not built: no address


def test_its_configs_are_found_by_name(package, monkeypatch, tmp_path):
    file = package / 'zoo/index.py'
    monkeypatch.setattr(index_module, '__file__', str(file))
    monkeypatch.chdir(tmp_path)
    expected = package / '.mim/configs/oim/oim_r50.py'
    for given in ('oim_r50', 'configs/oim/oim_r50.py'):
        assert find_config(given) == expected


def test_its_configs_find_their_bases(package):
    name = 'configs/kd/oim_r18_det50_oim50_synth.py'
    cfg = Config.fromfile(package / '.mim' / name, import_custom_modules=False)
    expected = Config.fromfile(ROOT / name, import_custom_modules=False)
    assert cfg.to_dict() == expected.to_dict()
