"""Person search on MMDetection: OIM, QEEPS and their distillation."""

from . import compat

__version__ = '0.1.0'
__all__ = ['__version__', 'compat']
