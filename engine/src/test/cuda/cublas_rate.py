"""The rate of a large bfloat16 product by cuBLAS, through PyTorch: what gpu-check.sh sets beside prefill.

Prints TFLOP/s of 8192 x 8192 x 8192, the median of nine times five products. Without PyTorch it says so and ends with 0.
"""

import sys

try:
    import torch
except ImportError:
    print("PyTorch is not installed: cuBLAS's rate is not measured")
    sys.exit(0)

SIZE = 8192
a = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
b = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16)
for _ in range(3):
    a @ b
rates = []
for _ in range(9):
    start = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(5):
        a @ b
    end.record()
    torch.cuda.synchronize()
    rates.append(5 * 2 * SIZE**3 / start.elapsed_time(end) / 1e9)
rates.sort()
print(f"cuBLAS {SIZE}^3 bf16: {rates[4]:.0f} TFLOP/s, from {rates[0]:.0f} to {rates[-1]:.0f}")
