// SSIM and the photometric loss of engine `cuda`: arguments checked and turned into the kernels' form.
#include "adapter.h"
#include "common/arguments.h"
#include "common/device.h"
#include "common/status.h"
#include "ssim.cuh"

namespace splat::own {
namespace {

// What the arguments of both have in common.
template <typename Args>
SsimImages images_of(const Args &args, const SsimMean &mean) {
  if (args.planes < 0 || args.planes > 65535 || args.width < 1 || args.height < 1 || args.height > 32 * 65535)
    fail(SPLAT_INVALID_ARGUMENT, "%lld planes of %dx%d pixels: engine `cuda` takes up to 65535 planes of at least 1x1",
         (long long)args.planes, args.width, args.height);
  if (args.valid && (args.width <= 10 || args.height <= 10))
    fail(SPLAT_INVALID_ARGUMENT, "`valid` leaves nothing of %dx%d pixels: both sides must be over 10", args.width,
         args.height);
  required("image", args.image);
  required("target", args.target);
  return {args.image, args.target, uint32_t(args.planes), args.width, args.height, args.valid ? 5 : 0, mean};
}

void compare(const splat_context &context, const SsimImages &images, float *map, float *partials, float *mean) {
  if (images.planes == 0) fail(SPLAT_INVALID_ARGUMENT, "`planes` is 0, but the mean of no image does not exist");
  const CurrentDevice device(context.device);
  float *scratch = mean ? Memory(context).scratch(ssim_partials(images), "the sums of SSIM") : nullptr;
  cuda(ssim_forward(images, map, partials, scratch, mean, static_cast<cudaStream_t>(context.stream)),
       "launching `ssim_forward`");
}

void compare_backward(const splat_context &context, const SsimImages &images, const float *partials,
                      const float *grad_map, const float *grad_mean, float *grad_image) {
  required("partials", partials);
  required("grad_image", grad_image);
  if (images.planes == 0) return;
  const CurrentDevice device(context.device);
  cuda(ssim_backward(images, partials, grad_map, grad_mean, grad_image, static_cast<cudaStream_t>(context.stream)),
       "launching `ssim_backward`");
}

splat_photometric_args read_photometric(const splat_photometric_args *from) {
  const splat_photometric_args args = read(from, "splat_photometric_args");
  if (!(args.lambda_dssim >= 0 && args.lambda_dssim <= 1))
    fail(SPLAT_INVALID_ARGUMENT, "`lambda_dssim` is %g, but must be 0 to 1", args.lambda_dssim);
  return args;
}

}  // namespace

void ssim_or_throw(const splat_ssim_args *from) {
  const splat_ssim_args args = read(from, "splat_ssim_args");
  const splat_context context = read_context(ENGINE, args.context);
  compare(context, images_of(args, MEAN_SIMILARITY), args.map, args.partials, args.mean);
}

void ssim_backward_or_throw(const splat_ssim_args *from) {
  const splat_ssim_args args = read(from, "splat_ssim_args");
  const splat_context context = read_context(ENGINE, args.context);
  compare_backward(context, images_of(args, MEAN_SIMILARITY), args.partials, args.grad_map, args.grad_mean,
                   args.grad_image);
}

void photometric_or_throw(const splat_photometric_args *from) {
  const splat_photometric_args args = read_photometric(from);
  const splat_context context = read_context(ENGINE, args.context);
  const SsimImages images = images_of(args, photometric_mean(args.lambda_dssim));
  required("loss", args.loss);
  compare(context, images, nullptr, args.partials, args.loss);
}

void photometric_backward_or_throw(const splat_photometric_args *from) {
  const splat_photometric_args args = read_photometric(from);
  const splat_context context = read_context(ENGINE, args.context);
  const SsimImages images = images_of(args, photometric_mean(args.lambda_dssim));
  required("grad_loss", args.grad_loss);
  compare_backward(context, images, args.partials, nullptr, args.grad_loss, args.grad_image);
}

}  // namespace splat::own
