// Uses FLT_MAX and uint32_t without <cfloat> and <cstdint>, as older rasterizers do.
__global__ void fill(float* best, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) best[i] = FLT_MAX;
}

float largest() { return FLT_MAX; }

void launch(float* best, uint32_t n) { fill<<<(n + 255) / 256, 256>>>(best, n); }
