"""Write a trained network as ONNX files, which run without torch.

mmps export zoo://oim_r18_qeeps50_synth --out exported
mmps export oim_r50 epoch_20.pth --out exported --proposals 300
mmps export oim_r50 epoch_20.pth --out exported --check photos/
mmps export oim_r18_synth zoo://oim_r18_synth --out exported \\
    --int8 data/synth-small/Image/SSM --measure
mmps search street.jpg --pick 3 --gallery photos/ --model exported

scene.onnx looks at a picture, people.onnx at boxes in it; single.onnx does
both, but embeds no box that is given to it (docs/export.md).
Exit code: 0, or 1 if --check finds a difference above its limits.
"""

import argparse

from .arguments import at_least

#: Of more, the others find almost nobody, also where people crowd, and take
#: most of the time (docs/export.md).
MOST_PROPOSALS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        'config', help='path or name of a config, or zoo://NAME'
    )
    parser.add_argument(
        'weights',
        nargs='?',
        help='checkpoint; a network of the zoo has its own',
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where the files go'
    )
    parser.add_argument(
        '--layout',
        choices=['split', 'single'],
        default='split',
        help='split: a graph for pictures and one for boxes, which embeds '
        'any box; single: one file, picture in, people out [%(default)s]',
    )
    parser.add_argument(
        '--proposals',
        type=at_least(1),
        metavar='N',
        help='boxes of a picture that people are sought in; fewer are faster '
        f'[those of the config, at most {MOST_PROPOSALS}]',
    )
    parser.add_argument(
        '--check',
        nargs='+',
        metavar='PICTURE',
        help='images, or folders of images: compare boxes, scores and '
        'embeddings with those of torch',
    )
    parser.add_argument(
        '--int8',
        nargs='+',
        metavar='PICTURE',
        help='also write the network in int8, into DIR/int8: images, or '
        'folders of images, to calibrate on, such as those it was trained on',
    )
    parser.add_argument(
        '--measure',
        action='store_true',
        help='test what was written on the test set of the config, as '
        '`mmps test CONFIG DIR` does, and write the figures into the files',
    )


def run(args: argparse.Namespace) -> int:
    """Export, quantise, compare, and measure."""
    from pathlib import Path

    from mmps.errors import InputError

    pictures, calibration = map(_pictures, (args.check, args.int8))
    if args.measure and args.layout == 'single':
        raise InputError(
            '--measure',
            'needs the embeddings of given boxes, which a single graph lacks',
            'Leave out --layout single',
        )
    _check_installed()
    from mmps.export import export_network, quantize
    from mmps.inference.network import Network

    network = Network(
        *(args.config, args.weights, 'cpu', args.proposals),
        most_proposals=MOST_PROPOSALS,
    )
    if args.proposals is None:
        _tell_proposals(network)
    folders = [Path(args.out)]
    export_network(network, folders[0], args.layout, print)
    if calibration:
        folders.append(quantize(folders[0], calibration, print))
    if args.measure:
        _measure(network, folders)
    codes = [_check(network, folder, pictures) for folder in folders]
    return max(codes)


def _tell_proposals(network) -> None:
    if network.proposals != network.configured_proposals:
        print(
            f'{network.proposals} proposals in place of '
            f'{network.configured_proposals}; --proposals '
            f'{network.configured_proposals} keeps those of the config'
        )


def _check_installed() -> None:
    from importlib.util import find_spec

    from mmps.errors import InputError

    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(name) is None:
            raise InputError(
                name,
                'is not installed, and export needs it',
                "Install it: pip install 'mmps[export]'",
            )


def _pictures(given: list[str] | None) -> list[str]:
    """Images to compare on; refused before anything slow begins."""
    from mmps.inference.scenes import is_video, listed

    if given is None:
        return []
    return [path for path in listed(given) if not is_video(path)]


def _measure(network, folders: list) -> None:
    """Test each folder on the protocols of the config, and write it down."""
    import math
    import tempfile

    from mmps.apis import load_config, run_test
    from mmps.evaluation.result_text import describe_result
    from mmps.export import with_measured

    for folder in folders:
        with tempfile.TemporaryDirectory() as place:
            cfg = load_config(str(network.config), work_dir=place)
            result = run_test(cfg, str(folder))
        print(f'{folder}\n{describe_result(result)}')
        known = {k: v for k, v in result.items() if not math.isnan(v)}
        with_measured(folder, {'config': network.name, **known})


def _check(network, folder, pictures: list[str]) -> int:
    """Print what differs; 1 if it is too much."""
    if not pictures:
        return 0
    from mmps.export.check import LIMITS, differences, table, total
    from mmps.inference.onnx_network import OnnxNetwork

    exported = OnnxNetwork(folder)
    print(f'{folder}, {exported.metadata.precision}:')
    limits = LIMITS[exported.metadata.precision]
    found = differences(
        *(network, exported, pictures, network.det_thr),
        # a single graph embeds whom it detects
        embed_given=exported.metadata.layout == 'split',
    )
    print(table(pictures, found, limits))
    if wrong := total(found).above(limits):
        print(f'{folder} differs from torch too much: {", ".join(wrong)}')
        return 1
    return 0
