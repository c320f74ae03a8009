"""Small zoos in a folder."""

import hashlib

from mmps.zoo import index as index_module
from mmps.zoo import load_index
from mmps.zoo.metafile import dumps

DATA = bytes(range(256)) * 800  # 204 800 bytes


def keys_of(path, content, key='Weights'):
    """What the metafile says of a released file."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {key: path, 'SHA256': sha256, 'Size': len(content)}


def put(root, path, content):
    """Write a file below a mirror; returns the address of the mirror."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return root.as_uri()


def flipped(content):
    """One bit of it is another."""
    content = bytearray(content)
    content[len(content) // 2] ^= 1
    return bytes(content)


def entry(name, **keys):
    """An entry of a metafile."""
    config = f'configs/oim/{name}.py'
    model = {'Name': name, 'In Collection': 'OIM', 'Config': config}
    return {**model, **keys}


def write_zoo(root, *models):
    """Write the metafile of configs/oim and read the index."""
    path = root / 'configs/oim/metafile.yml'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps({'Models': list(models)}))
    content = {'Import': ['configs/oim/metafile.yml']}
    (root / 'model-index.yml').write_text(dumps(content))
    index_module.forget_indexes()
    return load_index(root)


def make_default(monkeypatch, root):
    """Let zoo://NAME look here."""
    monkeypatch.setattr(index_module, 'find_root', lambda: root)


def private_cache(monkeypatch, tmp_path):
    """A cache of this test, and no mirror but the zoo's own folder."""
    monkeypatch.setenv('MMPS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('MMPS_ZOO_URL', raising=False)
    return tmp_path / 'cache'


def cached(cache):
    """Names of the files in a cache, but for locks."""
    files = (p for p in cache.rglob('*') if p.is_file())
    return sorted(p.name for p in files if p.suffix != '.lock')
