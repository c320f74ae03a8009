"""``mmps train`` in a checkout: python tools/train.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('train')
