"""The command ``mmps export``."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('export')
