"""``mmps score`` in a checkout: python tools/score.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('score')
