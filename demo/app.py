"""``mmps demo`` in a checkout: python demo/app.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('demo')
