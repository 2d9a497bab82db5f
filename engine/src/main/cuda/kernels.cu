// All kernels as one translation unit: one cubin (nvcc) or one shared library (g++ -DVERDIER_EMULATED).
#include "sample.cu"
