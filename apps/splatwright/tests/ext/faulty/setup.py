# An extension with the faults of many: headers that it does not include, names that CUB 3 removed, no GLM in its tree,
# and architectures from a variable of its own.
import os

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

codes = os.environ.get("CUDA_ARCHITECTURES", "75").split(";")
flags = [f"-gencode=arch=compute_{code},code=sm_{code}" for code in codes]

setup(
    name="faulty",
    version="1.0",
    ext_modules=[CUDAExtension("faulty._C", ["limits.cu", "reduce.cu", "module.cpp"], extra_compile_args={"nvcc": flags})],
    cmdclass={"build_ext": BuildExtension},
)
