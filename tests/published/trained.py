"""Write a trained network of mmps as its authors' code would have.

    python -m tests.published.trained seqnet \\
        work_dirs/seqnet_r50_synth/epoch_8.pth epoch_19.pth

So that a file in the exact published format holds a network that works: what
is converted, tested and distilled from it must give the figures of the
network that it was made of. The rows and layers that mmps has no use for are
random.
"""

import argparse

import torch

from mmps.checkpoints import load_checkpoint_file
from mmps.published import NETWORKS

from .files import checkpoint_of, weights_of

TABLE = 'roi_head.oim_head.loss_oim.table'
MEMORY = 'roi_heads.reid_loss.'


def published(name, state, seed=0):
    """Tensors by the published keys.

    Args:
        name: 'seqnet' or 'nae'; OIMNet++ has no bias where mmps has one.
        state: State dict of mmps, with its lookup table.
        seed: Of what is random.
    """
    random = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(shape, generator=random)

    weights = {}
    for move in NETWORKS[name].moves:
        value = state[move.ours]
        if move.rows is not None:
            rows = 1 + max(move.rows)  # the first four: of the background
            value = noise(rows, *value.shape[1:])
            value[list(move.rows)] = state[move.ours]
        weights[move.theirs] = value
    table = state[TABLE]
    weights[f'{MEMORY}lut'] = table
    weights[f'{MEMORY}cq'] = noise(7, table.shape[1])
    left_over = {
        key: value
        for key, value in weights_of(name, respelt=False).items()
        if key not in weights
    }
    return weights | left_over


def main():
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('network', choices=('seqnet', 'nae'))
    parser.add_argument('checkpoint')
    parser.add_argument('out')
    args = parser.parse_args()
    state = load_checkpoint_file(args.checkpoint)['state_dict']
    torch.save(checkpoint_of(published(args.network, state)), args.out)


if __name__ == '__main__':
    main()
