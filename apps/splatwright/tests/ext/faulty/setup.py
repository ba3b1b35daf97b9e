# An extension with the fault of many older ones: names from headers that it does not include.
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

setup(
    name="faulty",
    version="1.0",
    ext_modules=[CUDAExtension("faulty._C", ["limits.cu", "module.cpp"])],
    cmdclass={"build_ext": BuildExtension},
)
