"""``mmps report`` in a checkout: python tools/report.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('report')
