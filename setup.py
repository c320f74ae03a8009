"""Packaging of mmps. requirements.txt pins the tested versions."""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

root = Path(__file__).parent
version = next(
    line.split("'")[1]
    for line in (root / 'mmps' / '__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)


class BuildWithZoo(build_py):
    """Puts configs, tools and index of the zoo into a wheel.

    They become ``mmps/.mim``, where ``mim`` and ``mmps.zoo.index.find_root``
    look for them; the weights stay outside, and come from the addresses in
    ``MMPS_ZOO_URL`` if that is set when the wheel is built. A clone that is
    installed in place (``pip install -e``) has them already.
    """

    def run(self) -> None:
        """Build the package, then copy."""
        super().run()
        if self.editable_mode:
            return
        place = Path(self.build_lib) / 'mmps' / '.mim'
        shutil.rmtree(place, ignore_errors=True)  # of an earlier build
        for name in ('configs', 'tools'):
            shutil.copytree(
                root / name,
                place / name,
                ignore=shutil.ignore_patterns('__pycache__'),
            )
        shutil.copy(root / 'model-index.yml', place)
        if address := os.environ.get('MMPS_ZOO_URL'):
            (place / 'zoo_url').write_text(f'{address}\n')


setup(
    name='mmps',
    version=version,
    description='End-to-end person search on MMDetection',
    license='Apache-2.0',
    python_requires='>=3.11,<3.14',
    cmdclass={'build_py': BuildWithZoo},
    packages=find_packages(include=['mmps', 'mmps.*']),
    install_requires=[
        'torch>=2.6',
        'mmengine>=0.10.7,<0.11',
        'mmdet>=3.3,<3.4',
        'numpy>=1.26',
        'scipy>=1.11',
        'opencv-python>=4.8',
        'pycocotools>=2.0.7',
        'matplotlib>=3.8',
        'jinja2>=3.1',
        'rich>=13',
        'tqdm>=4.66',
        'pillow>=10',
        'requests>=2.31',
        'safetensors>=0.4',
        'pyyaml>=6',
    ],
    entry_points={'console_scripts': ['mmps = mmps.commands:main']},
    package_data={'mmps.visualization': ['templates/*.html']},
    extras_require={
        # Not required above: pip would install it over a compiled mmcv.
        'lite': ['mmcv-lite>=2.1,<2.2'],
        # Fits torch 2.13, which requirements.txt pins; each torchvision asks
        # for one torch. With another torch: docs/install.md.
        'gpu': ['torchvision>=0.28,<0.29'],
        'demo': ['gradio>=6.31,<7', 'mmcv-lite>=2.1,<2.2'],
        # to search with an exported network, and to write one
        'onnx': ['onnxruntime>=1.20'],
        'export': ['onnx>=1.17', 'onnxscript>=0.5', 'onnxruntime>=1.20'],
        'store': ['lancedb>=0.40,<0.41'],
        'qdrant': ['qdrant-client>=1.20,<2'],
        'docs': ['sphinx>=9', 'myst-parser>=5.2', 'furo>=2025.12'],
    },
)
