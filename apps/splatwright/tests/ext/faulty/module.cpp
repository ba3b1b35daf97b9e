// The least module that calls into the CUDA file.
#include <Python.h>

float largest();

static PyObject* call(PyObject*, PyObject*) { return PyFloat_FromDouble(largest()); }

static PyMethodDef methods[] = {{"largest", call, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__C() { return PyModule_Create(&module); }
