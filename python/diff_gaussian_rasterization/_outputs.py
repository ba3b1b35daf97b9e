"""What a call returns: a tuple that notices how many outputs its caller unpacks, and gives that many. No engine here.

Python's instruction for `a, b, c = call` carries the number 3. The tuple reads it from the frame that unpacks, as
nothing that is passed tells a caller who wants (color, radii) from one who wants depth and alpha too. What was not
rendered yet is rendered then, and at once the next time that the same line calls.
"""

import dis
import sys

from . import _forks

_UNPACK, _EXTENDED = dis.opmap["UNPACK_SEQUENCE"], dis.opmap["EXTENDED_ARG"]
_OWN = frozenset(__package__ + "." + m for m in ("_outputs", "_autograd", "_render")) | {__package__, "torch.nn.modules.module"}
_MOST = 1000  # places that are remembered

_counts = {}  # (id of a code object, place): the code object, kept so that its id stays its own, and the number
_learned = {}  # (id of a code object, place) of a call: the names that were unpacked there


def asked(frame):
    """How many values the frame is unpacking, or None if it does something else."""
    code, at = frame.f_code, frame.f_lasti
    found = _counts.get((id(code), at))
    if found is None:
        text = code.co_code
        plain = text[at] == _UNPACK and (at < 2 or text[at - 2] != _EXTENDED)
        if len(_counts) >= _MOST:
            _counts.clear()
        found = _counts[id(code), at] = (code, text[at + 1] if plain else None)
    return found[1]


def _caller():
    """The place outside of this package and of torch's modules that called."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in _OWN:
        frame = frame.f_back
    return (id(frame.f_code), frame.f_lasti) if frame is not None else None


class Outputs(tuple):
    """The outputs that `names` has, as long as nobody unpacks another number of them."""

    def __iter__(self):
        count = asked(sys._getframe(1))
        if count is None or count == len(self._names):
            return tuple.__iter__(self)
        return iter(self._others(_forks.names_for(self._fork, count)))

    def __getitem__(self, index):
        if isinstance(index, int) and index >= len(self._names):
            for count, names in sorted(self._fork.outputs.items()):
                if count > index and names[:len(self._names)] == tuple(self._names):
                    return self._others(names)[index]
        return tuple.__getitem__(self, index)

    def __reduce__(self):
        return tuple, (list(tuple.__iter__(self)),)

    def _others(self, names):
        """The outputs of these names; renders what is missing."""
        missing = [n for n in names if n not in self._values]
        if missing:
            self._values.update(self._render(missing))
            if len(_learned) >= _MOST:
                _learned.clear()
            _learned[self._place] = tuple(self._values)
        return [self._values[n] for n in names]


def deliver(render, fork, names):
    """The outputs `names` of a caller of `fork`; `render` takes names and gives a dictionary."""
    place = _caller()
    more = _learned.get(place)
    values = render(names if more is None else tuple(names) + tuple(n for n in more if n not in names))
    out = Outputs([values[n] for n in names])
    out._render, out._fork, out._names, out._values, out._place = render, fork, names, values, place
    return out
