"""One stage of structure from motion by pycolmap, started by `splat` as `python -I -c THIS FOLDER STAGE ...`.

COLMAP reports on stderr what it does; `splat` reads it. Seeds are fixed, so that results differ as little as threads let them:
those of each pair of photographs too, whose default follows the order in which threads come to them.
"""
import json
import sys

if sys.platform == "linux":
    # An orphan would go on computing for nobody.
    import ctypes

    ctypes.CDLL(None).prctl(1, 9)

folder, stage, database, *rest = sys.argv[1:]
sys.path.insert(0, folder)
import pycolmap  # noqa: E402

pycolmap.set_random_seed(0)
verification = pycolmap.TwoViewGeometryOptions()
verification.ransac.random_seed = 0

if stage == "features":
    images, names, mode, model, masks = rest
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = model
    if masks:
        reader.mask_path = masks
    with open(names, encoding="utf-8") as lines:
        names = lines.read().splitlines()
    pycolmap.extract_features(
        database, images, names, getattr(pycolmap.CameraMode, mode), reader, device=pycolmap.Device.cpu
    )
elif stage == "exhaustive":
    options = pycolmap.ExhaustivePairingOptions()
    options.block_size = int(rest[0])
    pycolmap.match_exhaustive(
        database, pairing_options=options, verification_options=verification, device=pycolmap.Device.cpu
    )
elif stage == "sequential":
    pycolmap.match_sequential(database, verification_options=verification, device=pycolmap.Device.cpu)
elif stage == "spatial":
    pycolmap.match_spatial(database, verification_options=verification, device=pycolmap.Device.cpu)
elif stage == "pairs":
    options = pycolmap.ImportedPairingOptions()
    options.match_list_path = rest[0]
    options.block_size = 100
    pycolmap.match_image_pairs(
        database, pairing_options=options, verification_options=verification, device=pycolmap.Device.cpu
    )
elif stage == "mapping":
    images, models, smallest = rest
    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = int(smallest)
    options.random_seed = 0
    pycolmap.incremental_mapping(database, images, models, options)
elif stage == "shared":
    # For each photograph: the most places that it has in common with another one.
    with pycolmap.Database.open(database) as opened:
        names = {image.image_id: image.name for image in opened.read_all_images()}
        best = dict.fromkeys(names.values(), 0)
        for pair, inliers in zip(*opened.read_two_view_geometry_num_inliers()):
            for image in pycolmap.pair_id_to_image_pair(pair):
                best[names[image]] = max(best[names[image]], inliers)
    print(json.dumps(best))
else:
    sys.exit(f"no stage is called {stage}")
