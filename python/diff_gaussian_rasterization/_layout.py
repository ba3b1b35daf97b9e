"""Structs of _abi as flat lists of numbers, written in one go: setting forty members one by one costs more than the
call of a small scene. Offsets come from ctypes, so that _abi stays the only mirror of the header. No torch here.
"""

import ctypes as c
import struct

_CODES = {c.c_int32: "i", c.c_uint32: "I", c.c_int64: "q", c.c_uint64: "Q", c.c_float: "f", c.c_void_p: "Q"}


def _members(kind, path, offset):
    """(path, offset, code, value) of every number in a struct; each struct_size has its value already."""
    for name, member in kind._fields_:
        at, full = offset + getattr(kind, name).offset, path + name
        if name == "struct_size":
            yield full, at, "I", c.sizeof(kind)
        elif issubclass(member, c.Structure):
            for found in _members(member, full + ".", at):
                yield found
        elif issubclass(member, c.Array):
            for i in range(member._length_):
                yield "{}.{}".format(full, i), at + i * c.sizeof(member._type_), _CODES[member._type_], 0
        else:
            yield full, at, _CODES.get(member, "Q"), 0  # pointers and the callback are addresses


class Layout:
    """at: the position of a member, by its path (`gaussians.means3d.data`), in a list as `values` gives it."""

    def __init__(self, kind):
        members = list(_members(kind, "", 0))
        self.size = c.sizeof(kind)
        self.at = {path: i for i, (path, _, _, _) in enumerate(members)}
        self.offset = {path: offset for path, offset, _, _ in members}
        self._template = [value for _, _, _, value in members]
        text, end = "=", 0
        for _, offset, code, _ in members:
            text += "{}x{}".format(offset - end, code) if offset > end else code
            end = offset + struct.calcsize("=" + code)
        self.write = struct.Struct(text + ("{}x".format(self.size - end) if self.size > end else "")).pack_into

    def values(self):
        """A fresh list: zeros, and the sizes of the structs."""
        return self._template[:]
