import pytest

from mmps.export.quantization import range_for_this_processor


@pytest.mark.parametrize(
    ('flags', 'machine', 'reduced'),
    [
        ('fpu avx2 avx_vnni', 'x86_64', False),
        ('fpu avx512f avx512_vnni', 'AMD64', False),
        ('fpu avx2', 'x86_64', True),
        # sums of two products saturate in 16 bits there, too
        ('fpu avx2 avx512f avx512bw', 'x86_64', True),
        ('', 'arm64', False),
    ],
)
def test_seven_bits_where_sums_would_saturate(flags, machine, reduced):
    assert range_for_this_processor(machine, flags).reduced == reduced
