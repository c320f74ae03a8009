"""The command ``mmps results-table``."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('results-table')
