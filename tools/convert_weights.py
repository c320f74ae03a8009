"""``mmps convert-weights``: python tools/convert_weights.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('convert-weights')
