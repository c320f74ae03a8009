"""Write a converted network as a file that says where it comes from."""

import hashlib
from pathlib import Path

from mmps import __version__
from mmps.checkpoints import CheckpointError, write_atomically
from mmps.checkpoints.reading import hash_in_name
from mmps.zoo.publish import safetensors_bytes

from .convert import Conversion
from .key_maps import Network
from .source import Published

#: What the weights of a data set may be used for, as its authors say.
_TERMS = {
    'cuhk-sysu': 'CUHK-SYSU is handed out by its authors on request, for '
    'academic use only',
    'prw': 'PRW is a public download of its authors, who state no licence',
}


def check_name(path: Path) -> None:
    """Refuse a name that a converted file cannot have.

    Raises:
        CheckpointError: It is not that of a safetensors file, or ends in
            digits that would be read as its SHA-256.
    """
    if path.suffix != '.safetensors':
        raise CheckpointError(
            path, 'the name of converted weights ends in .safetensors'
        )
    if digits := hash_in_name(path.name):
        raise CheckpointError(
            path,
            f'-{digits} at the end of a name is read as a SHA-256',
            'Give --out another name',
        )


def licence_note(network: Network, dataset: str) -> str:
    """What is known of the terms, in two sentences."""
    return (
        f'Converted from weights of {network.repository}, whose code is '
        f'under {network.licence}; its authors decide on the use of the '
        f'weights. {_TERMS[dataset]}.'
    )


def write_converted(
    conversion: Conversion,
    published: Published,
    network: Network,
    dataset: str,
    path: Path,
) -> None:
    """Write weights, and their SHA-256 beside them as ``<file>.sha256``.

    The same source gives the same file.

    Args:
        conversion: What is written; without the table.
        published: Where it is from.
        network: What it is.
        dataset: 'cuhk-sysu' or 'prw'.
        path: See ``check_name``.

    Raises:
        CheckpointError: It cannot be written.
    """
    check_name(path)
    content = safetensors_bytes(
        conversion.state,
        {
            'config_name': network.config_for(dataset),
            'network': network.title,
            'dataset': dataset,
            'source': published.path.name,
            'source_sha256': published.sha256,
            'repository': f'https://github.com/{network.repository}',
            'licence': licence_note(network, dataset),
            'mmps_version': __version__,
        },
    )
    write_atomically(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    line = f'{sha256}  {path.name}\n'
    write_atomically(path.with_name(f'{path.name}.sha256'), line.encode())
