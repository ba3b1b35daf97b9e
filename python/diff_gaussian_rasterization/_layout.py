"""The structs of a call as one flat list of numbers, written in one go: setting a hundred members one by one costs more
than the call of a small scene. Offsets and pointers follow from _abi. No torch here.
"""

import ctypes as c
import struct

_CODES = {c.c_int32: "i", c.c_uint32: "I", c.c_int64: "q", c.c_uint64: "Q", c.c_float: "f", c.c_void_p: "Q"}
_ALIGN = 8


def _members(kind, path, offset):
    """(path, offset, code, value) of every number in a struct or array; each struct_size has its value already."""
    if issubclass(kind, c.Array):
        for i in range(kind._length_):
            for found in _members(kind._type_, "{}.{}".format(path, i), offset + i * c.sizeof(kind._type_)):
                yield found
    elif issubclass(kind, c.Structure):
        for name, member in kind._fields_:
            at, full = offset + getattr(kind, name).offset, "{}.{}".format(path, name)
            if name == "struct_size":
                yield full, at, "I", c.sizeof(kind)
            else:
                for found in _members(member, full, at):
                    yield found
    else:
        yield path, offset, _CODES.get(kind, "Q"), 0  # pointers and the callback are addresses


class Layout:
    """Several structs, or arrays of structs, one behind the other in a buffer. Where the first one has a pointer with
    the name of another part, `write` makes it point there. Members that `without` (a function of the path) names stay
    zero and have no position.

    at: the position of a member, by its path (`gaussians.means3d.data`, `channels.0.source`), in a list as `values`
        gives it; start: the place of a part in the buffer, in bytes; size: of the buffer.
    """

    def __init__(self, without=None, **parts):
        members, starts, end = [], {}, 0
        for name, kind in parts.items():
            starts[name] = end
            members += _members(kind, name, end)
            end += c.sizeof(kind) + -c.sizeof(kind) % _ALIGN
        self.size = end
        self.start = starts
        members = [m for m in members if without is None or not without(m[0])]
        self.at = {path: i for i, (path, _, _, _) in enumerate(members)}
        first = next(iter(parts))
        self._links = [(self.at["{}.{}".format(first, name)], start) for name, start in starts.items()
                       if "{}.{}".format(first, name) in self.at]
        self._template = [value for _, _, _, value in members]
        self._buffer = c.c_char * self.size
        text, end = "=", 0
        for _, offset, code, _ in members:
            text += "{}x{}".format(offset - end, code) if offset > end else code
            end = offset + struct.calcsize("=" + code)
        self._pack = struct.Struct(text).pack_into

    def values(self):
        """A fresh list: zeros, and the sizes of the structs."""
        return self._template[:]

    def write(self, values):
        """A buffer that holds the structs; the first one begins at its address."""
        buffer = self._buffer()
        address = c.addressof(buffer)
        for place, start in self._links:
            values[place] = address + start
        self._pack(buffer, 0, *values)
        return buffer
