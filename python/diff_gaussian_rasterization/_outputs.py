"""What a call returns: a tuple that knows how many outputs its caller unpacks, and gives that many. No engine here.

Python's instruction for `a, b, c = call` carries the number 3. It is read from the frame that calls, where it follows the
call, or else from the frame that unpacks later, as nothing that is passed tells a caller who wants (color, radii) from one
who wants depth and alpha too. What was not rendered for a later unpacking is rendered then.
"""

import dis
import sys

from . import _forks

_UNPACK, _EXTENDED = dis.opmap["UNPACK_SEQUENCE"], dis.opmap["EXTENDED_ARG"]
_CACHE = 0  # no instruction: from Python 3.11 on, room that belongs to the one before
_OWN = frozenset(__package__ + "." + m for m in ("_outputs", "_autograd", "_render")) | {
    __package__, "torch.nn.modules.module", "torch._dynamo.eval_frame"}
_MOST = 1000  # places that are remembered

_counts = {}  # (id of a code object, place, ahead): the code object, kept so that its id stays its own, and the number


def _unpacks(frame, ahead):
    """How many values the frame unpacks now or, with `ahead`, right after its call; None if it does something else."""
    code, at = frame.f_code, frame.f_lasti
    key = (id(code), at, ahead)
    found = _counts.get(key)
    if found is None:
        text = code.co_code
        if ahead:
            at += 2
            while at < len(text) and text[at] == _CACHE:
                at += 2
        plain = at < len(text) and text[at] == _UNPACK and text[at - 2] != _EXTENDED
        if len(_counts) >= _MOST:
            _counts.clear()
        found = _counts[key] = (code, text[at + 1] if plain else None)
    return found[1]


def _expected():
    """How many outputs the caller outside of this package and of torch's modules unpacks at once."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in _OWN:
        frame = frame.f_back
    return None if frame is None else _unpacks(frame, True)


class Outputs(tuple):
    """The outputs that `names` has, as long as nobody unpacks another number of them."""

    def __iter__(self):
        count = _unpacks(sys._getframe(1), False)
        if count is None or count == len(self):
            return tuple.__iter__(self)
        return iter(self._others(_forks.names_for(self._fork, count)))

    def __getitem__(self, index):
        if isinstance(index, int) and index >= len(self):
            for count, names in sorted(self._fork.outputs.items()):
                if count > index and names[:len(self)] == tuple(self._names):
                    return self._others(names)[index]
        return tuple.__getitem__(self, index)

    def __reduce__(self):
        return tuple, (list(tuple.__iter__(self)),)

    def _others(self, names):
        """The outputs of these names; renders what is missing."""
        values = self._values
        missing = tuple(n for n in names if n not in values)
        if missing:
            values.update((n, t) for n, t in self._render(missing).items() if n not in values)
        return [values[n] for n in names]


def deliver(render, fork, names):
    """The outputs `names` of a caller of `fork`, or those of the number that it unpacks; `render` takes names and gives a
    dictionary."""
    count = _expected()
    if count is not None and count != len(names):
        names = fork.outputs.get(count, names)
    values = render(names)
    out = Outputs([values[n] for n in names])
    out._render, out._fork, out._names, out._values = render, fork, names, values
    return out
