"""The batched solver against the one of pfes.flow.tvl1: on the CPU always, on a GPU and in Triton's interpreter where there is one."""

import numpy as np
import pytest
import torch

from pfes.bench.scenes import face, scene
from pfes.flow import tvl1_cuda
from pfes.flow.tvl1 import TVL1, tvl1, tvl1_window
from tests.interpreter import assert_equal_there, needs_triton

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(scope="module")
def windows():
    """Two windows of four frames, of a size that needs padding, with motion of 1 to 3 px, noise and a change of light."""
    texture = face(90)
    found = []
    for seed in (0, 1):
        pairs = [scene(texture, amplitude, seed=seed) for amplitude in (1.0, 2.0, 3.0)]
        found.append(np.stack([pairs[0][0], *(moving for _, moving, _ in pairs)])[:, :, :85])
    return np.stack(found)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "params",
    [
        TVL1(),
        TVL1(cell=1),
        TVL1(adapt=False),
        TVL1(light=False, window=False),
        TVL1(scales=2, warps=1),
        TVL1(local=False),
        TVL1(trust=False, prefilter=0),
    ],
    ids=str,
)
def test_batched_flow_is_that_of_one_window(windows, device, params):
    found = tvl1_cuda.tvl1_windows(windows, params, device)
    for window, flow in zip(windows, found, strict=True):
        expected = tvl1_window(window, params)
        assert np.linalg.norm(expected, axis=-1).max() > 0.5
        assert np.abs(flow - expected).max() < 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_pairs_and_single_images_have_the_shapes_of_the_cpu(windows, device):
    reference, moving = windows[0, :2], windows[1, :2]
    flow = tvl1_cuda.tvl1(reference, moving, device=device)
    assert flow.shape == (*reference.shape, 2) and flow.dtype == np.float32
    np.testing.assert_allclose(flow, tvl1(reference, moving), atol=1e-3)
    assert tvl1_cuda.tvl1(reference[0], moving[0], device=device).shape == (*reference[0].shape, 2)


@pytest.mark.parametrize("device", DEVICES)
def test_zero_motion_gives_exactly_zero(windows, device):
    still = np.repeat(windows[:, :1], 3, axis=1)
    assert (tvl1_cuda.tvl1_windows(still, device=device) == 0).all()


def test_many_windows_pass_in_parts(windows, monkeypatch):
    whole = tvl1_cuda.tvl1_windows(windows, device="cpu")
    monkeypatch.setattr(tvl1_cuda, "BATCH", 3)
    np.testing.assert_allclose(tvl1_cuda.tvl1_windows(windows, device="cpu"), whole, atol=1e-5)


def test_no_window_and_a_window_of_one_frame_give_no_flow(windows):
    assert tvl1_cuda.tvl1_windows(windows[:0], device="cpu").shape == (0, 3, 90, 85, 2)
    assert tvl1_cuda.tvl1_windows(windows[:, :1], device="cpu").shape == (2, 0, 90, 85, 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_named(windows):
    with pytest.raises(ValueError, match="torch finds no CUDA device; use 'cpu'"):
        tvl1(windows[0, 0], windows[0, 1], device="cuda")


KERNELS = """
import torch
from pfes.flow import tvl1_cuda
from pfes.flow import tvl1_triton
from pfes.flow.tvl1 import TVL1
torch.manual_seed(0)
u = 2 * torch.randn(2, 2, 2, 20, 27)
padded, system = 255 * torch.rand(2, 2, 23, 30), tvl1_cuda.system(torch.rand(2, 2, 5, 20, 27), u, torch.rand(2, 2))
p = [0.3 * torch.randn_like(u) for _ in "xy"]
p[0][..., -1], p[1][..., -1, :] = 0, 0
params = TVL1(iterations=4)
planes, light, shared = torch.randn(2, 3, 24, 20), torch.rand(2, 3, 24, 20), torch.randn(2, 2, 1, 24, 20)
images = (planes, (light > 0.1).float(), *shared, light[..., 0, 0])
pairs = [
    ((tvl1_cuda.smooth(planes, taps, stride),), (tvl1_triton.smooth(planes, taps, stride),))
    for taps, stride in ((tvl1_cuda.HALVING, 2), (tvl1_cuda.WINDOW, 1), (tvl1_cuda.LIGHT, 1), (tvl1_cuda.TRUST, 1))
]
pairs += [((tvl1_cuda.resize(u, size),), (tvl1_triton.resize(u, size),)) for size in ((40, 54), (31, 30), (10, 13))]
pairs += [((tvl1_cuda.gather(*images, cell),), (tvl1_triton.gather(*images, cell),)) for cell in (1, 2)]
for plain, fused in (
    *pairs,
    (tvl1_cuda.warp(padded, u), tvl1_triton.warp(padded, u)),
    (tvl1_cuda.iterate(u, *p, system, params), tvl1_triton.iterate(u, *p, system, params)),
):
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-5)
print("equal")
"""


@needs_triton
def test_triton_kernels_compute_what_torch_does():
    assert_equal_there(KERNELS)
