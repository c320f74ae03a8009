"""Whether a checkpoint is what its entry of the zoo will say it is."""

import ast
import math
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine.config import Config

from mmps.checkpoints import CheckpointError
from mmps.errors import InputError
from mmps.plain_model import plain_model

#: Numbers that mmengine writes into a config by name.
_NUMBERS = {'inf': math.inf, 'nan': math.nan}
#: What is raised on text that mmengine has not written, or on no text.
_NO_CONFIG = (
    *(AttributeError, KeyError, SyntaxError, TypeError, ValueError),
    *(MemoryError, RecursionError),
)
_SHOWN = 3  # differences that a message names


def check_origin(
    cfg: Config, meta: Mapping, metainfo: Mapping, checkpoint: str
) -> None:
    """Refuse weights of another model or of other data than a config's.

    Args:
        cfg: The config that the weights are published with.
        meta: Of the checkpoint, with ``cfg_text`` and ``dataset_meta``.
        metainfo: Of the training set of ``cfg``.
        checkpoint: Named in the error.

    Raises:
        CheckpointError: Names what differs.
    """
    trained = read_config_text(meta['cfg_text'], checkpoint)
    ours, theirs = _of_weights(cfg.to_dict()), _of_weights(trained)
    different = [
        f'{key}: checkpoint {theirs.get(key)!r}, config {ours.get(key)!r}'
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]
    if different:
        more = len(different) - _SHOWN
        shown = different[:_SHOWN] + [f'and {more} more'] * (more > 0)
        raise CheckpointError(
            checkpoint,
            '\n  '.join(['was trained with another config:', *shown]),
            'Publish it with the config of its training; if the same data '
            'lie elsewhere, override data_root',
        )
    for key in ('identity_names', 'image_names'):
        if list(meta['dataset_meta'].get(key, ())) != list(metainfo[key]):
            raise CheckpointError(
                checkpoint,
                f'was trained on other data: its {key} are not those of the '
                'training set of the config',
                'Publish it with the data of its training',
            )


def known_commit(commit: str, repository: Path) -> str:
    """Short hash of a commit that a repository has.

    Raises:
        InputError: It is unknown, or this is no git repository.
    """
    git = ['git', '-C', str(repository), 'rev-parse', '--verify', '--short']
    found = subprocess.run(
        [*git, f'{commit}^{{commit}}'], capture_output=True, text=True
    )
    if found.returncode:
        raise InputError(
            f'--commit {commit}',
            f'the git repository {repository} has no such commit',
            'Give the commit of mmps that the weights were trained with; '
            'changes that were not committed cannot be published',
        )
    return found.stdout.strip()


def check_found_something(
    result: Mapping[str, float], searches: bool, checkpoint: str
) -> None:
    """Refuse a result of 0, and a network that searches without a search.

    Args:
        result: Of ``run_test``.
        searches: Whether the network makes embeddings.
        checkpoint: Named in the error.

    Raises:
        CheckpointError: Names the figures that are 0.
    """
    precisions = {
        key: value
        for key, value in result.items()
        if key.endswith(('/mAP', '/AP'))
    }
    if zero := [key for key, value in precisions.items() if not value > 0]:
        raise CheckpointError(
            checkpoint,
            f'{", ".join(zero)} of the test is 0: it finds nothing',
            'Are these the weights of this config?',
        )
    if searches and not any(key.endswith('/mAP') for key in precisions):
        raise CheckpointError(
            checkpoint,
            'the test of this config has searched for nobody',
            'Check the protocols of test_evaluator',
        )


def read_config_text(text: str, source: str) -> dict:
    """Values of a config that mmengine has written; nothing is executed.

    Args:
        text: ``Config.pretty_text``.
        source: Named in the error.

    Raises:
        CheckpointError: It holds more than numbers, strings and containers.
    """
    try:
        return {
            line.targets[0].id: _value(line.value)
            for line in ast.parse(text).body
        }
    except _NO_CONFIG as error:
        raise CheckpointError(
            source,
            f'the config in its meta cannot be read: {error}',
            'Publish a checkpoint that `mmps train` has written',
        ) from error


def _value(node: ast.expr):
    """As ``ast.literal_eval``, and ``dict(key=value)``, inf and nan."""
    match node:
        case ast.Call(func=ast.Name(id='dict'), args=[]):
            return {part.arg: _value(part.value) for part in node.keywords}
        case ast.Dict():
            keys = map(_value, node.keys)
            return dict(zip(keys, map(_value, node.values), strict=True))
        case ast.List() | ast.Tuple() | ast.Set():
            return [_value(part) for part in node.elts]
        case ast.Name():
            return _NUMBERS[node.id]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
    return ast.literal_eval(node)


def _of_weights(cfg: Mapping) -> dict:
    """Dotted keys and values of a config that trained weights depend on."""
    model = plain_model(cfg['model'])
    model.pop('test_cfg', None)
    dataset = cfg['train_dataloader']['dataset']
    while 'dataset' in dataset:  # pairs hold the data set of images
        dataset = dataset['dataset']
    data = {
        'type': dataset['type'],
        'data_root': Path(dataset['data_root']).name,
    }
    return dict(_flat('model', model)) | dict(_flat('dataset', data))


def _flat(key: str, value) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(f'{key}.{name}', part)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _flat(f'{key}.{number}', part)
    else:
        yield key, value
