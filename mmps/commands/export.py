"""Write a trained network as ONNX files, which run without torch.

mmps export zoo://oim_r18_qeeps50_synth --out exported
mmps export oim_r50 epoch_20.pth --out exported --proposals 100
mmps export oim_r50 epoch_20.pth --out exported --check photos/
mmps search street.jpg --pick 3 --gallery photos/ --model exported

scene.onnx looks at a picture, people.onnx at boxes in it; single.onnx does
both, but embeds no box that is given to it (docs/export.md).
Exit code: 0, or 1 if --check finds a difference above its limits.
"""

import argparse

from .arguments import at_least


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
        '[those of the config]',
    )
    parser.add_argument(
        '--check',
        nargs='+',
        metavar='PICTURE',
        help='images, or folders of images: compare boxes, scores and '
        'embeddings with those of torch',
    )


def run(args: argparse.Namespace) -> int:
    """Export, and compare."""
    from pathlib import Path

    pictures = _pictures(args.check)
    from mmps.export import export_network
    from mmps.inference.network import Network

    network = Network(args.config, args.weights, 'cpu', args.proposals)
    export_network(network, Path(args.out), args.layout, print)
    return _check(network, args.out, pictures) if pictures else 0


def _pictures(given: list[str] | None) -> list[str]:
    """Images to compare on; refused before anything slow begins."""
    from mmps.inference.scenes import is_video, listed

    if given is None:
        return []
    return [path for path in listed(given) if not is_video(path)]


def _check(network, folder: str, pictures: list[str]) -> int:
    """Print what differs; 1 if it is too much."""
    from mmps.export.check import LIMITS, differences, table, total
    from mmps.inference.onnx_network import OnnxNetwork

    exported = OnnxNetwork(folder)
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
