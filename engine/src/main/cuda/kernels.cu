// All kernels as one translation unit: one fat binary (nvcc) or one shared library (g++ -DVERDIER_EMULATED).
#include "attention.cu"
#include "elementwise.cu"
#include "matmul_small.cu"
#include "matmul_tile.cu"
#include "matmul_wgmma.cu"
#include "pack.cu"
#include "probe.cu"
#include "sample.cu"
