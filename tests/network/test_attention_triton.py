"""The Triton kernels of attention against what is written out, in Triton's interpreter."""

from tests.interpreter import assert_equal_there, needs_triton

KERNELS = """
import torch
from pfes.network.attention_triton import Attention
from pfes.network.spotformer import attention

torch.manual_seed(0)
for length, heads, size in ((17, 2, 16), (10, 3, 8), (3, 4, 32), (1, 1, 16)):
    qkv = torch.randn(4, length, 3 * heads * size, requires_grad=True)
    plain, fused = attention(qkv, heads), Attention.apply(qkv, heads, 0.0)
    to = torch.randn_like(plain)
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(found, qkv, to)[0] for found in (plain, fused)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)

qkv, along, to = torch.randn(2, 7, 48, requires_grad=True), torch.randn(2, 7, 48), torch.randn(2, 7, 16)

def dropped(values):
    torch.manual_seed(5)
    return Attention.apply(values, 2, 0.25)

(gradient,) = torch.autograd.grad(dropped(qkv), qkv, to)
slope = ((dropped(qkv + 1e-3 * along) - dropped(qkv - 1e-3 * along)) * to).sum() / 2e-3
torch.testing.assert_close((gradient * along).sum(), slope, atol=0, rtol=5e-3)
same = torch.zeros(1, 16, 48)
same[..., 32:] = 1  # weights of 1/16 of ones: what is kept of them
kept = torch.stack([Attention.apply(same, 2, 0.25) for _ in range(20)])
assert abs(float(kept.mean()) - 1) < 0.02 and 0.1 < float(kept.std()) < 0.2, (kept.mean(), kept.std())
print("equal")
"""


@needs_triton
def test_kernels_compute_what_is_written_out_and_their_gradient_is_of_the_same_dropout():
    assert_equal_there(KERNELS)
