import importlib
import importlib.metadata
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import mmdet
import mmengine
import mmengine.utils
import pytest
from mmengine.config import Config

from mmps import compat
from tests.fresh import run_fresh


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these, and nothing else, are installed."""
    versions = {
        'torch': '2.13.0+cpu',
        'mmengine': '0.10.7',
        'mmcv-lite': '2.1.0',
        'mmdet': '3.3.0',
    }

    def version(project):
        if project not in versions:
            raise importlib.metadata.PackageNotFoundError(project)
        return versions[project]

    monkeypatch.setattr(importlib.metadata, 'version', version)
    monkeypatch.setattr(compat, '_origin', lambda module: None)
    return versions


def test_tested_versions_pass(installed):
    compat.check_versions()


@pytest.mark.parametrize('project', ['mmcv', 'mmcv-full', 'mmcv-lite'])
def test_every_flavour_of_mmcv_counts(installed, project):
    del installed['mmcv-lite']
    installed[project] = '2.1.9'
    compat.check_versions()


@pytest.mark.parametrize(
    ('project', 'version'),
    [
        ('mmcv-lite', '2.2.0'),
        ('mmcv-lite', '2.0.1'),
        ('mmdet', '3.4'),
        ('mmdet', '2.28.2'),
        ('mmengine', '0.10.6'),
        ('mmengine', '0.11.0rc1'),
        ('torch', '2.5.1'),
    ],
)
def test_an_untested_version_is_named(installed, project, version):
    installed[project] = version
    with pytest.raises(ImportError) as caught:
        compat.check_versions()
    message = str(caught.value)
    assert message.startswith(f'{project.removesuffix("-lite")} {version} is')
    assert f"pip install '{project}>=" in message


def test_a_missing_package_is_named(installed):
    del installed['mmdet']
    with pytest.raises(ImportError, match=r"needs mmdet: pip install 'mmdet>"):
        compat.check_versions()


def test_mmdet_configs_can_be_inherited(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = 'mmdet::_base_/schedules/schedule_1x.py'")
    assert Config.fromfile(path).train_cfg.max_epochs == 12


def test_paths_of_packages():
    assert compat.get_installed_path('mmdet') == str(
        Path(mmdet.__file__).parent
    )
    # the name on PyPI and the name of the module differ
    assert compat.get_installed_path('PyYAML').endswith('/yaml')
    with pytest.raises(ModuleNotFoundError, match='no_such_package'):
        compat.get_installed_path('no_such_package')


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('mmdet', True),
        ('PyYAML', True),
        ('yaml', True),
        ('no_such_package', False),
        ('no_such.package', False),
    ],
)
def test_is_installed(name, expected):
    assert compat.is_installed(name) is expected


def test_mmengine_is_left_alone_where_pkg_resources_exists(monkeypatch):
    present = types.ModuleType('pkg_resources')
    present.__spec__ = ModuleSpec('pkg_resources', None)
    monkeypatch.setitem(sys.modules, 'pkg_resources', present)
    monkeypatch.setattr(mmengine.utils, 'is_installed', 'stock')
    compat.repair_pkg_resources()
    assert mmengine.utils.is_installed == 'stock'


def test_the_repair_reaches_every_module_that_asks(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    hub = importlib.import_module('mmengine.hub.hub')
    asking = [mmengine.utils, mmengine.utils.package_utils]
    asking += [mmengine.config.config, hub]
    for module in asking:
        monkeypatch.setattr(module, 'get_installed_path', 'stock')
    compat.repair_pkg_resources()
    for module in asking:
        assert module.get_installed_path is compat.get_installed_path


def test_import_prints_nothing():
    assert run_fresh('import mmps.compat, mmdet.models') == (0, '', '')
