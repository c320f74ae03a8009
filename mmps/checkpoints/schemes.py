"""What may stand where mmengine expects a checkpoint; replaces its loaders.

    path/to/file.pth, file.safetensors      local
    https://.../name-1a2b3c4d.pth, http://  verified download, then local
    torchvision://resnet50, modelzoo://     the same; needs no torchvision
    open-mmlab://..., openmmlab://...       the same, names known to mmengine
    mmcls://...                             the same, backbone only

Importing this file registers the loaders. The schemes of storage services
(pavi, s3, petrel) are refused: nothing here can check what they deliver.

``$MMPS_TORCHVISION_URL`` replaces https://download.pytorch.org/models, for a
mirror; the SHA-256 in the names still decides.
"""

import json
import os
from functools import partial
from pathlib import Path

import mmengine
from mmengine.runner.checkpoint import CheckpointLoader

from .download import fetch, file_name
from .errors import CheckpointError
from .reading import check_integrity, hash_in_name, load_checkpoint_file

_TORCHVISION = 'https://download.pytorch.org/models'


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location=None) -> dict:
    """Load a file, see ``load_checkpoint_file``."""
    if '://' in str(filename):
        scheme = str(filename).split('://')[0]
        raise CheckpointError(
            filename, f'{scheme}:// is not a known source of checkpoints'
        )
    return load_checkpoint_file(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location=None) -> dict:
    """Download to the cache, verified, and load from there."""
    known = hash_in_name(file_name(filename))
    check = partial(check_integrity, sha256=known)
    return load_checkpoint_file(fetch(filename, check=check), map_location)


@CheckpointLoader.register_scheme(
    prefixes=('modelzoo://', 'torchvision://'), force=True
)
def load_from_torchvision(filename: str, map_location=None) -> dict:
    """Load ImageNet weights of torchvision, by their names of 0.12."""
    url = _look_up(filename, 'torchvision_0.12.json')
    mirror = os.environ.get('MMPS_TORCHVISION_URL', '').rstrip('/')
    if mirror:
        url = url.replace(_TORCHVISION, mirror)
    return load_from_http(url, map_location)


@CheckpointLoader.register_scheme(
    prefixes=('open-mmlab://', 'openmmlab://'), force=True
)
def load_from_openmmlab(filename: str, map_location=None) -> dict:
    """Load weights that OpenMMLab hosts."""
    scheme, name = filename.split('://', 1)
    renamed = _hub_file('deprecated.json').get(name, name)
    url = _look_up(f'{scheme}://{renamed}', 'openmmlab.json')
    return load_from_http(url, map_location)


@CheckpointLoader.register_scheme(prefixes='mmcls://', force=True)
def load_from_mmcls(filename: str, map_location=None) -> dict:
    """Load the backbone of a classifier of OpenMMLab."""
    checkpoint = load_from_http(_look_up(filename, 'mmcls.json'), map_location)
    weights = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return dict(
        state_dict={
            key.removeprefix(prefix): value
            for key, value in weights.items()
            if key.startswith(prefix)
        }
    )


@CheckpointLoader.register_scheme(
    prefixes=('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), force=True
)
def load_from_storage(filename: str, map_location=None) -> dict:
    """Refuse what cannot be verified."""
    raise CheckpointError(
        filename,
        'storage services are not supported',
        'Copy the file to a disk and give its path',
    )


def _look_up(address: str, table: str) -> str:
    name = address.split('://', 1)[1]
    urls = _hub_file(table)
    if name not in urls:
        raise CheckpointError(
            address,
            f'{name!r} is not one of the {len(urls)} names of {table}',
            'Give the https:// address or the path of the file',
        )
    if not urls[name].startswith('http'):
        raise CheckpointError(address, f'not a web address: {urls[name]!r}')
    return urls[name]


def _hub_file(name: str) -> dict:
    folder = Path(mmengine.__file__).parent / 'hub'
    return json.loads((folder / name).read_text())
