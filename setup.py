"""Packaging of mmps. Versions that are tested stand in requirements.txt."""

from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
version = next(
    line.split("'")[1]
    for line in (root / 'mmps' / '__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)

setup(
    name='mmps',
    version=version,
    description='End-to-end person search on MMDetection',
    license='Apache-2.0',
    python_requires='>=3.11,<3.14',
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
        'requests>=2.31',
        'safetensors>=0.4',
        'pyyaml>=6',
    ],
    # Not required above: pip would install it over a compiled mmcv.
    package_data={'mmps.visualization': ['templates/*.html']},
    extras_require={'lite': ['mmcv-lite>=2.1,<2.2']},
)
