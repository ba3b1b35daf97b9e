"""The forks of the original whose callers this module serves, and those that it only knows by name. No torch.

A fork is recognised by the keywords that its callers pass to the settings or to the call, and its outputs by how many of
them the caller unpacks. This table is the only place with that knowledge.
"""

from typing import Dict, NamedTuple, Tuple


class ForkError(TypeError, ValueError):
    """A call that belongs to a fork which is not served, or that asks for outputs which its fork does not have. Both a
    TypeError and a ValueError, as Python's own errors for an unknown keyword and for a wrong unpacking are."""

    def __init__(self, sentence, hint):
        super().__init__("{}\nhint: {}".format(sentence, hint))


class Fork(NamedTuple):
    """A contract: `outputs` by number, and the `usual` ones; `keywords` by which its callers are recognised;
    `channels` of its image of features if the caller passes none (0: it has to)."""

    name: str
    keywords: Tuple[str, ...]
    outputs: Dict[int, Tuple[str, ...]]
    channels: int = 0
    usual: Tuple[str, ...] = ()


def _fork(name, keywords, *outputs, channels=0):
    names = [tuple(o.split()) for o in outputs]
    return Fork(name, tuple(keywords.split()), {len(n): n for n in names}, channels, names[0])


# The first that fits is taken, so those with the more special keywords come first.
SERVED = (
    _fork("feature-3dgs", "semantic_feature", "color features radii depth", "color features radii", "color radii"),
    _fork("gaussian-grouping", "sh_objs", "color radii features", "color radii features depth",
          "color radii depth alpha features", "color radii", channels=16),
    _fork("LangSplat", "language_feature_precomp include_feature", "color features radii", "color radii", channels=3),
    _fork("FastGS", "mult get_flag metric_map", "color radii marked", "color radii depth marked", "color radii"),
    _fork("Deformable-3DGS", "means2D_densify", "color radii depth", "color radii"),
    _fork("MonoGS, w-pose", "theta rho projmatrix_raw", "color radii depth alpha touched", "color radii depth alpha",
          "color radii depth", "color radii"),
    _fork("mip-splatting", "kernel_size subpixel_offset", "color radii", "color radii depth",
          "color radii depth alpha"),
    _fork("graphdeco dr_aa", "antialiasing", "color radii invdepth", "color radii"),
    _fork("graphdeco 2023, SplaTAM, ashawkey", "", "color radii", "color radii depth", "color radii depth alpha",
          "color radii depth alpha touched"),
)
PLAIN = SERVED[-1]

# Keywords of forks that are not served.
FOREIGN = {
    "compute_grad_cov2d": "iComMa", "proj_k": "iComMa",
    "depths_condition": "HAHA",
    "cov3Ds_precomp": "slothfulxtx/diff-gaussian-rasterization",
    "extra_attrs": "slothfulxtx/diff-gaussian-rasterization",
    "view2gaussian_precomp": "Gaussian Opacity Fields",
    "require_depth": "RaDe-GS", "require_coord": "RaDe-GS",
    "render_geo": "PGSR", "all_map": "PGSR", "means2D_abs": "PGSR",
    "do_depth": "hierarchical-3d-gaussians", "render_indices": "hierarchical-3d-gaussians",
    "parent_indices": "hierarchical-3d-gaussians", "interpolation_weights": "hierarchical-3d-gaussians",
    "num_node_kids": "hierarchical-3d-gaussians",
    "f_count": "LightGaussian",
    "confidence": "FSGS",
    "ts": "4D Gaussian Splatting (fudan-zvg)", "scales_t": "4D Gaussian Splatting (fudan-zvg)",
    "rotations_r": "4D Gaussian Splatting (fudan-zvg)", "sh_degree_t": "4D Gaussian Splatting (fudan-zvg)",
    "timestamp": "4D Gaussian Splatting (fudan-zvg)", "time_duration": "4D Gaussian Splatting (fudan-zvg)",
    "rot_4d": "4D Gaussian Splatting (fudan-zvg)", "gaussian_dim": "4D Gaussian Splatting (fudan-zvg)",
    "force_sh_3d": "4D Gaussian Splatting (fudan-zvg)", "flow_2d": "4D Gaussian Splatting (fudan-zvg)",
    "transMat_precomp": "2DGS (surfels)",
}
SURFEL = ("2DGS (diff_surfel_rasterization) draws flat surfels and is not served: build its own module with "
          "`splatwright ext build`, or use gsplat's rasterization_2dgs")


def of(given):
    """The fork whose callers pass these keywords (a collection), all of which are known to the signatures."""
    for fork in SERVED[:-1]:
        for keyword in fork.keywords:
            if keyword in given:
                return fork
    return PLAIN


def refuse_keywords(where, unknown):
    """Raises ForkError for keywords that `where` (the settings or the call) does not have."""
    named = sorted({FOREIGN[k] for k in unknown if k in FOREIGN})
    words = ", ".join("`{}`".format(k) for k in sorted(unknown))
    if not named:
        raise ForkError("{} has no {}, and no fork that this module knows has it".format(where, words),
                        "leave it out if the caller does not need it; otherwise build the rasterizer that this program "
                        "names in its instructions, in an environment of its own: `splatwright ext build SOURCE`")
    raise ForkError("{} has no {}: the caller is written for the rasterizer of {}, which this module does not "
                    "serve".format(where, words, " or ".join(named)),
                    "build that rasterizer in an environment of its own: `splatwright ext build SOURCE`; or leave out "
                    "the keyword if its effect is not needed")


def names_for(fork, count):
    """Names of the `count` outputs that a caller of `fork` unpacks; ForkError if the fork has no such number."""
    names = fork.outputs.get(count)
    if names is None:
        counts = sorted(fork.outputs)
        raise ForkError(
            "the caller unpacks {} outputs, but callers of {}, as whose it was recognised{}, have {}".format(
                count, fork.name, " by `{}`".format("` or `".join(fork.keywords)) if fork.keywords else
                " by passing no other fork's keywords",
                ", ".join(map(str, counts[:-1])) + " or " + str(counts[-1])),
            "name the {} outputs in their order, such as DGR_OUTPUTS=color,radii,depth (color, radii, invdepth, depth, "
            "alpha, touched, features, marked); if the fork has others, build it: `splatwright ext build SOURCE`".format(
                count))
    return names


def table():
    """One sentence about each fork, for people."""
    for fork in SERVED:
        yield "{} (known by {}): {}".format(
            fork.name, ", ".join(fork.keywords) or "no other fork's keywords",
            " | ".join(",".join(names) for names in fork.outputs.values()))
