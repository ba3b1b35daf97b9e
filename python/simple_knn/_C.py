"""`distCUDA2`: exact, on any device, in torch operations; time grows as N log N, memory as N.

Points are sorted into a balanced tree of boxes by halving each box along its longest side. Every leaf then searches its
own points, and other leaves in the order of their distance, as long as one is nearer than the third neighbour of any of
its points so far.
"""

import torch

# The most points per leaf, and the most numbers that one step holds at a time.
_LEAF = 24
_CHUNK = 1 << 24
_NEIGHBOURS = 3


def distCUDA2(points):
    """[P]: mean of the squared distances from each of the points [P,3] to its three nearest others.

    Another point in the same place counts, with distance 0. With fewer than four points the mean is over the others;
    for a single point it is 0. Computed in f32, without gradients. A point that is not finite is nobody's neighbour,
    and its own result is infinite.
    """
    if points.dim() != 2 or points.shape[1] != 3:
        raise ValueError("`points` is {}, but points are [P, 3]\nhint: points.reshape(-1, 3)".format(
            list(points.shape)))
    with torch.no_grad():
        points = points.to(torch.float32).contiguous()
        good = torch.isfinite(points).all(dim=1)
        if not bool(good.all()):
            out = points.new_full((points.shape[0],), float("inf"))
            out[good] = distCUDA2(points[good])
            return out
        count = points.shape[0]
        neighbours = min(_NEIGHBOURS, count - 1)
        if neighbours < 1:
            return points.new_zeros(count)
        if count <= 4 * _LEAF:
            return _within(points[None], points[None])[0, :, :neighbours].mean(dim=1)
        return _large(points)


def _within(queries, others):
    """[n,q,3]: the three smallest squared distances from each query [n,q,3] to others [n,q,3], the same points, of
    which none is its own neighbour. Infinity where there are fewer."""
    squares = (queries[:, :, None] - others[:, None]).square_().sum(dim=3)
    squares.diagonal(dim1=1, dim2=2).fill_(float("inf"))
    if squares.shape[2] < _NEIGHBOURS:
        squares = torch.nn.functional.pad(squares, (0, _NEIGHBOURS - squares.shape[2]), value=float("inf"))
    return squares.topk(_NEIGHBOURS, dim=2, largest=False).values


def _sorted_into_leaves(points):
    """Indices [leaves, size], so that neighbours in space share a leaf; -1 - index marks a copy that only pads a leaf."""
    count, levels = points.shape[0], 0
    while count > _LEAF << levels:
        levels += 1
    leaves = 1 << levels
    size = -(-count // leaves)
    order = torch.arange(leaves * size, device=points.device)
    order = torch.where(order < count, order, -1 - (order - count))
    for level in range(levels):
        groups = order.reshape(1 << level, -1)
        here = points[_index(groups)]
        side = (here.amax(dim=1) - here.amin(dim=1)).argmax(dim=1)
        along = here.gather(2, side[:, None, None].expand(-1, here.shape[1], 1))[:, :, 0]
        order = groups.gather(1, along.argsort(dim=1))
    return order.reshape(leaves, size)


def _index(order):
    return torch.where(order < 0, -1 - order, order)


def _boxes(low, high):
    """The boxes of every level of the tree, root first, each [nodes,3] twice."""
    levels = [(low, high)]
    while levels[0][0].shape[0] > 1:
        low, high = levels[0]
        levels.insert(0, (torch.minimum(low[0::2], low[1::2]), torch.maximum(high[0::2], high[1::2])))
    return levels


def _gap(low, high, leaf, node_low, node_high, node):
    """Squared distance between boxes, rounded so that it is not over the true one."""
    apart = torch.maximum(low[leaf] - node_high[node], node_low[node] - high[leaf]).clamp_(min=0)
    return apart.square_().sum(dim=1) * (1 - 1e-6)


def _candidates(tree, bound, leaves):
    """(leaf, other, gap) of all pairs of these leaves with others that may hold a nearer point, nearest first."""
    low, high = tree[-1]
    leaf, node = leaves, torch.zeros_like(leaves)
    for node_low, node_high in tree[1:]:
        leaf, node = leaf.repeat_interleave(2), torch.stack((2 * node, 2 * node + 1), 1).reshape(-1)
        gap = _gap(low, high, leaf, node_low, node_high, node)
        near = gap < bound[leaf]
        leaf, node, gap = leaf[near], node[near], gap[near]
    other = leaf != node
    leaf, node, gap = leaf[other], node[other], gap[other]
    order = gap.argsort()
    order = order[leaf[order].argsort(stable=True)]
    return leaf[order], node[order], gap[order]


def _large(points):
    order = _sorted_into_leaves(points)
    leaves, size = order.shape
    # A copy that pads a leaf is nobody's neighbour: it is put infinitely far away.
    filled = points[_index(order)]
    places = torch.where((order < 0)[..., None], filled.new_tensor(float("inf")), filled)
    tree = _boxes(filled.amin(dim=1), filled.amax(dim=1))
    best = torch.empty((leaves, size, _NEIGHBOURS), dtype=points.dtype, device=points.device)
    some = max(1, _CHUNK // (size * size * 3))
    for start in range(0, leaves, some):
        part = slice(start, start + some)
        best[part] = _within(filled[part], places[part])
    bound = _bound(best, order)
    # A leaf is compared with a few dozen others.
    some, step = max(1, _CHUNK // 4096), max(1, _CHUNK // (size * 3))
    for start in range(0, leaves, some):
        wanted = torch.arange(start, min(start + some, leaves), device=points.device)
        _search(filled, places, order, tree, best, bound, wanted, step)
    out = torch.empty_like(points[:, 0])
    real = order >= 0
    out[order[real]] = best[real].mean(dim=1)
    return out


def _bound(best, order):
    """[leaves]: the farthest third neighbour of the leaf's own points."""
    return best[..., -1].masked_fill(order < 0, 0.0).amax(dim=1)


def _search(filled, places, order, tree, best, bound, wanted, step):
    """Compares these leaves with their candidates: in each round every leaf with its next candidate, and only those
    points of the leaf to which the candidate's box is nearer than their third neighbour."""
    low, high = tree[-1]
    leaf, node, gap = _candidates(tree, bound, wanted)
    ends = torch.bincount(leaf - wanted[0], minlength=wanted.numel()).cumsum(0)
    at = torch.cat((ends.new_zeros(1), ends[:-1]))
    now = wanted
    while True:
        # The nearest comes first: a leaf is done when its next one is too far away.
        going = at < ends
        going[going.clone()] = gap[at[going]] < bound[now[going]]
        now, at, ends = now[going], at[going], ends[going]
        if now.numel() == 0:
            return
        other = node[at]
        here, third = filled[now], best[now, :, -1]
        apart = torch.maximum(here - high[other][:, None], low[other][:, None] - here).clamp_(min=0)
        near = (apart.square_().sum(dim=2) * (1 - 1e-6) < third) & (order[now] >= 0)
        row, place = near.nonzero(as_tuple=True)
        for start in range(0, row.numel(), step):
            r, p = row[start:start + step], place[start:start + step]
            squares = (here[r, p][:, None] - places[other[r]]).square_().sum(dim=2)
            whole = torch.cat((best[now[r], p], squares), dim=1)
            best[now[r], p] = whole.topk(_NEIGHBOURS, dim=1, largest=False).values
        bound[now] = _bound(best[now], order[now])
        at = at + 1
